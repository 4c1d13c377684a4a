"""The sandbox that the systemd unit puts around the agent, and how a person opens what it closes."""

from collections.abc import Iterable


def opening(unit: str, directories: Iterable[object]) -> str:
    """What to do so that the agent run by `unit` may write in `directories`."""
    # The minus lets the agent start where a directory is not there.
    paths = " ".join(f"-{directory}" for directory in directories)
    return (
        f"the sandbox of {unit} must let the agent write there: run `sudo systemctl edit {unit}`, "
        f"add the lines `[Service]` and `ReadWritePaths={paths}`, see that the directory is there, "
        f"then `sudo systemctl restart {unit}`"
    )

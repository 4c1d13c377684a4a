"""A docker that is confined as the one from snap."""

from pathlib import Path

_CONFINED = """#!/bin/sh
if grep -q "^NoNewPrivs:.1" /proc/self/status; then
    # As snap-confine of snapd 2.57 prints it.
    echo "required permitted capability cap_dac_override not found in current capabilities:" >&2
    exit 1
fi
# snap's docker may read what its own directories hold, and sees one of them as its home directory.
for word; do
    case $word in
    "$HOME"/snap/docker/*) ;;
    /*) echo "Error saving credentials: open $word/config.json: permission denied" >&2; exit 1 ;;
    esac
done
mkdir -p "$HOME/snap/docker/current"
HOME="$HOME/snap/docker/current" exec {docker} "$@"
"""


def install_snap(root: Path, docker: Path) -> Path:
    """Put a docker into `root`/snap/bin that runs `docker`, but refuses paths outside of snap's own directories."""
    program = root / "snap/bin/docker"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(_CONFINED.format(docker=docker))
    program.chmod(0o755)
    return program

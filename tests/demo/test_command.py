"""`registry-agent demo` as a command."""

import argparse
import sys
from pathlib import Path

import pytest

from agent.cli import demo
from agent.demo.workspace import Workspace


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    demo.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("programs", "how"),
    [
        ([], "docs.docker.com/engine/install"),
        (["apt-get"], "\n    sudo apt-get install -y docker-cli || sudo apt-get install -y docker.io\n"),
    ],
    ids=["any system", "Debian"],
)
def test_without_docker_shows_how_to_install_it_and_starts_the_agent(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    programs: list[str],
    how: str,
) -> None:
    """The exit code is 1, because nothing could log in. Debian's package is docker-cli if the release has it."""
    for name in programs:
        (tmp_path / name).touch(mode=0o755)
    stub = (sys.executable, "-m", "tests.demo.stub_agent")
    monkeypatch.setattr(
        Workspace, "command", property(lambda workspace: [*stub, str(workspace.root / "config.toml"), "dies"])
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo.run(parse()) == 1
    output = capsys.readouterr().out
    assert "There is no docker CLI on PATH" in output
    assert how in output
    assert "a simulated AWS" in output


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf", "soon"])
def test_refuses_a_time_that_is_not_positive_and_finite(wrong: str) -> None:
    """Such a demo would end at once or never."""
    with pytest.raises(argparse.ArgumentError):
        parse("--for", wrong)
    assert parse("--for", "90").seconds == 90

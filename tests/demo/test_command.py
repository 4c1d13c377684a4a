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


def test_without_docker_it_names_the_one_command_and_shows_that_the_agent_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends with 1, since nothing could log in."""
    stub = (sys.executable, "-m", "tests.demo.stub_agent")
    monkeypatch.setattr(Workspace, "command", property(lambda stage: [*stub, str(stage.root / "config.toml"), "dies"]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo.run(parse()) == 1
    told = capsys.readouterr().out
    assert "There is no docker CLI on PATH" in told
    assert "docs.docker.com/engine/install" in told
    assert "a pretend AWS" in told


def test_where_there_is_apt_the_command_is_debians() -> None:
    """docker-cli where the release has it, else docker.io."""
    told = demo._without_docker(debian=True)
    assert "\n    sudo apt-get install -y docker-cli || sudo apt-get install -y docker.io\n" in told


@pytest.mark.parametrize("wrong", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_that_is_none_is_wrong_usage(wrong: str) -> None:
    """Not a demo that ends at once or never."""
    with pytest.raises(argparse.ArgumentError):
        parse("--for", wrong)
    assert parse("--for", "90").seconds == 90

"""`registry-agent check-config`."""

from argparse import Namespace
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.cli import check_config
from agent.settings_loader.sources import DEFAULT_FILE


def test_a_valid_file_is_named_and_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line reports that all is well, and names the file."""
    file = tmp_path / "config.toml"
    file.write_text('[log]\nlevel = "debug"\n')
    assert check_config.run(Namespace(config=str(file), set=[])) == 0
    assert capsys.readouterr().out == f"all is well: {file}\n"


@pytest.mark.skipif(DEFAULT_FILE.exists(), reason="this machine has a settings file of its own")
def test_no_file_is_reported_and_exits_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Running with defaults is not an error."""
    monkeypatch.delenv("REGISTRY_AGENT_CONFIG", raising=False)
    assert check_config.run(Namespace(config=None, set=None)) == 0
    assert f"there is no {DEFAULT_FILE}" in capsys.readouterr().out


def test_each_error_has_a_line_with_its_hint_and_exits_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors come from the file and from flags."""
    file = tmp_path / "config.toml"
    file.write_text('[log]\nlevel = "loud"\n')
    assert check_config.run(Namespace(config=str(file), set=["renewal.fraction=2"])) == 78
    level, fraction = capsys.readouterr().out.splitlines()
    words = "one of debug, info, warning, error"
    assert level == f"settings_invalid log.level must be {words} ({file}); write {words}"
    assert fraction.startswith("settings_invalid renewal.fraction must be a number greater than 0 and less than 1")
    assert fraction.endswith("(flag --set); write a plain number, such as 0.5")


def test_an_unreadable_status_token_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The running agent reports the same error, because it would refuse every request over TCP."""
    file = tmp_path / "config.toml"
    file.write_text(f'[status]\ntoken_file = "{tmp_path}"\n')
    assert check_config.run(Namespace(config=str(file), set=[])) == 78
    output = capsys.readouterr().out
    assert output.startswith(f"settings_invalid status.token_file: token file {tmp_path} cannot be read: ")


def test_a_malformed_set_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 64, and the message shows the correct form."""
    assert check_config.run(Namespace(config=None, set=["log.level"])) == 64
    assert "SECTION.KEY=VALUE" in capsys.readouterr().err


def test_set_counts_before_and_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are used. If both set the same key, the one after the command wins."""
    before, after = ["--set", "log.level=loud", "--set", "renewal.fraction=2"], ["--set", "log.format=odd"]
    assert main([*before, "check-config", *after]) == 78
    keys = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert sorted(keys) == ["log.format", "log.level", "renewal.fraction"]
    assert main(["--set", "log.level=loud", "check-config", "--set", "log.level=debug"]) == 0

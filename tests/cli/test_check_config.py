"""`registry-agent check-config`."""

from argparse import Namespace
from pathlib import Path

import pytest

from agent.cli import check_config
from agent.settings_loader.sources import DEFAULT_FILE


def test_a_sound_file_is_named_and_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says that all is well, and with which file."""
    file = tmp_path / "config.toml"
    file.write_text('[log]\nlevel = "debug"\n')
    assert check_config.run(Namespace(config=str(file), set=[])) == 0
    assert capsys.readouterr().out == f"all is well: {file}\n"


@pytest.mark.skipif(DEFAULT_FILE.exists(), reason="this machine has a settings file of its own")
def test_no_file_is_said_and_exits_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Defaults are not a fault."""
    monkeypatch.delenv("REGISTRY_AGENT_CONFIG", raising=False)
    assert check_config.run(Namespace(config=None, set=None)) == 0
    assert f"there is no {DEFAULT_FILE}" in capsys.readouterr().out


def test_each_fault_has_a_line_with_its_hint_and_exits_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From file and flags alike."""
    file = tmp_path / "config.toml"
    file.write_text('[log]\nlevel = "loud"\n')
    assert check_config.run(Namespace(config=str(file), set=["renewal.fraction=2"])) == 78
    level, fraction = capsys.readouterr().out.splitlines()
    words = "one of debug, info, warning, error"
    assert level == f"settings_invalid log.level must be {words} ({file}); write {words}"
    assert fraction.startswith("settings_invalid renewal.fraction must be a number greater than 0 and less than 1")
    assert fraction.endswith("(flag --set); write a plain number, such as 0.5")


def test_a_status_token_that_cannot_be_read_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the running agent says it: TCP would refuse everybody."""
    file = tmp_path / "config.toml"
    file.write_text(f'[status]\ntoken_file = "{tmp_path}"\n')
    assert check_config.run(Namespace(config=str(file), set=[])) == 78
    said = capsys.readouterr().out
    assert said.startswith(f"settings_invalid status.token_file: token file {tmp_path} cannot be read: ")


def test_a_flag_of_another_form_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """It exits 64, and shows the form."""
    assert check_config.run(Namespace(config=None, set=["log.level"])) == 64
    assert "SECTION.KEY=VALUE" in capsys.readouterr().err

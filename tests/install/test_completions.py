"""The shell completions are generated from the parser, are committed, and work in the real shells."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from agent.__main__ import COMMANDS
from tests.command_line import options_of
from tests.install.terminal import Terminal
from tests.rig.needs import need

ROOT: Final = Path(__file__).parents[2]
COMPLETIONS: Final = ROOT / "completions"
READY: Final = "what now> "
PROMPT: Final = "PS1='what no''w> '"  # split, because the shell also echoes what is typed
START: Final = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        f"bind 'set bell-style none'; source {{file}}; {PROMPT}",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"fpath=({{directory}} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep; {PROMPT}",
    ),
}
FILES: Final = {"bash": "registry-agent", "zsh": "_registry-agent", "fish": "registry-agent.fish"}


@contextmanager
def typing(shell: str, directory: Path) -> Iterator[Terminal]:
    """Start an interactive `shell` in `directory` with the completions, but without the user's start-up files."""
    args, setup = START[shell]
    file = COMPLETIONS / shell / FILES[shell]
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "TERM": "xterm", "LANG": "C.UTF-8"}
    terminal = Terminal(args, directory, env)
    try:
        terminal.type(setup.format(file=shlex.quote(str(file)), directory=shlex.quote(str(file.parent))) + "\n")
        terminal.shows(READY)
        yield terminal
    finally:
        terminal.close()


def fish(line: str, directory: Path) -> list[str]:
    """Return what fish offers at the end of `line`, without the descriptions."""
    script = f"source {shlex.quote(str(COMPLETIONS / 'fish' / FILES['fish']))}; complete -C {shlex.quote(line)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [offered.partition("\t")[0] for offered in done.stdout.splitlines()]


def bash(words: list[str], directory: Path) -> list[str]:
    """Return what bash offers for the last of `words`."""
    script = (
        f"source {shlex.quote(str(COMPLETIONS / 'bash' / FILES['bash']))}; "
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '"$(complete -p registry-agent | sed "s/.*-F \\([^ ]*\\).*/\\1/")"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout.split("\n")[:-1]


def test_the_committed_files_are_what_the_parser_gives(tmp_path: Path) -> None:
    """If this fails after a change to a command or an option, run `make completions`."""
    subprocess.run([sys.executable, ROOT / "scripts/completions.py", tmp_path], cwd=ROOT, check=True)
    made, committed = (
        {str(path.relative_to(base)): path.read_text() for path in base.rglob("*") if path.is_file()}
        for base in (tmp_path, COMPLETIONS)
    )
    assert committed == made


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_of_every_command_is_offered(name: str, tmp_path: Path) -> None:
    """Bash and fish offer exactly the options of the parser, and none of another command."""
    need("bash", "fish")
    options = options_of(name)
    assert set(bash(["registry-agent", name, "-"], tmp_path)) == options
    long = {text for text in options if text.startswith("--")}
    assert set(fish(f"registry-agent {name} --", tmp_path)) == long


@pytest.mark.parametrize("shell", list(START))
def test_a_person_at_a_terminal_presses_tab(shell: str, tmp_path: Path) -> None:
    """Tab completes a command, its option, that option's file, and another option after it."""
    need(shell)
    (tmp_path / "my settings.toml").touch()
    with typing(shell, tmp_path) as terminal:
        terminal.type("registry-agent st\t")
        terminal.shows("registry-agent status ")
        terminal.type("--conf\t")
        terminal.shows("--config ")
        terminal.type("my\t")
        terminal.shows("my\\ settings.toml ")
        terminal.type("--js\t")
        terminal.shows("--json ")


def test_fish_offers_the_same(tmp_path: Path) -> None:
    """It offers commands, options and files, each only where it fits."""
    need("fish")
    (tmp_path / "my settings.toml").touch()
    assert fish("registry-agent st", tmp_path) == ["status"]
    assert set(fish("registry-agent ", tmp_path)) == set(COMMANDS)
    assert fish("registry-agent status --config my", tmp_path) == ["my settings.toml"]
    assert fish("registry-agent status --js", tmp_path) == ["--json"]
    assert fish("registry-agent run --js", tmp_path) == []

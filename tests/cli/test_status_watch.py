"""`registry-agent status --watch` at a real terminal."""

import re
import signal
import time

import pytest

from agent.model.commands import command
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.status import Phase, State
from tests.cli.terminal import Terminal
from tests.web.serving import Serving, serving

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def fill(rig: Serving, registries: int = 1) -> None:
    for number in range(registries):
        rig.log_in(f"{number}.example")
    rig.board.set_phase(Phase.RUNNING)


def shown(line: str) -> str:
    """The line without escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)


def watching(rig: Serving, **options: int) -> Terminal:
    return Terminal("status", "--watch", "--socket", str(rig.socket), **options)  # type: ignore[arg-type]  # sizes


async def test_each_change_is_drawn_over_the_last_picture() -> None:
    """The screen is not cleared in between, which would flicker, and the terminal's former content is kept."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("all is well: 1 of 1")
            rig.board.report("x", [LoginRejected("0.example", "it said no")])
            seen = await terminal.shows("error, action needed", after=seen)
            rig.board.report("x")
            await terminal.shows("all is well", after=seen)
            terminal.type("\x03")
            assert await terminal.ended() == 0
    assert terminal.written.startswith(ENTER)
    assert terminal.written.rstrip().endswith(LEAVE)
    assert not {"\x1b[2J", "\x1b[3J"} & {terminal.written[n : n + 4] for n in range(len(terminal.written))}


@pytest.mark.parametrize("end", ["\x03", "\x1c", signal.SIGTERM, signal.SIGHUP])
async def test_restores_the_terminal(end: str | signal.Signals) -> None:
    """Echo, screen and cursor are as before, however the command ends."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            await terminal.shows("press Ctrl-C to quit")
            assert terminal.modes_now() != terminal.modes
            if isinstance(end, str):
                terminal.type(end)
            else:
                terminal.signal(end)
            assert await terminal.ended() == 0
            assert terminal.modes_now() == terminal.modes
    assert terminal.written.rstrip().endswith(f"\x1b[?25h{LEAVE}")
    assert "Traceback" not in terminal.written


async def test_keys_do_nothing() -> None:
    """Pressing a key by mistake does not end the command, and does not appear in the picture."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("press Ctrl-C to quit")
            terminal.type("xyz \r\x1b[A")
            rig.log_in("another.example")
            await terminal.shows("another.example", after=seen)
            assert "xyz" not in terminal.written
            assert terminal.process.returncode is None


async def test_redraws_when_the_terminal_is_resized() -> None:
    """The picture never has more lines than the terminal."""
    async with serving() as rig:
        fill(rig, 40)
        async with watching(rig, rows=60) as terminal:
            seen = await terminal.shows("39.example")
            terminal.resize(80, 20)
            terminal.signal(signal.SIGWINCH)
            seen = await terminal.shows("more lines", after=seen)
            terminal.resize(80, 60)
            terminal.signal(signal.SIGWINCH)
            await terminal.shows("39.example", after=seen)
            small = terminal.written[:seen].rpartition("\x1b[H")[2]
    assert small.count("\r\n") < 20


async def test_a_command_that_is_wider_than_the_terminal_takes_the_rows_that_it_needs() -> None:
    """It can be copied, and the picture is never higher than the terminal, which would scroll."""
    run = str(command("sudo chown", "ada:", f"/home/ada/{'d' * 200}/config.json"))
    async with serving() as rig:
        fill(rig, 3)
        rig.board.report("x", [ConfigUnwritable("config.json", "it cannot be written", hint=f"give it back: {run}")])
        for rows in (40, 20, 19, 18, 17, 10):
            async with watching(rig, rows=rows) as terminal:
                await terminal.shows("press Ctrl-C to quit")
            picture = terminal.written.partition("\x1b[H")[2].partition("\x1b[H")[0]
            assert sum(max(-(-len(shown(line)) // 80), 1) for line in re.split(r"\r+\n", picture)) <= rows
            assert "more lines" in picture or run in picture


async def test_a_full_row_keeps_its_last_character() -> None:
    """The cursor stays on it, so clearing the rest of the line would remove it."""
    full = "w" * (80 - len("  error: "))
    async with serving() as rig:
        rig.board.report("x", [LoginRejected("0.example", full)])
        async with watching(rig) as terminal:
            await terminal.shows("press Ctrl-C")
            assert f"{full}\r" in terminal.written
            assert "press Ctrl-C to quit\x1b[K" in terminal.written


async def test_redraws_at_once_after_each_resize() -> None:
    """It does not wait for the next tick, one second later: ten resizes take less than ten seconds."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("press Ctrl-C to quit")
            began = time.monotonic()
            for columns in range(81, 91):
                terminal.resize(columns, 24)
                terminal.signal(signal.SIGWINCH)
                seen = await terminal.shows("press Ctrl-C to quit", after=seen)
            assert time.monotonic() - began < 9


async def test_shows_when_the_agent_stops_and_when_it_is_back() -> None:
    """The last picture stays, with the reason above it, and no error message is printed into the middle of it."""
    async with serving() as rig:
        fill(rig)
        directory = rig.directory
        async with watching(rig) as terminal:
            await terminal.shows("all is well")
            await rig.server.close()
            seen = await terminal.shows("no answer for")
            assert "0.example" in terminal.written[terminal.written.rindex("\x1b[H") :]
            async with serving(directory=directory) as another:
                another.log_in("another.example", State.LOGGED_IN)
                await terminal.shows("another.example", after=seen)
                picture = terminal.written[terminal.written.rindex("\x1b[H") :]
    assert "no answer" not in picture


async def test_ctrl_z_does_not_stop_it() -> None:
    """A stopped command would leave its picture to the shell."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("press Ctrl-C to quit")
            terminal.type("\x1a")
            rig.log_in("another.example")
            await terminal.shows("another.example", after=seen)
            terminal.type("\x03")
            assert await terminal.ended() == 0
            assert terminal.modes_now() == terminal.modes


async def test_respects_no_color() -> None:
    """With NO_COLOR the picture has no colours."""
    async with serving() as rig:
        fill(rig)
        async with Terminal("status", "--watch", "--socket", str(rig.socket), NO_COLOR="1") as terminal:
            await terminal.shows("all is well")
            assert "\x1b[32m" not in terminal.written
        async with Terminal("status", "--socket", str(rig.socket)) as terminal:
            await terminal.ended()
            assert "\x1b[32mall is well\x1b[0m" in terminal.written


async def test_sends_no_escapes_to_a_terminal_that_does_not_obey_them() -> None:
    """With TERM=dumb, as in the shell of Emacs, each change is printed below the last one."""
    async with serving() as rig:
        fill(rig)
        async with Terminal("status", "--watch", "--socket", str(rig.socket), TERM="dumb") as terminal:
            seen = await terminal.shows("all is well: 1 of 1")
            rig.log_in("another.example")
            await terminal.shows("all is well: 2 of 2", after=seen)
            terminal.type("\x03")
            assert await terminal.ended() == 0
    assert "\x1b" not in terminal.written

"""`registry-agent status --watch` at a real terminal."""

import signal
import time

import pytest

from agent.model.problems.registry import LoginRejected
from agent.model.status import Phase, State
from tests.cli.terminal import Terminal
from tests.web.serving import Serving, serving

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def fill(rig: Serving, registries: int = 1) -> None:
    for number in range(registries):
        rig.log_in(f"{number}.example")
    rig.board.set_phase(Phase.RUNNING)


def watching(rig: Serving, **options: int) -> Terminal:
    return Terminal("status", "--watch", "--socket", str(rig.socket), **options)  # type: ignore[arg-type]  # sizes


async def test_each_change_is_drawn_over_the_last_picture() -> None:
    """Without clearing anything in between, which would flicker; and what the terminal held before is not touched."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("all is well: 1 of 1")
            rig.board.report("x", [LoginRejected("0.example", "it said no")])
            seen = await terminal.shows("error, your turn", after=seen)
            rig.board.report("x")
            await terminal.shows("all is well", after=seen)
            terminal.type("q")
            assert await terminal.ended() == 0
    assert terminal.written.startswith(ENTER)
    assert terminal.written.rstrip().endswith(LEAVE)
    assert not {"\x1b[2J", "\x1b[3J"} & {terminal.written[n : n + 4] for n in range(len(terminal.written))}


@pytest.mark.parametrize("end", ["q", "Q", "\x03", signal.SIGTERM, signal.SIGHUP])
async def test_the_terminal_is_as_it_was_afterwards(end: str | signal.Signals) -> None:
    """However it ends: the modes of the keyboard, the screen, the cursor."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            await terminal.shows("q ends")
            assert terminal.modes_now() != terminal.modes
            if isinstance(end, str):
                terminal.type(end)
            else:
                terminal.signal(end)
            assert await terminal.ended() == 0
            assert terminal.modes_now() == terminal.modes
    assert terminal.written.rstrip().endswith(f"\x1b[?25h{LEAVE}")
    assert "Traceback" not in terminal.written


async def test_other_keys_do_nothing() -> None:
    """Nobody loses the picture by a slip."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("q ends")
            terminal.type("xyz \r\x1b[A")
            rig.log_in("another.example")
            await terminal.shows("another.example", after=seen)
            assert terminal.process.returncode is None


async def test_a_terminal_that_changes_its_size_is_drawn_anew() -> None:
    """At once, and never more lines than it has."""
    async with serving() as rig:
        fill(rig, 40)
        async with watching(rig, rows=60) as terminal:
            seen = await terminal.shows("39.example")
            terminal.resize(80, 20)
            terminal.signal(signal.SIGWINCH)
            seen = await terminal.shows("lines more", after=seen)
            terminal.resize(80, 60)
            terminal.signal(signal.SIGWINCH)
            await terminal.shows("39.example", after=seen)
            small = terminal.written[:seen].rpartition("\x1b[H")[2]
    assert small.count("\r\n") < 20


async def test_each_change_of_size_is_drawn_at_once() -> None:
    """Not only with the next second: ten in a row take no ten seconds."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("q ends")
            began = time.monotonic()
            for columns in range(81, 91):
                terminal.resize(columns, 24)
                terminal.signal(signal.SIGWINCH)
                seen = await terminal.shows("q ends", after=seen)
            assert time.monotonic() - began < 9


async def test_an_agent_that_goes_is_said_and_one_that_comes_is_shown() -> None:
    """The last picture stays, with the news above it, and no line of an error in the middle of it."""
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


async def test_it_can_be_put_aside() -> None:
    """Ctrl-Z gives the terminal back; going on takes it again."""
    async with serving() as rig:
        fill(rig)
        async with watching(rig) as terminal:
            seen = await terminal.shows("q ends")
            terminal.signal(signal.SIGTSTP)
            await terminal.stopped()
            assert LEAVE in terminal.written[seen:]
            assert terminal.modes_now() == terminal.modes
            seen = len(terminal.written)
            terminal.signal(signal.SIGCONT)
            await terminal.shows("all is well", after=seen)
            assert ENTER in terminal.written[seen:]


async def test_no_color_is_heeded() -> None:
    """The picture is the same without."""
    async with serving() as rig:
        fill(rig)
        async with Terminal("status", "--watch", "--socket", str(rig.socket), NO_COLOR="1") as terminal:
            await terminal.shows("all is well")
            assert "\x1b[32m" not in terminal.written
        async with Terminal("status", "--socket", str(rig.socket)) as terminal:
            await terminal.ended()
            assert "\x1b[32mall is well\x1b[0m" in terminal.written

"""Other programs write config.json while the agent logs in and renews."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import pytest

from tests.rig.needs import need
from tests.rig.waiting import until
from tests.torture import campaign
from tests.torture.config_json.documents import lay, parse
from tests.torture.config_json.neighbours import Neighbour
from tests.torture.config_json.site import THEIRS, Keeper, Site

Program: TypeAlias = Callable[[Neighbour, str], None]

_RENAMING: Final = [Neighbour.docker_login] * 5 + [Neighbour.docker_logout] * 3 + [Neighbour.edit_by_rename]
_PROGRAMS: Final[dict[str, Sequence[Program]]] = {
    # podman replaces a link with a file, and drops credsStore. With the other layouts, it would prove nothing.
    "plain": [*_RENAMING, Neighbour.edit_in_place, Neighbour.podman_login],
    "linked": [*_RENAMING, Neighbour.edit_in_place],
    "helper": [*_RENAMING, Neighbour.edit_in_place],
}
_SHARES: Final = {"plain": 250, "linked": 75, "helper": 75}
_AT_ONCE: Final = 100
_LANES: Final = 3
_FLIP_EVERY: Final = 5
_SETTLE_EVERY: Final = 25


class Both:
    """Runs each program on the agent's file, and on a copy that no agent manages.

    What docker drops by itself, it drops from both files. So every difference is the agent's fault.
    """

    def __init__(self, site: Site, keeper: Keeper) -> None:
        home = keeper.agent.docker.parent
        self._shared: Final = Neighbour(site.machine, home, keeper.agent.env)
        self._alone: Final = Neighbour(site.machine, home / "alone", keeper.agent.env)
        self._alone.config.parent.mkdir(parents=True)
        lay(self._alone.config, keeper.real.read_text())

    def do(self, program: Program, hostname: str) -> None:
        program(self._alone, hostname)
        program(self._shared, hostname)
        try:
            until("", self._equal, timeout=2)
        except AssertionError:
            states = f"{self._shared.state()}\n{self._alone.state()}"
            raise AssertionError(f"not as without an agent after {program.__name__} {hostname}:\n{states}") from None

    def _equal(self) -> bool:
        """Return whether both are equal. The agent may hide a write for a microsecond, but a lost write stays lost."""
        with suppress(ValueError):
            return self._shared.state() == self._alone.state()
        return False


def one_by_one(site: Site, layout: str, runs: int) -> str:
    """Run `runs` other programs next to the agent, one at a time, and return the figures."""
    need("podman", "sed")
    chance = campaign.chance(f"neighbours {layout}")
    with site.keeper(layout) as keeper:
        both = Both(site, keeper)
        keeper.flip()
        keeper.agent.start()
        for number in range(1, runs + 1):
            if number % _FLIP_EVERY == 0:
                keeper.flip()
            both.do(chance.choice(_PROGRAMS[layout]), chance.choice(THEIRS))
            if number % _SETTLE_EVERY == 0 or number == runs:
                keeper.settled()
        restored, stored = keeper.log_count("login.restored"), keeper.log_count("login.stored")
    return (
        f"{runs} runs beside {stored} writes of the agent; {restored} times it put back what they dropped of its own; "
        "nothing of theirs lost"
    )


@pytest.mark.parametrize("layout", _SHARES)
def test_other_programs_lose_nothing_by_the_agent(site: Site, layout: str) -> None:
    """After each run, the file is as it would be without an agent. At the end, all the agent's logins are stored."""
    one_by_one(site, layout, 6)


def test_a_former_login_of_ours_that_somebody_brings_back_is_no_persons(site: Site) -> None:
    """A `docker login` elsewhere, begun before our renewal, writes our old login back. The agent replaces it."""
    with site.keeper("plain") as keeper:
        keeper.flip()
        keeper.agent.start()
        keeper.settled()
        before = keeper.real.read_text()
        keeper.flip()
        keeper.settled()
        lay(keeper.real.with_name("dockers"), before)
        keeper.real.with_name("dockers").rename(keeper.real)
        keeper.settled()


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("layout", _SHARES)
def test_hundreds_of_other_programs(site: Site, capsys: pytest.CaptureFixture[str], layout: str) -> None:
    """The same, four hundred times in all."""
    campaign.say(capsys, f"neighbours ({layout})", one_by_one(site, layout, campaign.times(_SHARES[layout])))


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program, with the times of its start and end."""

    program: Program
    hostname: str
    began: float
    ended: float

    def overlaps(self, other: "Run") -> bool:
        return self is not other and self.began < other.ended and other.began < self.ended


def at_once(site: Site, runs: int) -> str:
    """Run about `runs` programs, several at once. Return the figures. Fails if a loss can only be the agent's fault."""
    done: list[Run] = []
    with site.keeper("plain") as keeper:
        keeper.flip()
        keeper.agent.start()
        neighbour = Neighbour(site.machine, keeper.agent.docker.parent, keeper.agent.env)
        with ThreadPoolExecutor(_LANES) as pool:
            lanes = [pool.submit(_lane, neighbour, number, runs // _LANES + 1) for number in range(_LANES)]
            while wait(lanes, timeout=1).not_done:
                keeper.flip()
                until("a look at the file", lambda: parse(keeper.real.read_bytes()))
        for lane in lanes:
            done += lane.result()
        keeper.settled()
        lost = losses(parse(keeper.real.read_bytes())["auths"], done)
    return f"{len(done)} runs, {_LANES} at a time; they undid {lost} of each other's, the agent none"


def _lane(neighbour: Neighbour, number: int, runs: int) -> list[Run]:
    """Run programs one after the other, with host names that no other lane uses."""
    chance, done = campaign.chance(f"lane {number}"), []
    for _ in range(runs):
        program, hostname = chance.choice(_RENAMING), chance.choice(THEIRS[number::_LANES])
        began = time.monotonic()
        program(neighbour, hostname)
        done.append(Run(program, hostname, began, time.monotonic()))
    return done


def losses(auths: dict[str, object], done: Sequence[Run]) -> int:
    """Return for how many hosts the last command was undone. Fails if no other program can have undone it."""
    assert auths["their.example"]
    last = {run.hostname: run for run in done if run.program is not Neighbour.edit_by_rename}
    undone = [run for run in last.values() if (run.program is Neighbour.docker_login) is not (run.hostname in auths)]
    for run in undone:
        assert any(run.overlaps(other) for other in done), f"{run} was undone while no other program ran"
    return len(undone)


def test_other_programs_at_once_lose_nothing_by_the_agent(site: Site) -> None:
    """Docker's programs write without a lock, and undo each other's writes. Every loss comes from one of them."""
    at_once(site, 9)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_hundred_other_programs_at_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, a hundred times."""
    campaign.say(capsys, "neighbours (at once)", at_once(site, campaign.times(_AT_ONCE)))

"""The agent's own services as `agent.parts` wires them, without those that read files or listen."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, Final

from agent.edge.ledger import Ledger
from agent.model.plan import Found
from agent.model.secret import parse_secret
from agent.model.status import OpenWarning
from agent.services.board import Board
from agent.services.clock_watch import ClockWatch
from agent.services.credentials import Credentials
from agent.services.custody import Custody
from agent.services.logins import Logins
from agent.services.planning import Planning
from agent.services.refusals import Refusals
from agent.services.sign_in import SignIn
from agent.services.surroundings import Surroundings
from agent.settings import Settings
from tests.fakes import NoLookout, process
from tests.longlife.outside import Aws, Cli, DockerConfig, NoHelpers, NoPodman, RegistryServer
from tests.longlife.warp import WarpClock
from tests.services.login_parts import FakeDocker


class Tally:
    """A log and a journal that count, since what they remembered would grow."""

    def __init__(self) -> None:
        self.events: Final[Counter[str]] = Counter()

    def debug(self, event: str, **_: Any) -> None:
        self.events[event] += 1

    info = warning = error = debug

    def exception(self, event: str, **fields: Any) -> None:
        raise AssertionError(event, fields)

    def warning_raised(self, warning: OpenWarning) -> None:
        self.events[f"raised {warning.code}"] += 1

    def warning_cleared(self, warning: OpenWarning) -> None:
        self.events[f"cleared {warning.code}"] += 1


class AgentInside:
    """From `run` on it keeps `config` logged in with what `give` said last."""

    def __init__(
        self,
        clock: WarpClock,
        chance: Random,
        aws: Aws,
        servers: Mapping[str, RegistryServer],
        *,
        config: DockerConfig,
        ledger: Ledger,
    ) -> None:
        settings = Settings()
        self.tally: Final = Tally()
        self.ledger: Final = ledger
        self.board: Final = Board(process(), clock.now, self.tally)
        self.credentials: Final = Credentials(
            tokens=aws,
            clock=clock,
            settings=lambda: settings,
            board=self.board,
            log=self.tally,
            draw=lambda: chance.uniform(-1, 1),
        )
        self.custody: Final = Custody(
            config=config,
            helpers=NoHelpers(),
            podman=NoPodman(),
            ledger=self.ledger,
            board=self.board,
            clock=clock,
            log=self.tally,
            lookout=NoLookout(),
        )
        cli, numbers = Cli(servers), count(1)
        surroundings = Surroundings(
            credentials=self.credentials,
            sign_in=SignIn(cli, cli, cli, lambda: settings.docker.login_timeout_s),
            custody=self.custody,
            refusals=Refusals(self.ledger, clock.now),
            docker=FakeDocker(),
            board=self.board,
            clock=clock,
            log=self.tally,
            settings=lambda: settings,
            new_id=lambda: f"{next(numbers):08x}",
        )
        self.logins: Final = Logins(
            surroundings, board=self.board, ledger=self.ledger, tokens=self.credentials, want_aws=lambda _: None
        )
        self._planning: Final = Planning(lambda: settings, None, self.logins.follow)
        self._clock_watch: Final = ClockWatch(clock, self.board, self.tally, self._look_at_clock)

    def give(self, secrets: Sequence[Mapping[str, object]]) -> None:
        parsed = tuple(parse_secret(fields, "life", f"[{index}]") for index, fields in enumerate(secrets))
        self._planning.take(Found(parsed))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for service in (self.logins, self.custody, self._clock_watch):
                group.create_task(service.run(), name=service.name)

    def sizes(self) -> dict[str, int]:
        """How much each part that remembers holds now."""
        snapshot = self.board.snapshot
        return {
            "tasks": len(asyncio.all_tasks()),
            "tokens held": len(self.credentials._holdings),
            "logins": len(self.logins._logins) + len(self.logins._tasks) + len(self.logins._skipped),
            "releases": self.logins._departures.open,
            "charges": len(self.custody._charges) + len(self.custody._turns),
            "ledger": len(self.ledger.entries()),
            "refusals": len(self.ledger._rejections),
            "rows": len(snapshot.registries) + len(self.board._stored_in),
            "warnings": len(snapshot.warnings) + len(self.board._owned),
            "cleared": len(snapshot.cleared),
        }

    def _look_at_clock(self) -> None:
        self.credentials.clock_jumped()
        self.logins.wake()

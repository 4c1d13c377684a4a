"""The agent's services as `agent.wiring` connects them, without those that read files or listen."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, Final

from agent.edge.state_file import StateFile
from agent.model.plan import SecretSet
from agent.model.secret import parse_secret
from agent.model.status import OpenWarning
from agent.services.board import Board
from agent.services.clock_watch import ClockWatch
from agent.services.credentials import Credentials
from agent.services.docker_login import DockerLogin
from agent.services.login_dependencies import LoginDependencies
from agent.services.logins import Logins
from agent.services.periodic import Periodic
from agent.services.planning import Planning
from agent.services.reconciler import ConfigReconciler
from agent.services.rejections import Rejections
from agent.services.waiting import BEAT_S
from agent.settings import Settings
from tests.fakes import ClockedFileWatcher, process
from tests.longlife.outside import Aws, Cli, DockerConfig, NoHelpers, NoPodman, RegistryServer
from tests.longlife.warp import WarpClock
from tests.services.login_fakes import FakeDocker


class Counts:
    """Counts log events and warnings. Records would grow, and the tests check that nothing grows."""

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
    """After `run`, it keeps the logins in `config` up to date with the secrets of the last `give`."""

    def __init__(
        self,
        clock: WarpClock,
        chance: Random,
        aws: Aws,
        servers: Mapping[str, RegistryServer],
        *,
        config: DockerConfig,
        state_file: StateFile,
    ) -> None:
        settings = Settings()
        self.counts: Final = Counts()
        self.state_file: Final = state_file
        self.board: Final = Board(process(), clock.now, self.counts)
        self.credentials: Final = Credentials(
            tokens=aws,
            clock=clock,
            settings=lambda: settings,
            board=self.board,
            log=self.counts,
            jitter=lambda: chance.uniform(-1, 1),
        )
        self.watcher: Final = ClockedFileWatcher(clock, tick_s=4)
        self.reconciler: Final = ConfigReconciler(
            config=config,
            helpers=NoHelpers(),
            podman=NoPodman(),
            state_file=self.state_file,
            board=self.board,
            clock=clock,
            log=self.counts,
            watcher=self.watcher,
        )
        cli, numbers = Cli(servers), count(1)
        dependencies = LoginDependencies(
            credentials=self.credentials,
            docker_login=DockerLogin(cli, cli.probe, cli, lambda: settings.docker.login_timeout_s).log_in,
            reconciler=self.reconciler,
            rejections=Rejections(self.state_file, clock.now),
            docker=FakeDocker(),
            board=self.board,
            clock=clock,
            log=self.counts,
            settings=lambda: settings,
            new_id=lambda: f"{next(numbers):08x}",
        )
        self.logins: Final = Logins(dependencies, board=self.board, state_file=self.state_file, want_aws=lambda _: None)
        self._planning: Final = Planning(lambda: settings, None, self.logins.follow)
        clock_watch = ClockWatch(clock, self.board, self.counts, self._on_clock_jump)
        self._clock_watch: Final = Periodic("clock", BEAT_S, clock_watch.check, clock)

    def give(self, secrets: Sequence[Mapping[str, object]]) -> None:
        parsed = tuple(parse_secret(fields, "life", f"[{index}]") for index, fields in enumerate(secrets))
        self._planning.take(SecretSet(parsed))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for service in (self.logins, self.reconciler, self._clock_watch):
                group.create_task(service.run(), name=service.name)

    def sizes(self) -> dict[str, int]:
        """How many items each component with a memory holds now."""
        snapshot = self.board.snapshot
        return {
            "tasks": len(asyncio.all_tasks()),
            "tokens": len(self.credentials._states),
            "logins": len(self.logins._logins) + len(self.logins._tasks) + len(self.logins._skipped),
            "pending removals": self.logins._cleanup.pending,
            "managed logins": len(self.reconciler._logins) + len(self.reconciler._locks),
            "state_file": len(self.state_file.entries()),
            "rejections": len(self.state_file._rejections),
            "rows": len(snapshot.registries) + len(self.board._stored_in),
            "warnings": len(snapshot.warnings) + len(self.board._owned),
            "cleared": len(snapshot.cleared),
        }

    def _on_clock_jump(self) -> None:
        self.credentials.clock_jumped()
        self.logins.wake()

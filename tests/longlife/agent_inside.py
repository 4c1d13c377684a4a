"""The agent's services as `agent.wiring` connects them, without those that read files or listen."""

import asyncio
import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, Final

from agent.edge.state_file import StateFile
from agent.model.credential import AwsIdentity, Credential
from agent.model.plan import SecretSet
from agent.model.problem import Problem
from agent.model.registry import Registry
from agent.model.secret import parse_secret
from agent.model.status import OpenWarning
from agent.model.stored_state import Rejection
from agent.services.board import Board
from agent.services.clock_watch import ClockWatch
from agent.services.confirmed_time import ConfirmedTime
from agent.services.credential_store import CredentialStore
from agent.services.credentials import Credentials
from agent.services.docker_login import DockerLogin
from agent.services.expiry_proof import ExpiryProof
from agent.services.login import RegistryLogin
from agent.services.login_dependencies import LoginDependencies
from agent.services.logins import Logins
from agent.services.managed_login import ManagedLogin
from agent.services.periodic import Periodic
from agent.services.planning import Planning
from agent.services.reconciler import ConfigReconciler
from agent.services.rejections import Rejections
from agent.services.served_logins import ServedLogins
from agent.services.waiting import BEAT_S
from agent.settings import Settings
from tests.fakes import ClockedFileWatcher, process
from tests.longlife.outside import Aws, Cli, DockerConfig, NoHelpers, NoPodman, RegistryServer
from tests.longlife.warp import WarpClock
from tests.services.login_fakes import FakeDocker
from tests.services.store_choice import FixedChoice

_KINDS: Final[Mapping[str, type]] = {
    "identities": AwsIdentity,
    "tokens": Credential,
    "logins": RegistryLogin,
    "managed logins": ManagedLogin,
    "locks": asyncio.Lock,
    "registries": Registry,
    "rejections": Rejection,
    "problems": Problem,
}


def _count() -> tuple[dict[str, int], int]:
    """How many objects of each kind this process holds, and of all kinds."""
    gc.collect()
    types = Counter(type(each) for each in gc.get_objects())
    kinds = {name: sum(types[one] for one in types if issubclass(one, kind)) for name, kind in _KINDS.items()}
    return kinds, types.total()


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
    """After `run`, it keeps the logins in `config` up to date with the secrets of the last `give`.

    `passwords` are those of these secrets, by host name.
    """

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
        self._before: Final = _count()[0]  # other tests in this process leave objects behind
        self.counts: Final = Counts()
        self.passwords: dict[str, object] = {}
        self.state_file: Final = state_file
        self.board: Final = Board(process(), clock.now, self.counts)
        time = ConfirmedTime(clock)
        aws.observe = time.observe
        self.credentials: Final = Credentials(
            fetch=aws.fetch_token,
            clock=clock,
            settings=lambda: settings,
            board=self.board,
            log=self.counts,
            jitter=lambda: chance.uniform(-1, 1),
        )
        self.watcher: Final = ClockedFileWatcher(clock, tick_s=4)
        served = ServedLogins()
        store = CredentialStore(
            config,
            NoHelpers(),
            state_file,
            has_ended=lambda end: time.now().proves(end),
            choice=FixedChoice(),
            served=served,
        )
        self.reconciler: Final = ConfigReconciler(
            config=config,
            store=store,
            podman=NoPodman(),
            board=self.board,
            clock=clock,
            time=time,
            log=self.counts,
            watcher=self.watcher,
        )
        cli, numbers = Cli(servers), count(1)
        probe, confirm = time.observing(cli.probe), time.asking(cli.probe)
        dependencies = LoginDependencies(
            credentials=self.credentials,
            docker_login=DockerLogin(cli, probe, cli, lambda: settings.docker.login_timeout_s).log_in,
            check_login=cli.check,
            reconciler=self.reconciler,
            served=served,
            rejections=Rejections(self.state_file, time, confirm=confirm),
            docker=FakeDocker(),
            board=self.board,
            clock=clock,
            time=time,
            expiry=ExpiryProof(time, confirm, lambda: settings.retry.max_wait_s),
            log=self.counts,
            settings=lambda: settings,
            new_id=lambda: f"{next(numbers):08x}",
            jitter=lambda: 0.0,
        )
        self.logins: Final = Logins(dependencies, state_file=self.state_file, want_aws=lambda _: None)
        self._planning: Final = Planning(lambda: settings, {}, self.logins.follow)
        clock_watch = ClockWatch(clock, self.board, self.counts, self._on_clock_jump)
        self._clock_watch: Final = Periodic("clock", BEAT_S, clock_watch.check, clock)

    def give(self, secrets: Sequence[Mapping[str, object]]) -> None:
        self.passwords = {str(fields["hostname"]): fields.get("password") for fields in secrets}
        parsed = tuple(parse_secret(fields, "life", f"[{index}]") for index, fields in enumerate(secrets))
        self._planning.use(SecretSet(parsed))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for service in (self.logins, self.reconciler, self._clock_watch):
                group.create_task(service.run(), name=service.name)

    def sizes(self) -> dict[str, int]:
        """How many objects of each kind the agent holds now. Whatever a component does not forget is one of them."""
        kinds, objects = _count()
        snapshot = self.board.snapshot
        return {
            "tasks": len(asyncio.all_tasks()),
            **{name: count - self._before[name] for name, count in kinds.items()},
            "state_file": len(self.state_file.entries()),
            "rejections": len(self.state_file.rejections()),
            "rows": len(snapshot.registries),
            "warnings": len(snapshot.warnings),
            "cleared": len(snapshot.cleared),
            "objects": objects,
        }

    def _on_clock_jump(self) -> None:
        self.credentials.clock_jumped()
        self.logins.wake()

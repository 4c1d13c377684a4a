"""What the login of a registry works with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.model.credential import Credential
from agent.model.plan import Login
from agent.services.docker_login import DockerLoginResult
from agent.services.expiry_proof import ExpiryProof
from agent.services.other_logins import CheckLogin
from agent.services.ports import Board, Clock, ConfirmedTime, Credentials, Docker, Log, Reconciler, Rejections
from agent.services.served_logins import ServedLogins
from agent.settings import Settings


@dataclass(frozen=True, slots=True)
class LoginDependencies:
    """What all logins share.

    `docker_login` raises a `ProblemError`. `new_id` creates the ID of an attempt. `jitter` is from -1 to 1, and spreads
    checks over time.
    """

    credentials: Credentials
    docker_login: Callable[[Login, Credential], Awaitable[DockerLoginResult]]
    check_login: CheckLogin
    reconciler: Reconciler
    served: ServedLogins
    rejections: Rejections
    docker: Docker
    board: Board
    clock: Clock
    time: ConfirmedTime
    expiry: ExpiryProof
    log: Log
    settings: Callable[[], Settings]
    new_id: Callable[[], str]
    jitter: Callable[[], float]

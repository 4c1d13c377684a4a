"""The login itself, by the real docker CLI in a private directory; and whether it may be tried at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agent.doctor.check import Check, from_problem, passed, with_more
from agent.doctor.environment import Tools
from agent.edge.docker_cli import DockerCli
from agent.edge.registry_client import RegistryClient
from agent.model.credential import Credential
from agent.model.plan import Login
from agent.model.problems.registry import LoginRejected
from agent.model.status import State, rfc3339
from agent.model.text import printable
from agent.services.docker_login import DockerLogin
from agent.services.rejections import Rejections

_LONGEST_S: Final = 14.0
_PREFIX: Final = "logins-doctor-"
"""What a kill leaves goes at the agent's next start, as everything of this kind in its runtime directory."""
_TRY: Final = "it is not sent again, since accounts get locked; change the secret, or say --try to send it once more"


def active_rejection(login: Login, rejections: Rejections, row: Mapping[str, Any] | None) -> Check | None:
    """The refusal of this very password, if the state directory or the agent that runs knows of one.

    A token is fetched anew each time, and locks no account.
    """
    if not isinstance(login.source, Credential):
        return None
    known = rejections.active(login)
    if known is not None:
        problem, until = known
        return with_more(from_problem("login", problem), f"refused before, held back until {rfc3339(until)}: {_TRY}")
    if row is not None and row.get("state") == State.REJECTED and row.get("secret") == login.secret.name:
        said = printable(str(row.get("last_error") or "no reason given"))
        refused = LoginRejected(login.registry.hostname, f"the agent says: {said}")
        return with_more(from_problem("login", refused), _TRY)
    return None


async def try_login(login: Login, credential: Credential, parts: "LoginParts") -> Check:
    """Log in as the agent does; nothing of it is kept.

    Raises:
        ProblemError: it failed, and why.
    """
    timeout_s = min(parts.timeout_s, _LONGEST_S)
    docker_login = DockerLogin(parts.cli, parts.probe, parts.tools, lambda: timeout_s)
    signed = await docker_login.log_in(login, credential)
    return passed(
        "login", f"{login.registry.hostname} takes user {printable(signed.entry.username or credential.username, 100)}"
    )


class LoginParts:
    """What a login needs: the CLI with its private place, the agent's own look, the tools."""

    def __init__(self, cli: DockerCli, probe: RegistryClient, tools: Tools, timeout_s: float) -> None:
        self.cli: Final = cli
        self.probe: Final = probe
        self.tools: Final = tools
        self.timeout_s: Final = timeout_s


@contextlib.contextmanager
def private_place(runtime: Path) -> Iterator[Path]:
    """A directory for logins in the runtime directory; afterwards all is as it was. Blocking.

    Where none can be made the name of one that is not there is given, so that a login tells why.
    """
    missing = [above for above in (runtime, *runtime.parents) if not above.exists()]
    try:
        runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=runtime))
    except OSError:
        yield runtime / f"{_PREFIX}none"
        return
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        for directory in missing:
            with contextlib.suppress(OSError):
                directory.rmdir()

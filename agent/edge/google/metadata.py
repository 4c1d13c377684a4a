"""Asks Google's metadata server for the token, the name and the access scopes of this machine's service account."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from agent.edge.cloud_http import CloudHttp, CloudRequest, NoAnswerError
from agent.edge.google.token import GoogleToken
from agent.model.cloud_reply import CloudReply
from agent.model.docker_results import Fault
from agent.model.google_errors import (
    ERRORS,
    SUBJECT,
    foreign_metadata,
    is_from_google,
    metadata_problem,
    scopes_problem,
    unknown_universe,
)
from agent.model.google_names import UNIVERSE, UNIVERSES
from agent.model.problem import ProblemError
from agent.model.problems.google import GoogleCredentialsMissing, GoogleStarting
from agent.model.text import printable

# The dot at the end keeps search domains out. Without a name server, the address works.
_HOSTS: Final = ("metadata.google.internal.", "169.254.169.254")
_ROOT: Final = "/computeMetadata/v1"
_ACCOUNT: Final = "instance/service-accounts/default"
_FLAVOR: Final = {"Metadata-Flavor": "Google"}


@dataclass(slots=True, eq=False)
class MetadataServer:
    """The server on this machine's host. `environ` may name another one (`GCE_METADATA_HOST`).

    `start` is how long after the first request it may still be starting, if its name resolves.
    """

    http: CloudHttp
    environ: Mapping[str, str]
    start: timedelta = timedelta()
    _asked_at: datetime | None = field(default=None, init=False)
    _has_answered: bool = field(default=False, init=False)
    _universe: str | None = field(default=None, init=False)

    async def token(self, tried: str = "") -> GoogleToken:
        """Return the token of the service account.

        Args:
            tried: the sources of credentials that are not configured, for the message if nothing answers.

        Raises:
            ProblemError: Google refuses, this is not Google Cloud, or the access scopes allow no pull.
        """
        self._asked_at = self._asked_at or self.http.now()
        try:
            reply = await self._ask(f"{_ACCOUNT}/token")
        except NoAnswerError as error:
            message = f"no Google Cloud credentials found; tried {tried}the metadata server ({error.detail})"
            kind = GoogleStarting if self._may_start(error.fault) else GoogleCredentialsMissing
            raise ProblemError(kind(SUBJECT, message)) from None
        self._has_answered = True
        if not is_from_google(reply):
            raise ProblemError(foreign_metadata(reply))
        if not reply.ok:
            # It names the account of a pod, even if it gives no token for it.
            email = await self._detail("email") if reply.status in (403, 404) else ""
            account = printable(email.strip(), 200)
            raise ProblemError(ERRORS.problem(reply, lambda reply: metadata_problem(reply, account)))
        token = ERRORS.needed(reply, reply.secret("access_token"), "access_token")
        expires_at = ERRORS.needed(reply, reply.ends_in(reply.seen_at), "expires_in")
        email, scopes = await asyncio.gather(self._detail("email"), self._detail("scopes"))
        principal = printable(email.strip(), 200) or None
        problem = scopes_problem(principal, scopes.split())
        if problem is not None:
            raise ProblemError(problem)
        place = f"the metadata server ({reply.action})"
        return GoogleToken(token, expires_at, place, principal, is_machines=True)

    def _may_start(self, fault: Fault) -> bool:
        if self._has_answered or self._asked_at is None or fault not in (Fault.UNREACHABLE, Fault.TIMEOUT):
            return False
        # Of a clock that is set back, the error must not wait for hours.
        return abs(self.http.now() - self._asked_at) < self.start

    async def universe(self) -> str:
        """Return the domain of this machine's cloud, which never changes: Google's own if the server knows none.

        Raises:
            ProblemError: there is no answer, or it names a domain that no token may go to.
        """
        if self._universe is None:
            self._universe = await self._fetch_universe()
        return self._universe

    async def _fetch_universe(self) -> str:
        try:
            reply = await self._ask("universe/universe-domain")
        except NoAnswerError as error:
            raise ERRORS.no_answer(error) from None
        if reply.status not in (200, 404):
            raise ProblemError(ERRORS.problem(reply, lambda _: None))
        universe = (reply.text.strip() if reply.ok else "") or UNIVERSE
        if universe not in UNIVERSES:
            raise ProblemError(unknown_universe(universe))
        return universe

    async def _detail(self, name: str) -> str:
        """Return what the server answers about the account. Empty if it does not: the token works without it."""
        try:
            reply = await self._ask(f"{_ACCOUNT}/{name}")
        except NoAnswerError:
            return ""
        return reply.text if reply.ok and is_from_google(reply) else ""

    async def _ask(self, path: str) -> CloudReply:
        """Return the answer of the first host. The next one is asked only if its name does not resolve."""
        failures: dict[str, NoAnswerError] = {}
        for host in self._hosts:
            try:
                url = f"http://{host}{_ROOT}/{path}"
                return await self.http.send(CloudRequest(host.rstrip("."), url, _FLAVOR, direct=True))
            except NoAnswerError as error:
                failures[host] = error
                if error.fault is not Fault.DNS:
                    break
        reasons = "; ".join(f"{host}: {failure.detail}" for host, failure in failures.items())
        raise NoAnswerError("the metadata server", next(iter(failures.values())).fault, reasons)

    @property
    def _hosts(self) -> tuple[str, ...]:
        given = self.environ.get("GCE_METADATA_HOST") or self.environ.get("GCE_METADATA_ROOT")
        return (given,) if given else _HOSTS

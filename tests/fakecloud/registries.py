"""A simulated registry that can fail, and that forwards requests to a real registry if it has one."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from agent.demo.registries import Auth, LoginRegistry, Refusal, basic, errors
from tests.fakecloud.faults import Fault, act_out
from tests.fakecloud.tokens import Verdict
from tests.fakecloud.upstream import Upstream

ECR_EXPIRED: Final = "Your authorization token has expired. Reauthenticate and try again."


class EcrAuth:
    """Like ECR: Basic with user `AWS` and a token that AWS issued for this region (`public` for ECR Public).

    `verdict` knows which tokens are valid: `PretendAws.valid`.
    """

    def __init__(self, verdict: Callable[[str, str, str], Verdict], region: str) -> None:
        self._verdict: Final = verdict
        self._region: Final = region

    async def __call__(self, request: web.BaseRequest) -> str:
        given = basic(request)
        verdict = self._verdict(*given, self._region) if given else Verdict.WRONG
        if given and verdict is Verdict.OK:
            return given[0]
        raise Refusal(_refused(verdict, request), given[0] if given else None)


class PretendRegistry(LoginRegistry):
    """One registry. While `fault` is not None, it is the answer to every request.

    Without `auth`, everybody is logged in. Without `upstream`, it has no images: everything except `/v2/` is 404.
    """

    def __init__(self, auth: Auth | None, *, upstream: Upstream | None = None) -> None:
        super().__init__(auth or _anonymous)
        self._upstream: Final = upstream
        self.fault: Fault | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.fault is not None:
            return await act_out(self.fault, request)
        return await super().handle(request)

    async def content(self, request: web.BaseRequest) -> web.StreamResponse:
        return await (self._upstream.pass_on(request) if self._upstream else super().content(request))


def _refused(verdict: Verdict, request: web.BaseRequest) -> web.Response:
    if verdict is Verdict.EXPIRED:
        return errors(403, "DENIED", ECR_EXPIRED)
    if verdict is Verdict.FOREIGN:
        return web.Response(status=400)
    realm = f'Basic realm="{request.scheme}://{request.host}/",service="ecr.amazonaws.com"'
    return errors(401, "UNAUTHORIZED", "Not Authorized", {"WWW-Authenticate": realm})


async def _anonymous(_request: web.BaseRequest) -> str:
    return "anonymous"

"""A simulated Google Cloud: metadata server, Security Token Service, login server, IAM credentials, Artifact Registry.

The answers have the form of Google's own. Clients use the real names: `NAMES` lead here through a `Tunnel`, and
`GCE_METADATA_HOST` names the metadata server.
"""

import math
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from aiohttp import web

from agent.demo.registries import Refusal, basic, errors
from tests.fakecloud.faults import Fault, act_out

NAMES: Final = (
    *("sts.googleapis.com", "oauth2.googleapis.com", "iamcredentials.googleapis.com"),
    *("sts.s3nsapis.fr", "iamcredentials.s3nsapis.fr"),
)
USER: Final = "oauth2accesstoken"
EMAIL: Final = "dev@acme.iam.gserviceaccount.com"
AUDIENCE: Final = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/dev/providers/ona"
ALL_SCOPES: Final = "https://www.googleapis.com/auth/cloud-platform"
_ACCOUNT: Final = "/computeMetadata/v1/instance/service-accounts/default/"
TOKEN: Final = f"{_ACCOUNT}token"
"""Where the metadata server gives tokens."""
UNIVERSE: Final = "/computeMetadata/v1/universe/universe-domain"
"""Where the metadata server names the domain of its cloud."""
_IMPERSONATE: Final = "/v1/projects/-/serviceAccounts/"
_FLAVOR: Final = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}


@dataclass(frozen=True, slots=True)
class GoogleToken:
    principal: str
    scope: str
    expires_at: datetime


class PretendGoogle:
    """One project. Attributes that are not Final can be changed while it serves.

    Attributes:
        token_life_s: the longest life of tokens issued from now on.
        kept_until_s: how long before its end the metadata server replaces its token.
        email: the service account of the machine, or None if it has none.
        scopes: the access scopes of the machine.
        universe: what the metadata server names as the domain of its cloud, or None if it does not know it.
        subjects: the subject of each identity token that the provider accepts.
        refresh_tokens: the person behind each refresh token.
        may_impersonate: pairs of a principal and a service account that it may get tokens for.
        readers: the principals that may pull.
        faults: what a service answers instead, by `metadata`, `sts`, `oauth2`, `iamcredentials`; or what the last one
            answers about a service account, by its e-mail address; or what `TOKEN` answers.
        delegates: through which accounts the last token of a service account was requested.
        calls: how often each service was asked.
    """

    def __init__(
        self, *, token_life_s: float = 3600, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.token_life_s = token_life_s
        self.kept_until_s = 240.0
        self.email: str | None = EMAIL
        self.scopes = [ALL_SCOPES]
        self.universe: str | None = None
        self.subjects: Final[dict[str, str]] = {}
        self.refresh_tokens: Final[dict[str, str]] = {}
        self.may_impersonate: Final[set[tuple[str, str]]] = set()
        self.readers: Final[set[str]] = set()
        self.delegates: list[str] = []
        self.faults: Final[dict[str, Fault]] = {}
        self.calls: Final[Counter[str]] = Counter()
        self.issued: Final[dict[str, GoogleToken]] = {}
        self._clock: Final = clock
        self._kept: str | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        service = _service(request)
        self.calls[service] += 1
        fault = self.faults.get(_account(request)) or self.faults.get(request.path) or self.faults.get(service)
        answer = await (act_out(fault, request) if fault else self._answer(service, request))
        answer.headers["Date"] = format_datetime(self._clock(), usegmt=True)
        return answer

    def issue(self, principal: str, scope: str = ALL_SCOPES, life_s: float = math.inf) -> tuple[str, GoogleToken]:
        text = f"ya29.{secrets.token_urlsafe(60)}"
        ends = self._clock() + timedelta(seconds=min(self.token_life_s, life_s))
        self.issued[text] = GoogleToken(principal, scope, ends)
        return text, self.issued[text]

    @property
    def secrets(self) -> list[str]:
        """All tokens that were issued."""
        return list(self.issued)

    def holder(self, text: str) -> str | None:
        """Return the principal that a token belongs to, or None if it is not valid."""
        token = self.issued.get(text)
        return token.principal if token is not None and token.expires_at > self._clock() else None

    async def _answer(self, service: str, request: web.BaseRequest) -> web.Response:
        if service == "metadata":
            return self._metadata(request)
        if request.method != "POST":
            return web.Response(status=405)
        if service == "iamcredentials":
            return await self._impersonate(request)
        form = {name: str(value) for name, value in (await request.post()).items()}
        return self._exchange(form) if service == "sts" else self._refresh(form)

    def _metadata(self, request: web.BaseRequest) -> web.Response:
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403, text="Missing required header: Metadata-Flavor")
        if self.email is not None and request.path == TOKEN:
            text = self._kept_token()
            left = (self.issued[text].expires_at - self._clock()).total_seconds()
            body = {"access_token": text, "expires_in": int(left), "token_type": "Bearer"}
            return web.json_response(body, headers=_FLAVOR)
        texts = {UNIVERSE: self.universe}
        if self.email is not None:
            texts |= {f"{_ACCOUNT}email": self.email, f"{_ACCOUNT}scopes": "\n".join(self.scopes) + "\n"}
        found = texts.get(request.path)
        if found is None:
            return web.Response(status=404, text="<!DOCTYPE html><title>404</title>", headers=_FLAVOR)
        return web.Response(text=found, headers=_FLAVOR)

    def _kept_token(self) -> str:
        """Return the same token until shortly before it expires."""
        kept = self._kept
        if kept is None or self.issued[kept].expires_at - self._clock() < timedelta(seconds=self.kept_until_s):
            kept = self._kept = self.issue(self.email or "")[0]
        return kept

    def _exchange(self, form: Mapping[str, str]) -> web.Response:
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange":
            return _oauth_error("unsupported_grant_type", "")
        if form.get("audience") != AUDIENCE:
            return _oauth_error("invalid_target", "The target service indicated by the audience is invalid.")
        subject = self.subjects.get(form.get("subject_token", ""))
        if subject is None:
            words = "The audience in ID Token [other] does not match the expected audience."
            return _oauth_error("invalid_grant", words)
        pool = AUDIENCE.partition("/providers/")[0]
        text, token = self.issue(f"principal:{pool}/subject/{subject}", form.get("scope", ""))
        kind = "urn:ietf:params:oauth:token-type:access_token"
        # Google's servers have also sent the number as a string.
        body = {"access_token": text, "issued_token_type": kind, "token_type": "Bearer"}
        return web.json_response({**body, "expires_in": str(self._left(token))})

    def _refresh(self, form: Mapping[str, str]) -> web.Response:
        person = self.refresh_tokens.get(form.get("refresh_token", ""))
        if form.get("grant_type") != "refresh_token" or person is None:
            return _oauth_error("invalid_grant", "Token has been expired or revoked.")
        text, token = self.issue(person)
        return web.json_response({"access_token": text, "expires_in": self._left(token), "token_type": "Bearer"})

    async def _impersonate(self, request: web.BaseRequest) -> web.Response:
        account = _account(request)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        holder = self.holder(bearer)
        if holder is None:
            return _api_error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if self.issued[bearer].scope != ALL_SCOPES:
            narrow = {"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}
            return _api_error(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", narrow)
        if (holder, account) not in self.may_impersonate:
            words = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
            return _api_error(403, "PERMISSION_DENIED", words)
        body = await request.json()
        scope, self.delegates = body["scope"][0], body["delegates"]
        text, token = self.issue(f"serviceAccount:{account}", scope, float(body["lifetime"].removesuffix("s")))
        return web.json_response({"accessToken": text, "expireTime": token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")})

    def _left(self, token: GoogleToken) -> int:
        return round((token.expires_at - self._clock()).total_seconds())


class GoogleAuth:
    """Like Artifact Registry: `/v2/` refers to `/v2/token`. A login needs no right, but a pull does."""

    def __init__(self, google: PretendGoogle) -> None:
        self._google: Final = google
        self._bearers: Final[dict[str, str]] = {}

    async def __call__(self, request: web.BaseRequest) -> str | web.Response:
        if request.path == "/v2/token":
            return self._token(request)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        principal = self._bearers.get(bearer)
        if principal is None:
            realm = f'Bearer realm="https://{request.host}/v2/token",service="{request.host}"'
            raise Refusal(errors(401, "UNAUTHORIZED", "Unauthenticated request.", {"WWW-Authenticate": realm}))
        if request.path not in ("/v2", "/v2/") and principal not in self._google.readers:
            denied = 'Permission "artifactregistry.repositories.downloadArtifacts" denied on resource "projects/p"'
            return errors(403, "DENIED", f"{denied} (or it may not exist)")
        return principal

    def _token(self, request: web.BaseRequest) -> web.Response:
        username, password = basic(request) or ("", "")
        principal = self._google.holder(password) if username == USER else None
        if principal is None:
            raise Refusal(errors(401, "UNAUTHORIZED", "authentication failed"), username)
        bearer = secrets.token_urlsafe(32)
        self._bearers[bearer] = principal
        return web.json_response({"token": bearer, "expires_in": 300})


def _service(request: web.BaseRequest) -> str:
    return "metadata" if request.path.startswith("/computeMetadata") else request.host.partition(".")[0]


def _account(request: web.BaseRequest) -> str:
    """Return the service account that a request wants to impersonate, or an empty text."""
    path = request.path
    return path.removeprefix(_IMPERSONATE).removesuffix(":generateAccessToken") if _IMPERSONATE in path else ""


def _oauth_error(error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=400)


def _api_error(status: int, name: str, message: str, *details: dict[str, str]) -> web.Response:
    body: dict[str, Any] = {"error": {"code": status, "status": name, "message": message, "details": details}}
    return web.json_response(body, status=status)

"""Gets tokens for Artifact Registry and gcr.io from Google Cloud."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.edge.cloud_http import CloudHttp
from agent.edge.google.exchange import TokenExchange
from agent.edge.google.metadata import MetadataServer
from agent.edge.google.subject_token import SubjectTokens
from agent.edge.google.token import GoogleToken
from agent.edge.http import HttpClient
from agent.edge.identity_token import IdentityTokenError, identity_token, read_file
from agent.edge.source_files import google_file
from agent.model.credential import GoogleIdentity, Token
from agent.model.document_text import DocumentError, text_of
from agent.model.google_credentials import (
    USUAL_LIFETIME_S,
    AuthorizedUser,
    CredentialFile,
    ExternalAccount,
    ImpersonatedServiceAccount,
    account_of_settings,
    parse_credential_file,
)
from agent.model.google_errors import ALL_SCOPES, ERRORS, SCOPE, SUBJECT, USER, login_hint
from agent.model.google_subject_token import CredentialFileError
from agent.model.hints import ASK_PLATFORM
from agent.model.problem import ProblemError
from agent.model.problems.google import GoogleCredentialsMissing, GoogleCredentialsUnusable
from agent.model.renewal import RESERVE_OF_METADATA
from agent.model.sensitive import Sensitive
from agent.model.text import named_path
from agent.settings import GoogleSettings

_VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_LONGEST_FILE: Final = 1 << 16
_FILES: Final = BlockingCalls("google-files", limit=2)


@dataclass(frozen=True, slots=True)
class _OpenedFile:
    """A credential file, for messages: whose it is, and the service account that it impersonates."""

    place: str
    is_ours: bool
    is_gclouds: bool
    account: str | None = None


@dataclass(kw_only=True, eq=False)
class GoogleClient:
    """Sends single requests to Google, without caching tokens and without retries.

    The first source that is configured decides: the settings, a credential file, the metadata server. If it fails, no
    other one is asked, because a token of another identity would only be refused later. For `metadata_start`, see
    `MetadataServer`.
    """

    http: HttpClient
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object]
    timeout_s: float
    scrub: Callable[[str], str] = str
    metadata_start: timedelta = timedelta()

    def __post_init__(self) -> None:
        requests = CloudHttp(self.http, self.now, self.timeout_s, ERRORS, self.scrub)
        self._exchange = TokenExchange(requests)
        self._metadata = MetadataServer(requests, self.environ, self.metadata_start)
        self._subject_tokens = SubjectTokens(requests, self.environ, self.learned, self.timeout_s)

    async def fetch_token(self, identity: GoogleIdentity, settings: GoogleSettings) -> Token:
        """Get an access token, and impersonate the service account if the secret or the settings name one.

        Raises:
            ProblemError: of `agent.model.problems.google`. The subject is always "google".
        """
        found = await self._token(identity, settings)
        reserve = RESERVE_OF_METADATA if found.is_machines else None
        return Token(USER, found.secret, found.expires_at, found.principal, found.server_time, reserve=reserve)

    async def identify(self, identity: GoogleIdentity, settings: GoogleSettings) -> tuple[str, str | None]:
        """Return where the identity comes from, and its name in IAM policies if that is known.

        Raises:
            ProblemError: as `fetch_token`.
        """
        found = await self._token(identity, settings)
        return found.place, found.principal

    async def _token(self, identity: GoogleIdentity, settings: GoogleSettings) -> GoogleToken:
        wanted = identity.service_account or settings.service_account
        found = await self._base(settings, wanted)
        if wanted is not None:
            found = await self._impersonate(found, wanted, wanted)
        self.learned(found.secret)
        return found

    async def _base(self, settings: GoogleSettings, wanted: str | None) -> GoogleToken:
        """Return the token of the first source. `wanted` is the account whose token is requested with it, if any."""
        if settings.identity_token_file is not None or settings.identity_token_command:
            return await self._from_settings(settings, wanted)
        named = self.environ.get(_VARIABLE)
        if named:
            return await self._from_file(_VARIABLE, Path(named), wanted)
        default = google_file(self.environ)
        if await self._is_there(default):
            return await self._from_file("gcloud's file", default, wanted)
        found = await self._metadata.token(f"google.identity_token_file, {_VARIABLE}, {default}, ")
        if wanted in (None, found.principal):
            return found
        # The other service account is in the same cloud.
        return replace(found, universe=await self._metadata.universe())

    async def _is_there(self, file: Path) -> bool:
        try:
            return await _FILES.call(file, lambda: os.path.isfile(file), timeout=self.timeout_s)  # noqa: PTH113 - unlike Path's method, it raises nothing
        except OSError:  # a TimeoutError is one
            raise _unusable(f"{file} cannot be read: its file system does not answer", _FILE_HINT) from None

    async def _from_settings(self, settings: GoogleSettings, wanted: str | None) -> GoogleToken:
        if settings.audience is None:
            raise ProblemError(
                GoogleCredentialsUnusable(
                    SUBJECT,
                    "there is an identity token in the settings, but google.audience is not set",
                    hint="set google.audience to the name of your workload identity provider",
                )
            )
        try:
            token = await identity_token(
                "google",
                settings.identity_token_file,
                settings.identity_token_command,
                self.environ,
                self.timeout_s,
            )
        except IdentityTokenError as error:
            raise ProblemError(GoogleCredentialsMissing(SUBJECT, str(error), hint=ASK_PLATFORM)) from error
        assert token is not None  # noqa: S101 - the caller has checked that there is a source
        account = account_of_settings(settings.audience)
        return await self._federate(account, token, "the identity token in the settings", wanted)

    async def _federate(
        self, account: ExternalAccount, subject: Sensitive, place: str, wanted: str | None
    ) -> GoogleToken:
        self.learned(subject)
        scope = _scope(None, account.service_account or wanted)
        found = await self._exchange.federated(account, subject, place, scope)
        if account.service_account is None:
            return found
        return await self._impersonate(found, account.service_account, wanted, lifetime_s=account.lifetime_s)

    async def _impersonate(
        self,
        base: GoogleToken,
        account: str,
        wanted: str | None,
        delegates: Sequence[str] = (),
        lifetime_s: int = USUAL_LIFETIME_S,
    ) -> GoogleToken:
        """Get the token of an account. It is the last one if it is `wanted`, or if no other one is."""
        self.learned(base.secret)
        if base.principal in (account, f"serviceAccount:{account}"):
            # An account may not impersonate itself without a role on itself.
            return base
        return await self._exchange.impersonated(base, account, _scope(account, wanted), delegates, lifetime_s)

    async def _from_file(self, name: str, path: Path, wanted: str | None) -> GoogleToken:
        place = named_path(name, path)
        try:
            content, is_ours = await read_file(place, path, _LONGEST_FILE, self.timeout_s)
            file = parse_credential_file(json.loads(text_of(content)))
        except IdentityTokenError as error:
            raise ProblemError(GoogleCredentialsUnusable(SUBJECT, str(error), hint=_FILE_HINT)) from error
        except CredentialFileError as error:
            raise _unusable(f"{place} {error}", error.hint) from None
        except (DocumentError, ValueError, RecursionError):
            raise _unusable(f"{place} does not hold JSON") from None
        return await self._of_file(file, _OpenedFile(place, is_ours, is_gclouds=name != _VARIABLE), wanted)

    async def _of_file(self, file: CredentialFile, opened: _OpenedFile, wanted: str | None) -> GoogleToken:
        match file:
            case AuthorizedUser():
                self.learned(file.client_secret)
                self.learned(file.refresh_token)
                return await self._exchange.refreshed(file, opened.place, login_hint(opened.is_gclouds, opened.account))
            case ExternalAccount():
                subject = await self._subject_tokens.fetch(file, opened.place, is_ours=opened.is_ours)
                return await self._federate(file, subject, opened.place, wanted)
            case ImpersonatedServiceAccount():
                account = file.service_account
                base = await self._of_file(file.source, replace(opened, account=account), account)
                return await self._impersonate(base, account, wanted, file.delegates)


def _scope(account: str | None, wanted: str | None) -> str:
    """Return the scope of a token. The last one is narrow, but only one for everything can get the next one."""
    return SCOPE if wanted in (None, account) else ALL_SCOPES


_FILE_HINT: Final = (
    "make sure that it is the absolute path of a file that the agent's user can read; if it is the content of that "
    "file, write the content into a file"
)


def _unusable(message: str, hint: str | None = None) -> ProblemError:
    fix = hint or "replace the file: create it again with gcloud, or ask your platform team for it"
    return ProblemError(GoogleCredentialsUnusable(SUBJECT, message, hint=fix))

"""Gets the token of another identity provider from the place in a credential file: a file, a URL, or a program."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.edge.cloud_http import CloudHttp, CloudRequest
from agent.edge.identity_token import IdentityTokenError, output_of, parse_identity_token, read_file
from agent.model.cloud_reply import CloudReply, fields_of
from agent.model.google_credentials import ExternalAccount
from agent.model.google_errors import SUBJECT
from agent.model.google_subject_token import (
    ProgramOutputError,
    TokenFile,
    TokenProgram,
    TokenUrl,
    parse_program_output,
)
from agent.model.hints import ASK_PLATFORM
from agent.model.problem import Problem, ProblemError
from agent.model.problems.google import GoogleCredentialsMissing, GoogleCredentialsUnusable
from agent.model.sensitive import Sensitive
from agent.model.text import named_path, program_of

_ALLOW: Final = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
_LONGEST_FILE: Final = 1 << 16
# Shorter values of headers, such as `Metadata: true`, are words and no secrets.
_SHORTEST_SECRET: Final = 16


@dataclass(frozen=True, slots=True)
class SubjectTokens:
    """Reads each source anew, because its tokens end soon. `learned` gets each secret before it is used."""

    http: CloudHttp
    environ: Mapping[str, str]
    learned: Callable[[Sensitive], object]
    timeout_s: float

    async def fetch(self, account: ExternalAccount, place: str, *, is_ours: bool) -> Sensitive:
        """Return the token that the credential file `place` refers to.

        Args:
            account: the content of the file.
            place: the file, for messages.
            is_ours: whether only the user and root can change the file. A program or URL of others is not used.

        Raises:
            ProblemError: there is no token, or the source may not be used.
        """
        source = account.source
        if not is_ours and not isinstance(source, TokenFile):
            raise _unusable(
                f"{place} names a program or a URL, but others than its user and root can change it",
                "check what the file names, then make it belong to the agent's user, writable for no other",
            )
        try:
            match source:
                case TokenUrl():
                    return await self._from_url(source, place)
                case TokenProgram():
                    return await self._from_program(account, source, place)
                case _:
                    assert source is not None  # noqa: S101 - only the account that is made of the settings has none
                    return await self._from_file(source, place)
        except IdentityTokenError as error:
            raise ProblemError(GoogleCredentialsMissing(SUBJECT, str(error), hint=ASK_PLATFORM)) from error

    async def _from_file(self, source: TokenFile, place: str) -> Sensitive:
        where = f"{named_path('the token file', source.path)} in {place}"
        content, _ = await read_file(where, Path(source.path), _LONGEST_FILE, self.timeout_s)
        if source.field is not None:
            content = str(fields_of(content).get(source.field, "")).encode("ascii", "replace")
        return parse_identity_token(content, where)

    async def _from_url(self, source: TokenUrl, place: str) -> Sensitive:
        words = (value.rpartition(" ")[2] for value in source.headers.values())
        for word in words:
            if len(word) >= _SHORTEST_SECRET:
                self.learned(Sensitive(word))
        direct = source.url.startswith("http:")
        where = f"the URL in {place}"
        reply = await self.http.ask(CloudRequest(where, source.url, source.headers, direct=direct), _refused)
        content = reply.body if source.field is None else (reply.string(source.field) or "").encode()
        return parse_identity_token(content, f"the answer of {where}")

    async def _from_program(self, account: ExternalAccount, source: TokenProgram, place: str) -> Sensitive:
        if self.environ.get(_ALLOW) != "1":
            raise _unusable(
                f"{place} has a program as credential_source, and {_ALLOW} is not 1",
                f"if you trust this file, set {_ALLOW} to 1 in the environment of the agent, and restart the agent",
            )
        name = f"the program {program_of(source.args[0])} in {place}"
        variables = _variables(account, source)
        output = await output_of(name, source.args, self.environ, source.timeout_s, variables)
        try:
            token = parse_program_output(output, account.token_type, self.http.now())
        except ProgramOutputError as error:
            raise IdentityTokenError(f"{name} {error}") from None
        return parse_identity_token(token, f"the output of {name}")


def _variables(account: ExternalAccount, source: TokenProgram) -> dict[str, str]:
    """Return the variables that Google's libraries set for such a program."""
    given = {
        "AUDIENCE": account.audience,
        "TOKEN_TYPE": account.token_type,
        "INTERACTIVE": "0",
        "IMPERSONATED_EMAIL": account.service_account,
        "OUTPUT_FILE": source.output_file,
    }
    return {f"GOOGLE_EXTERNAL_ACCOUNT_{name}": value for name, value in given.items() if value is not None}


def _refused(reply: CloudReply) -> Problem:
    message = f"{reply.action} answered with status {reply.status}{reply.reason}"
    return GoogleCredentialsMissing(SUBJECT, message, hint=ASK_PLATFORM)


def _unusable(message: str, hint: str) -> ProblemError:
    return ProblemError(GoogleCredentialsUnusable(SUBJECT, message, hint=hint))

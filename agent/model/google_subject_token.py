"""Parses `credential_source` of a Google credential file: where another provider's token is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from agent.model.cloud_reply import fields_of
from agent.model.document_text import DocumentError
from agent.model.loopback import is_loopback
from agent.model.outside_values import from_epoch

SAML: Final = "urn:ietf:params:oauth:token-type:saml2"
OTHER_SOURCE: Final = (
    "set google.audience, and google.identity_token_file or google.identity_token_command, instead of this file"
)
BY_GCLOUD: Final = (
    "log in to gcloud with this file as the agent's user (gcloud auth login has the option --cred-file), then put "
    'username oauth2accesstoken, password_command ["gcloud", "auth", "print-access-token"] and expires_in_s 3600 '
    "into the secret for HOST"
)
_METADATA: Final = "169.254.169.254"
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")
# Google's limits and default for programs, in milliseconds.
_SHORTEST_MS: Final = 5000
_LONGEST_MS: Final = 120_000
_USUAL_MS: Final = 30_000


class CredentialFileError(DocumentError):
    """The file cannot be used. The text is the reason, and `hint` what to do instead."""


class ProgramOutputError(ValueError):
    """A program gave no token. The text begins with a verb, to follow the name of the program."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file. If it holds JSON, the token is in `field`."""

    path: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class TokenUrl:
    """A service, such as Azure's metadata service or GitHub's. Its `headers` may hold a secret."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    field: str | None = None


@dataclass(frozen=True, slots=True)
class TokenProgram:
    """A program, which prints the token in Google's own format."""

    args: tuple[str, ...]
    timeout_s: float
    output_file: str | None = None


TokenPlace = TokenFile | TokenUrl | TokenProgram


def parse_credential_source(source: object) -> TokenPlace:
    """Parse a `credential_source`.

    Raises:
        CredentialFileError: it is of a kind that the agent does not support, or not valid.
    """
    if not isinstance(source, Mapping):
        raise CredentialFileError("has no credential_source", OTHER_SOURCE)
    if "environment_id" in source:
        raise CredentialFileError("has AWS as credential_source, for which the agent does not sign requests", BY_GCLOUD)
    if "certificate" in source:
        raise CredentialFileError("has a certificate as credential_source, which the agent does not support", BY_GCLOUD)
    if "executable" in source:
        return _program(source["executable"])
    if "url" in source:
        return TokenUrl(_safe_url(text(source, "url")), _headers(source.get("headers")), _field(source))
    if "file" in source:
        return TokenFile(text(source, "file"), _field(source))
    raise CredentialFileError("has a credential_source that the agent does not know", OTHER_SOURCE)


def parse_program_output(content: bytes, token_type: str, now: datetime) -> bytes:
    """Return the token in what a program printed.

    Raises:
        ProgramOutputError: there is none.
    """
    fields = fields_of(content)
    if fields.get("version") != 1:
        raise ProgramOutputError("did not print version 1 of Google's JSON format")
    if fields.get("success") is not True:
        raise ProgramOutputError("reported a failure; run it by hand to see why (its output may hold a secret)")
    end = from_epoch(fields.get("expiration_time"))
    if end is not None and end <= now:
        raise ProgramOutputError("printed a token that has expired")
    token = fields.get("saml_response" if token_type == SAML else "id_token")
    if not isinstance(token, str):
        raise ProgramOutputError("printed no token of the type in the file")
    return token.encode("ascii", "replace")


def text(value: Mapping[str, Any], name: str) -> str:
    """Return a text that must be there, without control characters."""
    found = optional_text(value, name)
    if found is None:
        raise CredentialFileError(f"has no field {name}")
    return found


def optional_text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    if found is None or found == "":
        return None
    if not isinstance(found, str) or not found.isascii() or not found.isprintable():
        raise CredentialFileError(f"has a field {name} that is not a text")
    return found


def _program(executable: object) -> TokenProgram:
    if not isinstance(executable, Mapping):
        raise CredentialFileError("has an executable without a command in its credential_source", OTHER_SOURCE)
    timeout_ms = executable.get("timeout_millis", _USUAL_MS)
    if not isinstance(timeout_ms, int) or not _SHORTEST_MS <= timeout_ms <= _LONGEST_MS:
        raise CredentialFileError(f"has a timeout_millis that is not between {_SHORTEST_MS} and {_LONGEST_MS}")
    # Google's libraries split the command in the same way, without a shell and without quotes.
    args = tuple(text(executable, "command").split())
    if not args:
        raise CredentialFileError("has no field command")
    return TokenProgram(args, timeout_ms / 1000, optional_text(executable, "output_file"))


def _safe_url(url: str) -> str:
    """Return the URL. Without TLS, only this machine and its host may give the token."""
    try:
        parts = urlsplit(url)
        host, safe = parts.hostname or "", "@" not in parts.netloc
    except ValueError:
        host, safe, parts = "", False, urlsplit("")
    local = is_loopback(host) or host == _METADATA
    if not (safe and host and (parts.scheme == "https" or (parts.scheme == "http" and local))):
        raise CredentialFileError("has a URL without https as credential_source", OTHER_SOURCE)
    return url


def _headers(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise CredentialFileError("has headers that are not an object in its credential_source")
    headers = {str(name): text(value, name) for name in value}
    if not all(_HEADER.fullmatch(name) for name in headers):
        raise CredentialFileError("has a header with an invalid name in its credential_source")
    return headers


def _field(source: Mapping[str, Any]) -> str | None:
    """Return the field of the JSON with the token, or None if the token is plain text."""
    form = source.get("format")
    if not isinstance(form, Mapping) or form.get("type", "text") == "text":
        return None
    return text(form, "subject_token_field_name")

"""Reads secrets in all supported formats. No error message quotes the content."""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import Any, Final

from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import HostnameError, parse_hostname
from agent.model.secret import RegistrySecret, parse_secret
from agent.model.text import printable

FIELDS: Final = frozenset({field.name for field in fields(RegistrySecret)} - {"registry", "origin"} | {"hostname"})
"""The keys of a secret's JSON object. They are also the file names in a secret's subdirectory."""

MOST_SECRETS: Final = 1000
"""The limit for one document. More secrets are a mistake, or an attempt to overload the agent."""

_READABLE_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{3,}")
"""A name, also one that was made of a host name. What warnings show instead of a missing name does not match."""

# For a browser login to Docker Hub, Docker keeps two tokens next to the real entry. Neither is a password.
_HUB_TOKENS: Final = ("/access-token", "/refresh-token")


@dataclass(frozen=True, slots=True)
class ParseResult:
    """The secrets of one file, variable or answer. Bad items only become problems; `failed`: nothing is usable."""

    secrets: tuple[RegistrySecret, ...] = ()
    problems: tuple[Problem, ...] = ()
    failed: bool = False

    @classmethod
    def failure(cls, origin: str, fault: str) -> "ParseResult":
        return cls(problems=(SecretInvalid(origin, f"{origin} {fault}"),), failed=True)

    @classmethod
    def joined(cls, results: Iterable["ParseResult"]) -> "ParseResult":
        parts = tuple(results)
        return cls(
            tuple(secret for part in parts for secret in part.secrets),
            tuple(problem for part in parts for problem in part.problems),
            failed=any(part.failed for part in parts),
        )


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The answer of `secrets.url`. `parsed` is None if nothing changed since `etag`."""

    parsed: ParseResult | None
    etag: str | None


class DocumentError(ValueError):
    """The text is not JSON of the expected form. The message shows where, and quotes nothing."""


def read_document(text: str, origin: str, stem: str) -> ParseResult:
    """Parse one secret, a list of secrets, `{"secrets": [...]}`, or Docker's `{"auths": {...}}`.

    Args:
        text: the JSON text.
        origin: the file, variable or address.
        stem: Docker's format has no names. There the name is `stem`, followed by `-<host>`.
    """
    try:
        value = decode(text)
    except DocumentError as error:
        return ParseResult.failure(origin, str(error))
    if isinstance(value, list):
        return _items(value, origin)
    # Everything else must be a single secret. `parse_secret` reports what is wrong with it.
    if not isinstance(value, dict) or not value.keys() & {"secrets", "auths"}:
        return _only_one(partial(parse_secret, value, origin, stem))
    if not isinstance(value.get("secrets", []), list):
        return ParseResult.failure(origin, "has a key secrets that is not a list")
    if not isinstance(value.get("auths", {}), dict):
        return ParseResult.failure(origin, "has a key auths that is not an object")
    docker = [
        parse_one(partial(_docker, host, entry, origin, stem))
        for host, entry in islice(value.get("auths", {}).items(), MOST_SECRETS)
        if not host.endswith(_HUB_TOKENS)
    ]
    excess = over_limit(len(value.get("auths", {})), origin)
    return ParseResult.joined([_items(value.get("secrets", []), origin), *docker, *excess])


def read_answer(text: str, origin: str) -> ParseResult:
    """Parse `{"secrets": [...]}`, the only form that `secrets.url` may return.

    Raises:
        DocumentError: the text has another form.
    """
    value = decode(text)
    if not isinstance(value, dict) or not isinstance(value.get("secrets"), list):
        raise DocumentError('is not of the form {"secrets": [...]}')
    return _items(value["secrets"], origin)


def read_fields(contents: Mapping[str, str], origin: str, directory: str) -> ParseResult:
    """Parse the files of a subdirectory (content by name) as one secret. Its default name is `directory-<host>`."""
    values = {name: content.removesuffix("\n").removesuffix("\r") for name, content in contents.items()}
    return _only_one(partial(parse_secret, values, origin, directory, directory))


def after_change(last: ParseResult | None, reading: ParseResult) -> ParseResult:
    """Return `reading`, but with the last value of each secret that has become invalid.

    A typo must not remove a login, and a program may still be writing the file. An item whose name cannot be read may
    be any of the missing secrets, so these are kept if there are not more of them than such items. If the problems are
    the same as before, the result holds the same objects.
    """
    if last is None:
        return reading
    same = [problem.message for problem in reading.problems] == [problem.message for problem in last.problems]
    return replace(
        reading,
        secrets=last.secrets if reading.failed else (*reading.secrets, *_invalid_now(last, reading)),
        problems=last.problems if same else reading.problems,
    )


def _invalid_now(last: ParseResult, reading: ParseResult) -> list[RegistrySecret]:
    """The last values of secrets that are now invalid."""
    invalid, present = {problem.subject for problem in reading.problems}, {each.subject for each in reading.secrets}
    missing = [secret for secret in last.secrets if secret.subject not in present]
    named = [secret for secret in missing if printable(secret.subject) in invalid]
    others = [secret for secret in missing if secret not in named]
    origins = {printable(f"{secret.origin}#") for secret in others}
    labels = [subject.removeprefix(origin) for origin in origins for subject in invalid if subject.startswith(origin)]
    unnamed = [label for label in labels if not _READABLE_NAME.fullmatch(label)]
    return [*named, *(others if len(others) <= len(unnamed) else ())]


def parse_one(parse: Callable[[], RegistrySecret]) -> ParseResult:
    """Call `parse` and return its secret, or the problem that it raises."""
    try:
        return ParseResult((parse(),))
    except ProblemError as error:
        return ParseResult(problems=(error.problem,))


def _only_one(parse: Callable[[], RegistrySecret]) -> ParseResult:
    """Like `parse_one`, for a file or directory that holds only this secret: without it, nothing there is usable."""
    result = parse_one(parse)
    return replace(result, failed=bool(result.problems))


def decode(text: str) -> Any:
    """Decode a JSON text.

    Raises:
        DocumentError: it is not JSON, or two parsers could understand it differently.
    """
    if not text.strip():
        raise DocumentError("is empty")
    try:
        return json.loads(text, object_pairs_hook=_no_repetition, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        # The message of the cause may quote the text, so it is dropped.
        raise DocumentError(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise DocumentError("is nested too deeply") from None
    except DocumentError:
        raise
    except ValueError:
        raise DocumentError("contains a number that is too long") from None


def login_of(auth: str) -> tuple[str, str]:
    """Return user name and password from the base64 of `user:password`.

    Raises:
        ValueError: `auth` is something else.
    """
    packed = "".join(auth.split())
    # Padding is often lost when the text passes through a variable.
    user, colon, password = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode().partition(":")
    if not colon:
        raise ValueError("no colon")
    return user, password.rstrip("\0")


def _items(values: list[Any], origin: str) -> ParseResult:
    results = [
        parse_one(partial(parse_secret, value, origin, f"[{index}]"))
        for index, value in enumerate(values[:MOST_SECRETS])
    ]
    return ParseResult.joined([*results, *over_limit(len(values), origin)])


def over_limit(number: int, origin: str) -> list[ParseResult]:
    """Return one warning for all secrets over the limit. One warning for each could overload the agent."""
    if number <= MOST_SECRETS:
        return []
    subject = f"{origin}#[{MOST_SECRETS}]"
    message = f"{origin} contains {number} secrets; the agent uses only the first {MOST_SECRETS}"
    return [ParseResult(problems=(SecretInvalid(subject, message),))]


def _docker(host: str, entry: object, origin: str, stem: str) -> RegistrySecret:
    """Parse one entry of Docker's `auths`. `auth` takes precedence over `username` and `password`, as in Docker."""
    label = _label(host, stem)
    if not isinstance(entry, Mapping):
        raise ProblemError(_invalid(origin, label, "is not an object"))
    username, password = entry.get("username"), entry.get("password")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            username, password = login_of(entry["auth"])
        except ValueError:
            raise ProblemError(_invalid(origin, label, "has an auth that is not the base64 of user:password")) from None
    # These tokens are for the registry's token server. They do not work as a password.
    if not password and (entry.get("identitytoken") or entry.get("registrytoken")):
        raise ProblemError(
            _invalid(origin, label, "contains only a token for Docker itself; add a user name and a password")
        )
    if not username and not password:
        raise ProblemError(
            _invalid(
                origin,
                label,
                "contains no login; a credential helper may hold it, which the agent cannot read",
            )
        )
    return parse_secret({"hostname": host, "username": username, "password": password}, origin, label, stem)


def _label(host: str, stem: str) -> str:
    try:
        return f"{stem}-{parse_hostname(host)}"
    except HostnameError:
        # A key that is not a host name may contain anything, even a password before an @.
        return stem


def _invalid(origin: str, label: str, fault: str) -> SecretInvalid:
    return SecretInvalid(f"{origin}#{label}", f"secret {label} of {origin} {fault}")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON parsers disagree on which of two equal keys counts.
    value = dict(pairs)
    if len(value) != len(pairs):
        raise DocumentError("has the same key twice in one object")
    return value


def _no_constant(_name: str) -> Any:
    raise DocumentError("contains a number that is not JSON (NaN or Infinity)")

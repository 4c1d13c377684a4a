"""The formats in which secrets are written down, each read into `RegistrySecret`s; no fault quotes a content."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from typing import Any, Final

from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import HostnameError, parse_hostname
from agent.model.secret import RegistrySecret, parse_secret

FIELDS: Final = frozenset({field.name for field in fields(RegistrySecret)} - {"registry", "origin"} | {"hostname"})
"""What a secret's JSON object may hold, and the files in a secret's subdirectory."""

MOST_SECRETS: Final = 1000
"""Of one document; more are a mistake, or somebody's attempt to keep the agent busy."""

# Docker keeps the two halves of a browser login to its Hub beside the real entry; neither is a password.
_HUB_TOKENS: Final = ("/access-token", "/refresh-token")


@dataclass(frozen=True, slots=True)
class ParseResult:
    """What one file, variable or answer gave. A bad item costs itself; `failed` says that all of it was unusable."""

    secrets: tuple[RegistrySecret, ...] = ()
    problems: tuple[Problem, ...] = ()
    failed: bool = False

    @classmethod
    def failure(cls, origin: str, fault: str) -> "ParseResult":
        return cls(problems=(SecretInvalid(origin, f"{origin} {fault}"),), failed=True)

    @classmethod
    def joined(cls, readings: Iterable["ParseResult"]) -> "ParseResult":
        parts = tuple(readings)
        return cls(
            tuple(secret for part in parts for secret in part.secrets),
            tuple(problem for part in parts for problem in part.problems),
            failed=any(part.failed for part in parts),
        )


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What an address answered: `reading` None where nothing changed since `etag`."""

    parsed: ParseResult | None
    etag: str | None


class DocumentError(ValueError):
    """A text that is not JSON of the wanted form; says where, and quotes nothing."""


def read_document(text: str, origin: str, stem: str) -> ParseResult:
    """One secret, a list of them, `{"secrets": [...]}`, or Docker's `{"auths": {...}}`.

    Args:
        text: JSON.
        origin: the file, variable or address.
        stem: followed by `-<host>` the name of a secret in Docker's format, which has none.
    """
    try:
        value = decode(text)
    except DocumentError as error:
        return ParseResult.failure(origin, str(error))
    if isinstance(value, list):
        return _items(value, origin)
    if not isinstance(value, dict) or not value.keys() & {"secrets", "auths"}:
        return one(partial(parse_secret, value, origin, stem))
    if not isinstance(value.get("secrets", []), list):
        return ParseResult.failure(origin, "has secrets that are not a list")
    if not isinstance(value.get("auths", {}), dict):
        return ParseResult.failure(origin, "has auths that are not an object")
    docker = [
        one(partial(_docker, host, entry, origin, stem))
        for host, entry in islice(value.get("auths", {}).items(), MOST_SECRETS)
        if not host.endswith(_HUB_TOKENS)
    ]
    beyond = left_out(len(value.get("auths", {})), origin)
    return ParseResult.joined([_items(value.get("secrets", []), origin), *docker, *beyond])


def read_answer(text: str, origin: str) -> ParseResult:
    """`{"secrets": [...]}` and nothing else.

    Raises:
        DocumentError: another form.
    """
    value = decode(text)
    if not isinstance(value, dict) or not isinstance(value.get("secrets"), list):
        raise DocumentError('is not of the form {"secrets": [...]}')
    return _items(value["secrets"], origin)


def read_fields(contents: Mapping[str, str], origin: str, directory: str) -> ParseResult:
    """A subdirectory's files, content by name: one secret, whose name is `directory-<host>` if it gives none."""
    values = {name: content.removesuffix("\n").removesuffix("\r") for name, content in contents.items()}
    reading = one(partial(parse_secret, values, origin, directory, directory))
    return ParseResult(problems=reading.problems, failed=True) if reading.problems else reading


def one(parse: Callable[[], RegistrySecret]) -> ParseResult:
    try:
        return ParseResult((parse(),))
    except ProblemError as error:
        return ParseResult(problems=(error.problem,))


def decode(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        DocumentError: not JSON, or JSON that two readers would understand differently.
    """
    if not text.strip():
        raise DocumentError("is empty")
    try:
        return json.loads(text, object_pairs_hook=_no_repetition, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        # Its message may quote the text.
        raise DocumentError(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise DocumentError("is nested too deeply") from None
    except DocumentError:
        raise
    except ValueError:
        raise DocumentError("holds a number that is too long") from None


def login_of(auth: str) -> tuple[str, str]:
    """User name and password in the base64 of `user:password`.

    Raises:
        ValueError: it is none.
    """
    packed = "".join(auth.split())
    # Padding is often lost on the way through a variable.
    user, colon, password = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode().partition(":")
    if not colon:
        raise ValueError("no colon")
    return user, password.rstrip("\0")


def _items(values: list[Any], origin: str) -> ParseResult:
    readings = [
        one(partial(parse_secret, value, origin, f"[{index}]")) for index, value in enumerate(values[:MOST_SECRETS])
    ]
    return ParseResult.joined([*readings, *left_out(len(values), origin)])


def left_out(number: int, origin: str) -> list[ParseResult]:
    """A warning for each of a million would be the agent's whole work."""
    if number <= MOST_SECRETS:
        return []
    subject = f"{origin}#[{MOST_SECRETS}]"
    message = f"{origin} holds {number} secrets: those after the first {MOST_SECRETS} are left out"
    return [ParseResult(problems=(SecretInvalid(subject, message),))]


def _docker(host: str, entry: object, origin: str, stem: str) -> RegistrySecret:
    """One entry of Docker's `auths`: `auth` beats `username` and `password`, as it does in Docker."""
    label = _label(host, stem)
    if not isinstance(entry, Mapping):
        raise ProblemError(_invalid(origin, label, "is not an object"))
    username, password = entry.get("username"), entry.get("password")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            username, password = login_of(entry["auth"])
        except ValueError:
            raise ProblemError(_invalid(origin, label, "has an auth that is not the base64 of user:password")) from None
    if not password and (entry.get("identitytoken") or entry.get("registrytoken")):
        raise ProblemError(
            _invalid(origin, label, "holds only a token of Docker's own; give it a user name and a password")
        )
    if not username and not password:
        raise ProblemError(
            _invalid(origin, label, "holds no login; it may be in a credential helper, which does not come along")
        )
    return parse_secret({"hostname": host, "username": username, "password": password}, origin, label, stem)


def _label(host: str, stem: str) -> str:
    try:
        return f"{stem}-{parse_hostname(host)}"
    except HostnameError:
        # What is not a host name may hold anything, a password before an @ too.
        return stem


def _invalid(origin: str, label: str, fault: str) -> SecretInvalid:
    return SecretInvalid(f"{origin}#{label}", f"secret {label} of {origin} {fault}")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise DocumentError("has the same key twice in one object")
    return value


def _no_constant(_name: str) -> Any:
    raise DocumentError("holds a number that JSON does not know (NaN or Infinity)")

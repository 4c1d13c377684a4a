"""Reads secrets in all supported formats. No error message quotes the content."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import Any, Final

from agent.model.document_text import DocumentError, parse_json
from agent.model.foreign_formats import (
    DOCKER_FIELDS,
    DOCKER_FILES,
    docker_login_in,
    documents_in,
    is_dockercfg,
    logins_in,
    refuse_half_logins,
)
from agent.model.password_source import Trust
from agent.model.pasted_text import decode, is_whole_document
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import Registry, registry_named
from agent.model.secret import RegistrySecret, parse_secret
from agent.model.secret_fields import PASSWORD_FIELDS, UnnamedSecretError
from agent.model.secret_manifest import contents_of, name_of
from agent.model.text import escaped, printable

_NOT_FIELDS: Final = frozenset({"registry", "origin", "password_origin", "trust"})
# The keys of a secret's JSON object. They are also the file names in a secret's subdirectory.
FIELDS: Final = frozenset(
    {field.name for field in fields(RegistrySecret)} - _NOT_FIELDS | {"hostname"} | PASSWORD_FIELDS
)
# The limit for one document. More secrets are a mistake, or an attempt to overload the agent.
MOST_SECRETS: Final = 1000
# For a browser login to Docker Hub, Docker keeps two tokens next to the real entry. Neither is a password.
_HUB_TOKENS: Final = ("/access-token", "/refresh-token")


@dataclass(frozen=True, slots=True)
class ParseResult:
    """The secrets of one file, variable or answer. Bad items only become problems; `failed`: nothing is usable.

    `unnamed` is how many secrets the bad items may hold whose names are not known.
    """

    secrets: tuple[RegistrySecret, ...] = ()
    problems: tuple[Problem, ...] = ()
    failed: bool = False
    unnamed: int = 0

    @classmethod
    def failure(cls, origin: str, fault: str, hint: str | None = None) -> "ParseResult":
        return cls(problems=(SecretInvalid(origin, f"{origin} {fault}", hint=hint),), failed=True)

    def trusting(self, trust: Trust) -> "ParseResult":
        """Note who can write the file or answer."""
        return replace(self, secrets=tuple(replace(secret, trust=trust) for secret in self.secrets))

    @classmethod
    def joined(cls, results: Iterable["ParseResult"]) -> "ParseResult":
        parts = tuple(results)
        # The same secret or problem may be in several files.
        return cls(
            tuple(dict.fromkeys(secret for part in parts for secret in part.secrets)),
            tuple(dict.fromkeys(problem for part in parts for problem in part.problems)),
            failed=any(part.failed for part in parts),
            unnamed=sum(part.unnamed for part in parts),
        )


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The answer of `secrets.url`. `parsed` is None if nothing changed since `etag`."""

    parsed: ParseResult | None
    etag: str | None


def read_document(text: str, origin: str, stem: str) -> ParseResult:
    """Parse one secret, a list of secrets, `{"secrets": [...]}`, Docker's files, or a Kubernetes Secret.

    Also in the forms in which people paste them: see `pasted_text` and `foreign_formats`.

    Args:
        text: the JSON text, or a Secret in YAML.
        origin: the file, variable or address.
        stem: other formats have no names. There the name is `stem`, followed by `-<host>`.
    """
    try:
        return _read_value(decode(text), origin, stem)
    except DocumentError as error:
        return ParseResult.failure(origin, str(error), error.hint)
    except RecursionError:
        return ParseResult.failure(origin, "is nested too deeply")


def _read_value(value: Any, origin: str, stem: str, label: str | None = None) -> ParseResult:
    if isinstance(value, list):
        return _items(value, origin, stem)
    # Everything that is not known must be a single secret. `parse_secret` reports what is wrong with it.
    found = None if not isinstance(value, dict) or "hostname" in value else _read_object(value, origin, stem)
    return found or _only_one(partial(parse_secret, value, origin, label or stem))


def _read_object(value: dict[str, Any], origin: str, stem: str) -> ParseResult | None:
    """Parse an object that is more than one secret, or has another program's form. None if it has no such form."""
    if value.keys() & {"secrets", "auths"}:
        return _secrets_and_auths(value, origin, stem)
    if value.keys() >= {"apiVersion", "kind"}:
        return _manifest(value, origin, stem)
    if files := {name: value[name] for name in DOCKER_FILES & value.keys()} or documents_in(value):
        return _contents(files, origin, stem)
    if is_dockercfg(value):
        return _auths(value, origin, stem)
    if logins := logins_in(value):
        return ParseResult.joined(parse_one(partial(parse_secret, login, origin, stem, stem)) for login in logins)
    refuse_half_logins(value)
    return None


def _secrets_and_auths(value: Mapping[str, Any], origin: str, stem: str) -> ParseResult:
    secrets, auths = value.get("secrets", []), value.get("auths", {})
    if not isinstance(secrets, list):
        raise DocumentError("has a key secrets that is not a list", "put the secrets in square brackets")
    if not isinstance(auths, dict):
        raise DocumentError("has a key auths that is not an object", "write one key for each registry under auths")
    if not secrets and not auths:
        refuse_half_logins(value)  # such as Docker's configuration with a credential helper
    if not auths and "secrets" not in value:
        # The file is as it should be: if it held a login before, that login is gone.
        hint = "add a registry under auths, or remove it"
        return replace(ParseResult.failure(origin, "is a Docker configuration without logins", hint), failed=False)
    return ParseResult.joined([_items(secrets, origin, stem), _auths(auths, origin, stem)])


def _auths(auths: Mapping[str, Any], origin: str, stem: str) -> ParseResult:
    hosts = {host: registry_named(host) for host in auths if not host.endswith(_HUB_TOKENS)}
    # As in Docker, the exact key of a registry comes before other keys for it, such as the `docker.io` of a person.
    keys = sorted(hosts, key=lambda host: (registry := hosts[host]) is None or registry.docker_key != host)
    docker = [parse_one(partial(_docker, host, hosts[host], auths[host], origin, stem)) for host in keys[:MOST_SECRETS]]
    return ParseResult.joined([*docker, *over_limit(len(auths), origin)])


def _manifest(value: Mapping[str, Any], origin: str, stem: str) -> ParseResult:
    """Parse a Kubernetes Secret, or a list of objects as `kubectl get` prints it."""
    if not isinstance(value.get("items"), list):
        return _contents(contents_of(value, FIELDS), origin, name_of(value) or stem)
    objects = [item for item in value["items"][:MOST_SECRETS] if isinstance(item, dict)]
    # Next to a Secret, objects of other kinds are normal.
    secrets = [item for item in objects if item.get("kind") == "Secret"] or objects[:1]
    return _parts({f"[{n}]": partial(_manifest, item, origin, stem) for n, item in enumerate(secrets)}, origin)


def _contents(contents: Mapping[str, Any], origin: str, stem: str) -> ParseResult:
    """Parse the files that a Secret consists of, as if they were mounted as a directory."""

    def document(content: object) -> ParseResult:
        return _read_value(decode(content) if isinstance(content, str) else content, origin, stem)

    fields = {name: content for name, content in contents.items() if name in FIELDS}
    if "hostname" not in fields:
        # As in a directory, a document may have the name of a field.
        fields = {name: content for name, content in fields.items() if not is_whole_document(content)}
    parts = {name: partial(document, content) for name, content in contents.items() if name not in fields}
    return _parts(parts | ({"hostname": partial(read_fields, fields, origin, stem)} if fields else {}), origin)


def _parts(parts: Mapping[str, Callable[[], ParseResult]], origin: str) -> ParseResult:
    """Parse the parts of a document. A part that cannot be used must not keep the others from being updated."""
    results = over_limit(len(parts), origin)
    for name, parse in islice(parts.items(), MOST_SECRETS):
        try:
            results.append(parse())
        except DocumentError as error:
            results.append(_of_part(origin, escaped(name, 127), error))
    found = ParseResult.joined(results)
    return replace(found, failed=bool(found.problems) and not found.secrets)


def read_answer(text: str, origin: str) -> ParseResult:
    """Parse `{"secrets": [...]}`. Any other form is a DocumentError: `secrets.url` may return only this one."""
    value = parse_json(text)
    if not isinstance(value, dict) or not isinstance(value.get("secrets"), list):
        raise DocumentError('is not of the form {"secrets": [...]}')
    try:
        return _items(value["secrets"], origin, "url").trusting(Trust.URL)
    except RecursionError:
        raise DocumentError("is nested too deeply") from None


def read_fields(contents: Mapping[str, str], origin: str, directory: str) -> ParseResult:
    """Parse the files of a subdirectory (content by name) as one secret. Its default name is `directory-<host>`."""
    values = {name: content.removesuffix("\n").removesuffix("\r") for name, content in contents.items()}
    return _only_one(partial(parse_secret, values, origin, directory, directory))


def after_reading(last: Mapping[str, ParseResult], readings: Mapping[str, ParseResult]) -> dict[str, ParseResult]:
    """Apply `after_change` to each file of a directory.

    If a subdirectory itself cannot be read, what its files held before stays.
    """
    unread = {path for path, reading in readings.items() if reading.failed}
    kept = {path: result for path, result in last.items() if path.rpartition("/")[0] in unread}
    return kept | {path: after_change(last.get(path), reading) for path, reading in readings.items()}


def after_change(last: ParseResult | None, reading: ParseResult) -> ParseResult:
    """Return `reading`, but with the last value of each secret that has become invalid.

    A typo must not remove a login, and a program may still be writing the file. An item whose name is not known may be
    any of the missing secrets, so these are kept if there are not more of them than such items can hold. If the
    problems are the same as before, the result holds the same objects.
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
    invalid, present = {problem.subject for problem in reading.problems}, {each.subject for each in reading.secrets}
    missing = [secret for secret in last.secrets if secret.subject not in present]
    named = [secret for secret in missing if printable(secret.subject) in invalid]
    others = [secret for secret in missing if printable(secret.subject) not in invalid]
    # The secrets of another address are not among the items of this one.
    sources = tuple({printable(f"{secret.origin}#") for secret in missing})
    same_source = any(subject.startswith(sources) for subject in invalid)
    return [*named, *(others if same_source and len(others) <= reading.unnamed else ())]


def parse_one(parse: Callable[[], RegistrySecret]) -> ParseResult:
    """Call `parse` and return its secret, or the problem that it raises."""
    try:
        return ParseResult((parse(),))
    except ProblemError as error:
        return ParseResult(problems=(error.problem,), unnamed=int(isinstance(error, UnnamedSecretError)))


def _only_one(parse: Callable[[], RegistrySecret]) -> ParseResult:
    """Like `parse_one`, for a file or directory that holds only this secret: without it, nothing there is usable."""
    result = parse_one(parse)
    return replace(result, failed=bool(result.problems))


def _items(values: list[Any], origin: str, stem: str) -> ParseResult:
    results = [_item(value, origin, stem, f"[{index}]") for index, value in enumerate(values[:MOST_SECRETS])]
    return ParseResult.joined([*results, *over_limit(len(values), origin)])


def _item(value: Any, origin: str, stem: str, label: str) -> ParseResult:
    """Parse an item of a list: a secret, or a document as in a file of its own."""
    try:
        return replace(_read_value(value, origin, stem, label), failed=False)
    except DocumentError as error:
        return _of_part(origin, label, error)


def _of_part(origin: str, label: str, error: DocumentError) -> ParseResult:
    problem = SecretInvalid(f"{origin}#{label}", f"{label} in {origin} {error}", hint=error.hint)
    # Its content is not known.
    return ParseResult(problems=(problem,), unnamed=MOST_SECRETS)


def over_limit(number: int, origin: str) -> list[ParseResult]:
    """Return one warning for all secrets over the limit. One warning for each could overload the agent."""
    if number <= MOST_SECRETS:
        return []
    subject = f"{origin}#[{MOST_SECRETS}]"
    message = f"{origin} contains {number} secrets; the agent uses only the first {MOST_SECRETS}"
    return [ParseResult(problems=(SecretInvalid(subject, message),), unnamed=number - MOST_SECRETS)]


def _docker(host: str, registry: Registry | None, entry: object, origin: str, stem: str) -> RegistrySecret:
    # A key that is not a host name may contain anything, even a password before an @.
    label = f"{stem}-{registry}" if registry else stem
    if isinstance(entry, Mapping) and entry and not entry.keys() & DOCKER_FIELDS:
        # Fields of another program. `parse_secret` names what they should be called.
        return parse_secret({"hostname": host, **entry}, origin, label, stem)
    try:
        login = docker_login_in(entry)
    except DocumentError as error:
        fault = f"secret {label} of {origin} {error}"
        kind = ProblemError if registry else UnnamedSecretError
        raise kind(SecretInvalid(f"{origin}#{label}", fault, hint=error.hint)) from None
    return parse_secret({"hostname": host, **login}, origin, label, stem)

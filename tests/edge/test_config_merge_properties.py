"""Property tests: merging one login into any config.json that a person or a program may have written."""

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agent.edge import docker_config
from agent.edge.docker_config import DockerConfigFile
from agent.model.docker_config import (
    ConfigError,
    Document,
    Entry,
    entries,
    find,
    format_config,
    mark,
    parse_config,
    place,
    remove,
    store_of,
)
from agent.model.problem import ProblemError
from agent.model.sensitive import Sensitive
from tests.fakes import SameThreadLoop

if TYPE_CHECKING:
    from collections.abc import Callable

_CREDENTIALS: Final = frozenset({"auth", "username", "password", "identitytoken", "registrytoken", "serveraddress"})
_MODELLED: Final = frozenset({"auths", "credsstore", "credhelpers"})


class Number(NamedTuple):
    """A number, as its digits."""

    digits: str


class Keys(NamedTuple):
    """The members of an object in order, including duplicate keys."""

    members: tuple[tuple[str, Any], ...]


# What files may contain: texts with lone surrogates, huge numbers, duplicate keys, and keys that only look alike.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=6) | st.sampled_from(["auths", "auth", "ghcr.io", "\0"])
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
SCALARS = st.none() | st.booleans() | TEXTS | NUMBERS.map(Number)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.tuples(TEXTS, inner), max_size=3).map(lambda members: Keys(tuple(members)))
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "ghcr.io",
        "GHCR.IO",
        "https://ghcr.io",
        "https://ghcr.io/v2/",
        "ghcr.io:443",
        "ghcr.io/",
        "g\u04bbcr.io",
        " ghcr.io",
        "",
    ]
)
NAMES = KEYS | TEXTS
USERS = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=8)
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
ENTRIES = st.builds(Entry, USERS, PASSWORDS.map(Sensitive)) | st.builds(
    Entry, USERS, st.text(min_size=1, max_size=8).map(Sensitive), st.just(value=True)
)
AUTHS = st.builds(lambda user, password: base64.b64encode(f"{user}:{password}".encode()).decode(), USERS, PASSWORDS)
FIELD_NAMES = st.sampled_from(["auth", "Auth", "AUTH", "username", "password", "identitytoken", "serveraddress"])
FIELDS = st.tuples(FIELD_NAMES, AUTHS | st.none() | st.just("")) | st.tuples(TEXTS.map(lambda t: f"x-{t}"), VALUES)
CREDENTIALS = st.none() | st.lists(FIELDS, max_size=4).map(lambda members: Keys(tuple(members)))
AUTHS_NAMES = st.sampled_from(["auths", "auths", "auths", "Auths", "AUTHS"])
AUTHS_MEMBERS = st.tuples(
    AUTHS_NAMES,
    st.lists(st.tuples(NAMES, CREDENTIALS), max_size=5).map(lambda members: Keys(tuple(members))) | st.none(),
)
HELPERS = st.sampled_from(["", "pass", "osxkeychain"]) | st.none()
STORES = st.tuples(st.sampled_from(["credsStore", "credsstore"]), HELPERS) | st.tuples(
    st.just("credHelpers"), st.dictionaries(KEYS, HELPERS, max_size=2).map(lambda m: Keys(tuple(m.items())))
)
OTHERS = st.tuples(TEXTS, VALUES).filter(lambda member: member[0].lower() not in _MODELLED)
DOCUMENTS = st.lists(OTHERS | AUTHS_MEMBERS | STORES, max_size=6).map(lambda members: Keys(tuple(members)))


def without_duplicates(value: Any, *, top: bool = True) -> Any:
    """Leave out duplicates of the keys that Docker knows, in any spelling. Readers differ about them."""
    if not isinstance(value, Keys):
        return value
    unique: dict[Any, tuple[str, Any]] = {}
    for number, (name, member) in enumerate(value.members):
        known = not top or name.lower() in _MODELLED
        unique[name.lower() if known else number] = (name, without_duplicates(member, top=False) if known else member)
    return Keys(tuple(unique.values()))


def written(value: Any, space: str = "") -> str:
    """Return the JSON text with every member and every digit."""
    if isinstance(value, Number):
        return value.digits
    if isinstance(value, Keys):
        members = (f"{json.dumps(key)}{space}:{space}{written(member, space)}" for key, member in value.members)
        return "{" + space + f",{space}".join(members) + space + "}"
    if isinstance(value, list):
        return "[" + f"{space},".join(written(member, space) for member in value) + "]"
    return json.dumps(value)


def read(data: bytes) -> Any:
    """Parse the text with another parser than the agent's. Merge objects with the same key, else use the last value."""

    def merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in pairs:
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = {**result[key], **value} if both else value
        return result

    return json.loads(data, parse_int=Number, parse_float=Number, object_pairs_hook=merged)


def without(document: dict[str, Any], key: str) -> list[Any]:
    """Return everything except the login of `key`, in order. A missing `auths` equals an empty one."""
    name = auths_name(document)
    auths = document.get(name) or {}
    other_fields = {
        field: value for field, value in (auths.get(key) or {}).items() if field.lower() not in _CREDENTIALS
    }
    others = [(other, value) for other, value in document.items() if other != name]
    return [others, [(other, value) for other, value in auths.items() if other != key], other_fields]


def auths_name(document: dict[str, Any]) -> str:
    return next((name for name in ("auths", *document) if name in document and name.lower() == "auths"), "auths")


def always(_key: str, _entry: Entry) -> bool:
    return True


def never(_key: str, _entry: Entry) -> bool:
    return False


SPACES = st.sampled_from(["", " ", "\n", "\r\n\t"])
TEXT_OF_DOCUMENTS = st.builds(written, DOCUMENTS, SPACES).map(str.encode)
TEXT_WITHOUT_DUPLICATES = st.builds(written, DOCUMENTS.map(without_duplicates), SPACES).map(str.encode)


def document_of(data: bytes) -> Document:
    """Parse the document. Skip the example if Docker could not read it."""
    try:
        return parse_config(data)
    except ConfigError:
        assume(condition=False)
        raise


@given(TEXT_WITHOUT_DUPLICATES, NAMES, ENTRIES)
def test_changes_nothing_that_is_not_ours(data: bytes, key: str, entry: Entry) -> None:
    """Every key, value and digit and their order survive, including other fields next to our own login."""
    after = format_config(place(document_of(data), key, entry, always))
    assert without(read(after), key) == without(read(data), key)
    found = find(parse_config(after), key)
    assert found is not None
    assert entry.same_login(found[1])


@given(TEXT_OF_DOCUMENTS, NAMES, ENTRIES)
def test_loses_nothing_that_docker_reads_from_duplicate_keys(data: bytes, key: str, entry: Entry) -> None:
    """`tests/model/test_docker_reads.py` holds this reading against the real CLIs."""
    document = document_of(data)
    after = parse_config(format_config(place(document, key, entry, always)))
    assert without(after, key) == without(document, key)
    assert {name: login for name, login in entries(after).items() if name != key} == {
        name: login for name, login in entries(document).items() if name != key
    }


@given(TEXT_OF_DOCUMENTS, NAMES, ENTRIES)
def test_each_change_is_idempotent(data: bytes, key: str, entry: Entry) -> None:
    """This holds after writing and reading the file too. A repeated change writes nothing."""
    document = document_of(data)
    changes: list[Callable[[Document], Document]] = [
        lambda now: place(now, key, entry, always),
        lambda now: mark(now, key, always),
        lambda now: remove(now, key, always),
    ]
    for change in changes:
        once = change(document)
        assert change(once) is once
        again = parse_config(format_config(once))
        assert change(again) is again
        assert format_config(again) == format_config(once)


@given(TEXT_OF_DOCUMENTS, NAMES, ENTRIES)
def test_adding_and_removing_a_login_leaves_the_same_bytes(data: bytes, key: str, entry: Entry) -> None:
    """The test starts with an `auths` object and without a login for the key."""
    document = remove(document_of(data), key, always)
    if document.get(auths_name(document)) is None:
        document = {**document, auths_name(document): {}}
    placed = place(document, key, entry, always)
    if placed is not document:
        assert format_config(remove(placed, key, always)) == format_config(document)


@given(TEXT_OF_DOCUMENTS, NAMES, ENTRIES)
def test_never_changes_a_persons_login(data: bytes, key: str, entry: Entry) -> None:
    """If the key already has a login that is not ours, no change has any effect."""
    document = document_of(data)
    if find(document, key) is not None:
        assert place(document, key, entry, never) is document
    if key in entries(document):
        assert mark(document, key, never) is document
        assert remove(document, key, never) is document


@given(TEXT_OF_DOCUMENTS, st.lists(st.tuples(NAMES, ENTRIES), max_size=4, unique_by=lambda login: login[0]))
def test_logins_do_not_affect_each_other(data: bytes, logins: list[tuple[str, Entry]]) -> None:
    """Several logins can be added in any order, and each is stored under its own key."""
    document = document_of(data)
    forwards, backwards = document, document
    for (one, entry), (other, other_entry) in zip(logins, reversed(logins), strict=True):
        forwards, backwards = place(forwards, one, entry, always), place(backwards, other, other_entry, always)
    for after in (forwards, backwards):
        for key, entry in logins:
            found = find(after, key)
            assert found is not None
            assert entry.same_login(found[1])
        assert store_of(after, "ghcr.io") == store_of(document, "ghcr.io")


@pytest.fixture
def loop() -> Iterator[SameThreadLoop]:
    with contextlib.closing(SameThreadLoop()) as loop:
        yield loop


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60) | VALUES.map(written).map(str.encode) | TEXT_OF_DOCUMENTS)
def test_writes_a_file_only_for_a_real_change(
    loop: SameThreadLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    """A file that Docker cannot read, or that needs no change, stays the same to the byte."""
    monkeypatch.setattr(docker_config, "_SETTLING_S", 0)
    monkeypatch.setattr(docker_config, "_EMPTY_S", 0)
    config = DockerConfigFile(tmp_path)
    config.path.write_bytes(data)
    changes: list[Callable[[Document], Document]] = [lambda now: now, lambda now: {**now}]
    for change in changes:
        with contextlib.suppress(ProblemError):
            loop.run_until_complete(config.update(change))
        assert config.path.read_bytes() == data

"""Which login Docker finds in a config.json, and how one login is added or removed."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.docker_config import (
    ConfigError,
    Entry,
    decode_entry,
    encode_entry,
    entries,
    entries_of,
    find,
    format_config,
    is_docker_key,
    mark,
    named_helpers,
    parse_config,
    place,
    remove,
    store_of,
)
from agent.model.docker_config_fields import CliVersion
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive

OURS = Entry("me", Sensitive("s3cret:é"))
THEIRS = Entry("you", Sensitive("other"))
TOKEN = Entry("me", Sensitive("refresh"), identity_token=True)


def always(_key: str, _entry: Entry) -> bool:
    return True


def never(_key: str, _entry: Entry) -> bool:
    return False


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize("entry", [OURS, THEIRS, TOKEN, Entry("u", Sensitive(""))])
def test_an_encoded_entry_decodes_to_itself(entry: Entry) -> None:
    assert decode_entry(encode_entry(entry), "k") == entry


def test_an_identity_token_is_written_as_docker_writes_it() -> None:
    """docker/cli stores the user name with an empty password, and the token in its own field."""
    assert encode_entry(TOKEN) == {**auth("me:"), "identitytoken": "refresh"}


def test_a_helpers_token_is_the_same_login_without_its_user_name() -> None:
    assert TOKEN.same_login(Entry("<token>", Sensitive("refresh"), identity_token=True))
    assert not TOKEN.same_login(Entry("me", Sensitive("refresh")))
    assert not OURS.same_login(Entry("other", OURS.secret))
    assert not OURS.same_login(None)


@pytest.mark.parametrize(
    "data", [b"", b" \n", b"{}", b"null", b'{"auths": null}', b'{"auths": {"a": null}, "credsStore": null}']
)
def test_an_empty_file_is_an_empty_document(data: bytes) -> None:
    """Docker treats an empty file as one without logins."""
    assert entries(parse_config(data)) == {}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[]", "^it is an array, but docker expects an object$"),
        ('{"auths": []}', "^auths is an array, but docker expects an object$"),
        ('{"auths": {"ghcr.io": "hunter2"}}', "^auths.ghcr.io is a string, but docker expects an object$"),
        ('{"auths": {"ghcr.io": {"auth": 1}}}', "^auths.ghcr.io.auth is a number, but docker expects a string$"),
        ('{"features": {"buildkit": true}}', "^features.buildkit is a boolean, but docker expects a string$"),
        ('{"EXPERIMENTAL": true}', "^EXPERIMENTAL is a boolean, but docker expects a string$"),
        ('{"pruneFilters": ["x", {}]}', r"^pruneFilters\[1\] is an object, but docker expects a string$"),
        ('{"auths": {"ghcr.io": {"auth": "hunter2!"}}}', "not base64"),
        ('{"auths": {"ghcr.io": {"auth": "aHVudGVyMg=="}}}', "user:password"),
        ('{"auths": {"ghcr.io": {"auth": "OmFiYw=="}}}', "user:password"),
        ('{"auths": {"ghcr.io": {"auth": "YTpi="}}}', "not base64"),
        ('{"credsStore": 7}', "credsStore"),
        ('{"credHelpers": []}', "credHelpers"),
        ('{"credHelpers": {"a": {}}}', "credHelpers.a"),
        ('{"auths": {}, } {"auths": {}}', "line 1"),
    ],
)
def test_a_file_that_docker_cannot_use_is_refused_with_the_reason(text: str, names: str) -> None:
    """The message shows the location, never a value."""
    with pytest.raises(ConfigError, match=names) as caught:
        parse_config(text.encode())
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "accepting"),
    [
        ('{"features": {"buildkit": true}}', [(20, 10), (26, 0)]),
        ('{"experimental": true}', [(29,)]),
        ('{"auths": {"ghcr.io": {"email": 1}}}', [(29,)]),
        ('{"stackOrchestrator": true}', [(26, 0), (26, 1), (29,)]),
        ('{"auths": {"ghcr.io": {"auth": "OmFiYw=="}}}', [(20, 10)]),
        ('{"unknown": {"buildkit": true}} trailing', [(20, 10), (26, 0), (26, 1), (29,)]),
    ],
)
def test_the_version_of_docker_decides_which_files_it_reads(text: str, accepting: list[CliVersion]) -> None:
    """What no version reads, or all of them, is held against the real CLIs in test_docker_reads.py."""

    def accepts(cli: CliVersion) -> bool:
        with suppress(ConfigError):
            parse_config(text.encode(), cli)
            return True
        return False

    assert [cli for cli in ((20, 10), (26, 0), (26, 1), (29,)) if accepts(cli)] == accepting


def test_what_a_person_wrote_is_not_lost() -> None:
    """The data behind the document is no part of it for Docker either. Bytes that are not UTF-8 stay, as escapes."""
    data = b'{"psFormat": "caf\xe9", "auths": {"a.example": {"username": "\xff", "password": "p"}}} // mine'
    document = parse_config(data)
    assert find(document, "a.example") == ("a.example", Entry("\ufffd", Sensitive("p"))), "as Docker reads it"
    again = parse_config(format_config(place(document, "ghcr.io", OURS, always)))
    assert again["psFormat"] == "caf\udce9"
    assert again["auths"]["a.example"] == document["auths"]["a.example"]


def test_the_store_is_the_exact_helper_then_the_general_one_then_the_file() -> None:
    document = {"credHelpers": {"ghcr.io": "exact", "plain.example": ""}, "credsstore": "general"}
    assert store_of(document, "ghcr.io") == "exact"
    assert store_of(document, "quay.io") == "general"
    assert store_of(document, "plain.example") is None, "an empty helper is the file, as in docker/cli"
    assert store_of({}, "ghcr.io") is None


def test_an_exact_key_takes_precedence_over_an_old_one() -> None:
    document = {"auths": {"https://ghcr.io/v2/": encode_entry(THEIRS)}}
    assert find(document, "ghcr.io") == ("https://ghcr.io/v2/", THEIRS)
    placed = place(document, "ghcr.io", OURS, always)
    assert find(placed, "ghcr.io") == ("ghcr.io", OURS)
    assert entries(placed)["https://ghcr.io/v2/"] == THEIRS
    assert find(document, "io") is None


def test_a_marker_is_not_a_login() -> None:
    """If a helper has the login, Docker keeps an empty entry in the file. Then it looks under no other key."""
    document = {"auths": {"ghcr.io": {}, "https://ghcr.io": encode_entry(THEIRS)}}
    assert find(document, "ghcr.io") is None


def test_plain_fields_are_read_as_docker_reads_them() -> None:
    document = parse_config(b'{"Auths": {"a.example": {"username": "u", "Password": "p"}}}')
    assert find(document, "a.example") == ("a.example", Entry("u", Sensitive("p")))
    assert find(place(document, "b.example", OURS, always), "a.example") is not None


def test_an_entry_that_is_not_ours_does_not_change() -> None:
    document = {"auths": {"ghcr.io": encode_entry(THEIRS)}}
    assert place(document, "ghcr.io", OURS, never) is document
    assert mark(document, "ghcr.io", never) is document
    assert remove(document, "ghcr.io", never) is document


def test_storing_a_login_that_is_already_there_changes_nothing() -> None:
    document = {"auths": {"ghcr.io": {"username": "me", "password": "s3cret:é"}}}
    assert place(document, "ghcr.io", OURS, always) is document


def test_a_marker_replaces_only_our_own_login() -> None:
    document = {"auths": {"ghcr.io": {**encode_entry(OURS), "email": "a@b"}}}
    marked = mark(document, "ghcr.io", always)
    assert marked == {"auths": {"ghcr.io": {"email": "a@b"}}}
    assert mark(marked, "ghcr.io", always) is marked
    assert mark({}, "ghcr.io", never) == {"auths": {"ghcr.io": {}}}
    assert remove(marked, "ghcr.io", never) == {"auths": {}}


def test_podmans_keys_may_name_a_repository_and_docker_hub_by_any_name() -> None:
    document = {
        "auths": {
            key: encode_entry(THEIRS)
            for key in (
                "ghcr.io",
                "ghcr.io/org/app",
                "ghcr.io:444",
                "index.docker.io",
                "https://index.docker.io/v1/",
                "?",
            )
        }
    }
    assert set(entries_of(document, Registry("ghcr.io"))) == {"ghcr.io", "ghcr.io/org/app"}
    assert set(entries_of(document, parse_hostname("docker.io"))) == {"index.docker.io", "https://index.docker.io/v1/"}


KEYS = st.sampled_from(["ghcr.io", "https://index.docker.io/v1/", "a.example:5000"]) | st.text(max_size=5)
ENTRIES = st.builds(
    Entry,
    st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=8),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8).map(Sensitive),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KNOWN = {"auths", "credsstore", "credhelpers"}
DOCUMENTS = st.builds(
    lambda others, auths: {**{k: v for k, v in others.items() if k.lower() not in KNOWN}, "auths": auths},
    st.dictionaries(st.text(max_size=5), JSON, max_size=4),
    st.dictionaries(KEYS, ENTRIES.map(encode_entry) | st.just({}) | st.just({"email": "a@b"}), max_size=4),
)


@given(DOCUMENTS, KEYS, ENTRIES)
def test_adding_and_removing_a_login_changes_nothing_else(written: dict[str, Any], key: str, entry: Entry) -> None:
    """Every key that is not ours keeps its value and its position. Docker then finds our login."""
    document = parse_config(json.dumps(written).encode())
    placed = parse_config(format_config(place(document, key, entry, always)))
    found = find(placed, key)
    assert found is not None
    assert entry.same_login(found[1])
    removed = remove(placed, key, always)
    for after in (placed, removed):
        assert [name for name in after if name in document] == list(document)
        assert {name: value for name, value in after.items() if name != "auths"} == {
            name: value for name, value in document.items() if name != "auths"
        }
        assert {name: value for name, value in after["auths"].items() if name != key} == {
            name: value for name, value in document["auths"].items() if name != key
        }


def test_the_helpers_in_a_file_and_the_keys_that_they_store() -> None:
    document = {
        "auths": {"ghcr.io": {}, "plain.example": {}, "quay.io": {}},
        "credHelpers": {"quay.io": "exact", "gone.example": "exact", "plain.example": ""},
        "credsStore": "general",
    }
    assert named_helpers(document) == {"general": ["ghcr.io"], "exact": ["quay.io", "gone.example"]}
    assert named_helpers({"auths": {"ghcr.io": {}}, "credHelpers": None}) == {}


@pytest.mark.parametrize(
    ("key", "is_looked_up"),
    [
        ("ghcr.io", True),
        ("127.0.0.1:5000", True),
        ("https://index.docker.io/v1/", True),
        ("docker.io", False),
        ("GHCR.IO", False),
        ("https://ghcr.io", False),
        ("git:https://github.com", False),
        ("", False),
        ("\ud800.example", False),
    ],
)
def test_which_keys_docker_looks_up(key: str, is_looked_up: bool) -> None:
    """The exact spelling counts. A helper finds nothing under another spelling of the same registry."""
    assert is_docker_key(key) is is_looked_up

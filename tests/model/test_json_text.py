"""JSON is read and written without loss."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.json_text import JsonError, format_json, parse_json

TEXTS = st.text(st.characters(exclude_categories=()))  # lone surrogates too
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_any_json_survives_a_round_trip(value: Any) -> None:
    """Everything in a configuration file that is not ours keeps its meaning and its order."""
    written = format_json(parse_json(json.dumps(value).encode()))
    again = json.loads(written)
    assert again == value
    assert json.dumps(again) == json.dumps(value)


@pytest.mark.parametrize("number", ["1" * 5000, "1.10", "0.1000000000000000055511151231257827", "-0", "1E400"])
def test_a_number_keeps_its_digits(number: str) -> None:
    """Numbers are not converted to a float, or to an int of limited length."""
    assert format_json(parse_json(number.encode())) == number.encode()


def test_the_format_is_the_one_of_docker() -> None:
    """Tabs, a space after the colon, empty objects on one line, no line end at the end."""
    assert (
        format_json({"auths": {"a": {"auth": "é"}, "b": {}}, "l": [True, None, []]})
        == (
            '{\n\t"auths": {\n\t\t"a": {\n\t\t\t"auth": "é"\n\t\t},\n\t\t"b": {}\n\t},\n'
            '\t"l": [\n\t\ttrue,\n\t\tnull,\n\t\t[]\n\t]\n}'
        ).encode()
    )


def test_objects_under_a_duplicate_key_are_merged() -> None:
    """Docker's decoder reads both `auths` into one map, so neither may be lost."""
    assert parse_json(b'{"a": {"x": "1"}, "a": {"y": "2"}, "b": "1", "b": "2"}') == {
        "a": {"x": "1", "y": "2"},
        "b": "2",
    }


@pytest.mark.parametrize(
    "data",
    [b"{", b'{"a" x}', b'{"a": NaN}', b"[-Infinity]", b'"\n"', b"\xff", b"\xef\xbb\xbf{}", b"[" * 100_000, b"\0"],
)
def test_invalid_json_is_refused_and_not_quoted(data: bytes) -> None:
    """The message shows the location. It contains nothing from the file, which may hold passwords."""
    with pytest.raises(JsonError) as caught:
        parse_json(b'{"hunter2": "hunter2", "x": ' + data)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(JsonError):
        parse_json(data)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ('{"auths": {}}'.encode("utf-16"), "text in UTF-16"),
        ('{"auths": {}}'.encode("utf-16-be"), "text in UTF-16"),
        (b"\0\0\0\0", "NUL bytes"),
        (b'\n{\n // mine\n "auths": {}\n}', "a comment at line 3"),
        (b'{"auths": {} # mine\n}', "a comment at line 1"),
        (b'{\n"auths": {},\n}', "a comma too many at line 2"),
        (b'{"auths": [{}, ]}', "a comma too many at line 1"),
        (b'<<<<<<< HEAD\n{}\n=======\n{"auths": {}}\n>>>>>>> x\n', "merge conflict at line 1"),
        (b"{'auths': {}}", "quotes at line 1"),
        ("{“auths”: {}}".encode(), "quotes at line 1"),
        (b"nonsense", "it is not JSON"),
        (b'{"auths": {', "ends too early, at line 1 column 12"),
    ],
)
def test_a_text_that_does_not_parse_is_named(data: bytes, fault: str) -> None:
    """A person may not know what a parser expects, but knows comments, commas and encodings."""
    with pytest.raises(JsonError, match=fault):
        parse_json(data)


def test_what_follows_the_value_is_ignored_unless_it_has_to_be_alone() -> None:
    """Docker reads the first value of config.json, but the only value of DOCKER_AUTH_CONFIG."""
    assert parse_json(b' {"a": null}\n{') == {"a": None}
    assert parse_json(b" [] \n", alone=True) == []
    with pytest.raises(JsonError, match="more than one value"):
        parse_json(b"{} {", alone=True)


@given(st.binary(max_size=8))
def test_bytes_that_are_not_utf_8_are_kept_as_escapes(text: bytes) -> None:
    """The file becomes valid UTF-8, and no byte of a text is lost."""
    for special in (b'"', b"\\", *(bytes([code]) for code in range(32))):
        text = text.replace(special, b"")
    written = format_json(parse_json(b'"%s"' % text))
    assert json.loads(written.decode()).encode("utf-8", "surrogateescape") == text


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    """A file that can be read but not written causes an error, not a crash."""
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(JsonError, match="deep"):
        format_json(deep)

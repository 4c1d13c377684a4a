"""JSON that comes out as it went in."""

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
    """What is not ours in a configuration file is written back with the same meaning, in the same order."""
    written = format_json(parse_json(json.dumps(value).encode()))
    again = json.loads(written)
    assert again == value
    assert json.dumps(again) == json.dumps(value)


@pytest.mark.parametrize("number", ["1" * 5000, "1.10", "0.1000000000000000055511151231257827", "-0", "1E400"])
def test_a_number_keeps_its_digits(number: str) -> None:
    """No number passes through a float, nor through an int of limited length."""
    assert format_json(parse_json(number.encode())) == number.encode()


def test_it_is_written_as_docker_writes_it() -> None:
    """Tabs, a space after the colon, empty objects closed at once, no line end at the end."""
    assert (
        format_json({"auths": {"a": {"auth": "é"}, "b": {}}, "l": [True, None, []]})
        == (
            '{\n\t"auths": {\n\t\t"a": {\n\t\t\t"auth": "é"\n\t\t},\n\t\t"b": {}\n\t},\n'
            '\t"l": [\n\t\ttrue,\n\t\tnull,\n\t\t[]\n\t]\n}'
        ).encode()
    )


def test_objects_under_a_key_that_stands_twice_are_one() -> None:
    """Docker's decoder reads both `auths` into one map, so neither may be dropped."""
    assert parse_json(b'{"a": {"x": "1"}, "a": {"y": "2"}, "b": "1", "b": "2"}') == {
        "a": {"x": "1", "y": "2"},
        "b": "2",
    }


@pytest.mark.parametrize(
    "data", [b"{", b"{} x", b'{"a": NaN}', b"[-Infinity]", b'"\xff"', b"\xef\xbb\xbf{}", b"[" * 100_000, b"\0"]
)
def test_what_is_not_json_is_refused_without_being_quoted(data: bytes) -> None:
    """The fault tells where, and carries nothing of the file, which holds passwords."""
    with pytest.raises(JsonError) as caught:
        parse_json(b'{"hunter2": "hunter2", "x": ' + data)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(JsonError):
        parse_json(data)


def test_what_is_nested_too_deeply_to_be_written_is_refused() -> None:
    """A file that can be read but not written is a fault, not a crash."""
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(JsonError, match="deep"):
        format_json(deep)

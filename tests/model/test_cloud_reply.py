"""Answers of clouds come from outside. Whatever is in them, only what has the right form is used."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.model import jwt
from agent.model.cloud_reply import CloudReply, fields_of
from tests.fakecloud.jwt import make

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def reply(**fields: Any) -> CloudReply:
    return CloudReply("example", 200, NOW, fields)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000, b"null"])
def test_a_body_that_is_no_object_has_no_fields(body: bytes) -> None:
    assert fields_of(body) == {}


@pytest.mark.parametrize("value", [3599, 3599.0, "3599", "3599.0"])
def test_a_life_is_a_number_or_a_text(value: object) -> None:
    """Azure's metadata service writes numbers as strings, and Google's exchange did."""
    assert reply(expires_in=value).ends_in(NOW) == NOW + timedelta(seconds=3599)


@pytest.mark.parametrize("value", [None, True, 0, -1, "soon", "nan", "inf", 1e300, [], {}])
def test_a_life_that_is_none_is_refused(value: object) -> None:
    assert reply(expires_in=value).ends_in(NOW) is None


@pytest.mark.parametrize("value", [1767225600, "1767225600", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"])
def test_an_end_is_epoch_seconds_or_a_time(value: object) -> None:
    assert reply(end=value).ends_at("end") == NOW


@pytest.mark.parametrize("value", [None, True, "soon", "2026-01-01T00:00:00", 10**30, "nan", [], {}])
def test_an_end_that_is_none_is_refused(value: object) -> None:
    assert reply(end=value).ends_at("end") is None


@pytest.mark.parametrize("value", [None, "", 7, "two\nlines", "ü", ["x"]])
def test_a_token_is_one_printable_line(value: object) -> None:
    """It goes into an HTTP header."""
    assert reply(access_token=value).secret("access_token") is None


def test_no_message_repeats_a_secret() -> None:
    """In what is shown of an answer. What decides is the answer itself."""
    given = CloudReply("example", 400, NOW, scrub=lambda text: text.replace("s3cret", "***"))
    shown = given.words(f"you sent {'s3cret'} \x1b[31m and {'x' * 500}")
    assert shown.startswith(" (you sent *** ")
    assert shown.isprintable()
    assert len(shown) == 203


def test_a_jwt_is_described_by_what_a_provider_compares() -> None:
    assert jwt.described(make({"iss": "https://i.example", "sub": "me", "aud": "x"})) == (
        " (iss https://i.example, sub me, aud x)"
    )
    assert jwt.described(make({"sub": "x\n" * 200, "aud": ["a"]})).endswith("…)")
    assert jwt.described("no JWT") == ""


def test_a_jwt_shows_its_end_and_its_claims() -> None:
    """Without a check of the signature: it decides only when to ask again, and what people read."""
    token = make({"exp": 1767225600, "sub": "a\x00b", "oid": 7})
    assert jwt.expiry(token) == NOW
    assert jwt.text(jwt.claims(token), "oid", "sub") == "a b"


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.!!!.c", "..", "a.W10.c", "a.MQ.c", "\ud800.x.y"])
def test_what_is_no_jwt_has_no_claims(token: str) -> None:
    assert jwt.claims(token) == {}
    assert jwt.expiry(token) is None

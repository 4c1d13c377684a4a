"""Known secrets are never shown, in any encoding."""

import base64
import json
import sys
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.observe.redaction import MASK, Scrubber, secrets_of_environment

SECRET = 'p/w+ "ü&ß\\ =?'


@pytest.fixture
def scrubber() -> Scrubber:
    scrubber = Scrubber()
    scrubber.protect([SECRET])
    return scrubber


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_every_form_is_masked(scrubber: Scrubber, form: str) -> None:
    """Raw, escaped or encoded. At most one base64 digit is left, shared with the next character."""
    left = scrubber.scrub(f"before {form} after").replace(MASK, "").replace("before", "").replace("after", "")
    assert len(left.replace("=", "").strip()) <= 1


@given(st.text(st.characters(codec="utf-8", exclude_characters=":"), max_size=20))
def test_a_password_inside_a_basic_header_is_masked(username: str) -> None:
    """In base64 of user:password, only the digits of the user name stay, and at most one shared digit at each end."""
    scrubber = Scrubber()
    scrubber.protect(["correct-horse-battery"])
    header = base64.b64encode(f"{username}:correct-horse-battery".encode()).decode()
    left = scrubber.scrub(header)
    assert MASK in left
    digits_before = -(-(len(username.encode()) + 1) * 8 // 6)
    assert len(left.replace(MASK, "").rstrip("=")) <= digits_before + 1


def test_a_secret_cut_off_is_masked_too(scrubber: Scrubber) -> None:
    """A message that was cut off does not show the first half of a secret."""
    assert SECRET[:6] not in scrubber.scrub(f"it said {SECRET[:6]}…")


def test_short_secrets_are_masked_only_as_separate_words() -> None:
    """A password of three letters does not mask parts of other words."""
    scrubber = Scrubber()
    scrubber.protect(["abc"])
    assert scrubber.scrub("password abc, alphabcdef") == f"password {MASK}, alphabcdef"


def test_each_owner_replaces_only_its_own_secrets() -> None:
    """New secrets of one owner do not reveal those of another."""
    scrubber = Scrubber()
    scrubber.protect(["first-secret"], owner="a")
    scrubber.protect(["second-secret"], owner="b")
    scrubber.protect(["third-secret"], owner="a")
    assert scrubber.scrub("first-secret second-secret third-secret") == f"first-secret {MASK} {MASK}"


def test_runner_native_is_not_secret() -> None:
    """This word of the interface stays readable, even if it is used as a password."""
    scrubber = Scrubber()
    scrubber.protect(["runner-native"])
    assert scrubber.scrub("runner-native") == "runner-native"


def test_the_environments_own_secrets_are_known() -> None:
    """AWS keys, and the password in the URL of a proxy."""
    environ = {"AWS_SECRET_ACCESS_KEY": "aws-key", "https_proxy": "http://me:pr%20xy@proxy:3128", "HOME": "/x"}
    assert {"aws-key", "pr xy"} <= set(secrets_of_environment(environ))


def test_a_text_is_scrubbed_while_another_thread_adds_a_secret() -> None:
    """The secrets that are already known are masked at any time."""
    scrubber, enough = Scrubber(), threading.Event()
    scrubber.protect(["the-first-secret"])

    def add() -> None:
        number = 0
        while not enough.is_set():
            number += 1
            scrubber.protect([f"another-secret-{number}"], owner="aws")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so the threads interrupt each other in every place
    adding = threading.Thread(target=add)
    adding.start()
    try:
        assert {scrubber.scrub("it is the-first-secret") for _ in range(5000)} == {"it is [redacted]"}
    finally:
        enough.set()
        adding.join()
        sys.setswitchinterval(interval)


def test_a_long_text_is_scrubbed_too() -> None:
    """It is searched in another way, which is faster for long texts."""
    scrubber = Scrubber()
    scrubber.protect(["the-first-secret"])
    assert scrubber.scrub("x" * 100_000 + "the-first-secret") == "x" * 100_000 + "[redacted]"

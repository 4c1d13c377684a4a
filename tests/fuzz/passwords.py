"""What a password source prints: text, JSON, a kubelet's response, tokens."""

import base64
from datetime import UTC, datetime
from typing import Final

from agent.model.credential_output import OutputError, parse_output
from agent.model.registry import Registry
from tests.fuzz.target import CANARY, Target, heap

_HOST: Final = Registry("registry.example.com:5000")
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_CLAIMS: Final = base64.urlsafe_b64encode(b'{"exp": 1767229200}').rstrip(b"=")
_SECRET: Final = CANARY.encode()
_SEEDS: Final = (
    _SECRET + b"\n",
    b'{"password": "%s", "username": "ada", "expires_at": "2026-01-01T01:00:00Z"}' % _SECRET,
    b'{"ServerURL": "x", "Username": "<token>", "Secret": "%s", "expires_in": "3600"}' % _SECRET,
    b'{"accessToken": "%s", "expires_on": 1767229200}' % _SECRET,
    b'{"kind": "CredentialProviderResponse", "cacheDuration": "1h0m0.5s", "auth":'
    b' {"*.example.com:5000": {"username": "ada", "password": "%s"}}}' % _SECRET,
    b'{"type": "service_account", "private_key": "%s"}' % _SECRET,
    b"e30." + _CLAIMS + b".c2ln",
    base64.b64encode(b'{"payload":"x","expiration":1767229200}'),
)
_WORDS: Final = (
    *(b"{", b"}", b'"', b":", b",", b"[", b"null", b"true", b"1e999", b"-1", b"NaN", b"\\u0000", b"\\ud800", b"\xff"),
    *(b'"token"', b'"access_token"', b'"expires_in"', b'"expirationTimestamp"', b'"auth"', b'"cacheDuration"', b'"*."'),
    *(b"9h", b"0s", b".", b"=", b"\n", b"\r\n"),
)


def check(data: bytes) -> None:
    try:
        found = parse_output(data, _HOST, _NOW)
    except OutputError as error:
        message = str(error)
        assert CANARY not in message
        assert message.isprintable()
        return
    password = found.password.reveal()
    assert password.strip()
    assert "\0" not in password
    assert password.encode()
    assert found.username is None or ":" not in found.username
    assert found.expires_at is None or found.expires_at.tzinfo is not None
    assert CANARY not in repr(found)


def targets() -> tuple[Target, ...]:
    pattern = heap(b'{"kind": "CredentialProviderResponse", "auth": {', b'"*.%d.com": {}', b"}}", b", ")
    return (Target("password-output", check, _SEEDS, _WORDS, heaps=(pattern, heap(b"{", b'"a%d": 1', b"}", b", "))),)

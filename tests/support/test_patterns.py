"""Text that looks like a secret is masked. What support needs stays."""

import base64
import importlib
import json
import pkgutil
import re
from typing import Final

import pytest

import agent.observe
import agent.support
from agent.support.patterns import mask_patterns
from tests.rig.growth import assert_linear

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYzEXAMPLEKEY7"
LOGIN = base64.b64encode(b"ada:correct horse battery").decode()


def masked(text: str) -> str:
    return mask_patterns(text)[0]


@pytest.mark.parametrize(
    ("kind", "text", "secret"),
    [
        ("authorization header", f"Authorization: Basic {LOGIN}", LOGIN),
        ("authorization header", f"> proxy-authorization: bearer {SECRET}", SECRET),
        ("authorization header", "Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=0f0f0f", "0f0f0f"),
        ("authorization header", "sent Bearer abcdef012345 to it", "abcdef012345"),
        ("secret field", '{"auth": "c2hvcnQ="}', "c2hvcnQ="),
        ("secret field", json.dumps({"m": json.dumps({"password": 'with " and \\ in it'})}), "in it"),
        ("secret field", json.dumps(json.dumps(json.dumps({"identitytoken": "abc"}))), "abc"),
        ("secret field", '"password": "cut off in the mid', "cut off"),
        ("secret field", '{"ServerURL":"x","Secret":"hunter2"}', "hunter2"),
        ("secret field", "aws_secret_access_key = hunter2", "hunter2"),
        ("secret field", "POST password=hunter2&user=ada", "hunter2"),
        ("URL with a user name", "proxy http://ada:hunter2@proxy:3128", "hunter2"),
        ("URL with a user name", "http://ada:hun/ter2@proxy:3128", "ter2"),
        ("URL with a user name", "http://ada:p@ss/w?rd#x@proxy:3128", "w?rd#x"),
        ("URL with a user name", "socks5://ada:123/x@proxy:3128", "123/x"),
        ("URL with a user name", "https://ghtoken@github.com/x", "ghtoken"),
        ("query of a URL", "GET https://x.example/a?key=hunter2", "hunter2"),
        ("AWS access key", "key ASIAIOSFODNN7EXAMPLE was", "ASIAIOSFODNN7EXAMPLE"),
        ("AWS secret key", "secret wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY,", "K7MDENG"),
        ("JWT or AWS token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "c2ln"),
        ("token with a known prefix", "ghp_abcdefabcdef", "abcdefabcdef"),
        ("token with a known prefix", "github_pat_abcdef_abcdef", "abcdef"),
        ("token with a known prefix", "glpat-abcdefabcdef", "abcdefabcdef"),
        ("token with a known prefix", "dckr_pat_abc-defabcdef", "defabcdef"),
        ("PEM block", "x -----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY----- y", "MIIE"),
        ("PEM block", json.dumps("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"), "MIIE"),
        ("PEM block", "-----BEGIN PRIVATE KEY----- MIIEcut", "MIIEcut"),
        ("base64 of user:password", f"it said {LOGIN}.", LOGIN),
        ("random-looking text", "it is x9Kp2QmL7vRt4WzB, no?", "x9Kp2QmL7vRt4WzB"),
        ("e-mail address", "role session ada.l@example.com", "ada.l"),
    ],
)
def test_masks_and_counts_each_kind(kind: str, text: str, secret: str) -> None:
    """By its context or by its form. The text around it stays."""
    shown, found = mask_patterns(text)
    assert secret not in shown
    assert "[redacted]" in shown
    assert found[kind] >= 1


@pytest.mark.parametrize(
    "text",
    [
        '"hint": "update the secret\'s user name or password; an access token may have expired"',
        '{"secret": "team-ecr", "auth": "", "password": null, "attempt_id": "71274221"}',
        "no basic auth credentials",
        "arn:aws:sts::123456789012:assumed-role/registry-agent/i-0abc1234def567890",
        "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/team/image:1.2.3",
        "invocation 0123456789abcdef0123456789abcdef, sha256:" + "0a" * 32,
        "https://ghcr.io/v2/team/image@sha256:0a1b https://ghcr.io/v2/",
        "/usr/local/lib/registry-agent/lib/python3.11/site-packages/agent/__main__.py",
        "registry-agent@ada.service: Main process exited",
        "unix:///var/run/docker.sock http://localhost:8719/v1/status",
        "Debian GNU/Linux 12 (bookworm), docker 28.2.2, Linux 6.1.0-18-amd64 x86_64",
        "AssumeRoleWithWebIdentity CredentialStoreFailed ThrottlingException",
    ],
)
def test_keeps_what_support_needs(text: str) -> None:
    """Names, numbers, words and paths are not masked."""
    assert mask_patterns(text) == (text, {})


def test_does_not_mask_a_mask_again() -> None:
    """Otherwise the counts would be wrong."""
    once = masked(f'Authorization: Basic {LOGIN}\n{{"auth": "{LOGIN}"}} password={SECRET} http://a:b@c?d=e')
    assert masked(once) == once


def test_masked_json_stays_valid() -> None:
    """Tools can still read the bundle."""
    value = {
        "auth": SECRET,
        "url": "http://ada:pw@x/?y=z",
        "nested": json.dumps({"password": "a\\"}),
        "PEM": "-----BEGIN X-----",
    }
    assert json.loads(masked(json.dumps(value))).keys() == value.keys()
    assert json.loads(masked(json.dumps(value, indent=1))).keys() == value.keys()


PIECES: Final = [
    "a",
    "a.",
    "a@",
    "A1",
    "Ab1",
    "/",
    "-",
    "=",
    " ",
    "\n",
    "\\",
    '\\"',
    '"',
    "://",
    "x://",
    "x://a:",
    "x://?",
    "eyJ",
    "ghp_",
    "bearer ",
    "authorization:",
    "auth=",
    '"auth":"',
    '"auth": ',
    "-----BEGIN A-----",
    "export A",
    "aws_session_token ",
]
ENDS: Final = ["", "@", '"', "-----END"]


@pytest.mark.parametrize("piece", PIECES)
def test_the_time_to_mask_grows_with_the_text_and_not_faster(piece: str) -> None:
    """Whatever it consists of, and however it begins and ends."""
    for begin, end in [*(("", end) for end in ENDS), *((begin, "") for begin in ('"auth":"', "x://a:", "Bearer "))]:
        assert_linear(lambda size, b=begin, e=end: mask_patterns(b + piece * (size // len(piece)) + e))  # type: ignore[misc]


def patterns() -> dict[str, re.Pattern[str]]:
    """Every compiled pattern of the bundle and of the redaction, also those in tables."""
    found = {}
    for package in (agent.support, agent.observe):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                for number, each in enumerate(value if isinstance(value, tuple) else (value,)):
                    pattern = getattr(each, "pattern", None)
                    pattern = each if isinstance(each, re.Pattern) else pattern
                    if isinstance(pattern, re.Pattern):
                        found[f"{module.name}.{name}[{number}]"] = pattern
    return found


@pytest.mark.parametrize("name", patterns())
def test_the_time_of_each_pattern_grows_with_the_text_and_not_faster(name: str) -> None:
    """One slow pattern would hold up the whole bundle: a search cannot be interrupted."""
    pattern = patterns()[name]
    for piece in PIECES:
        assert_linear(lambda size, piece=piece: sum(1 for _ in pattern.finditer(piece * (size // len(piece)))))  # type: ignore[misc]


def test_the_search_for_patterns_finds_them() -> None:
    """Those of tables too. Otherwise, the test above would promise nothing."""
    assert len(patterns()) >= 20
    assert any("PRIVATE" in pattern.pattern or "BEGIN" in pattern.pattern for pattern in patterns().values())
    assert any("aws_" in pattern.pattern for pattern in patterns().values())


def test_a_quadratic_pattern_is_noticed() -> None:
    """The measurement is not blind."""
    pattern = re.compile(r"(\\*)\"")
    with pytest.raises(AssertionError):
        assert_linear(lambda size: pattern.search("\\" * (size // 8)))

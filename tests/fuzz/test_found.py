"""Faults that fuzzing and review found, each with an example."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from agent.edge.aws.errors import AwsCall, problem_from
from agent.edge.aws.replies import parse_token
from agent.edge.aws.sdk import remember_owner
from agent.edge.registry_answers import token_url
from agent.edge.state_file import StateFile
from agent.model.credential import Credential
from agent.model.desired_login import CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import Entry, parse_config
from agent.model.login_source import AwsDefaults
from agent.model.plan import make_plan
from agent.model.problems.aws import AwsAccessDenied, AwsError
from agent.model.problems.stored_login import LoginOverridden
from agent.model.registry import parse_hostname
from agent.model.secret import parse_secret
from agent.model.secret_environment import read_environment
from agent.model.sensitive import Sensitive
from agent.observe.redaction import Scrubber
from agent.services.overrides import Overrides
from agent.settings_loader import load_settings
from tests.fuzz.all_targets import all_targets
from tests.fuzz.target import CANARY, SIZE, assert_printable, run
from tests.problems import raises_problem

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_STATE: dict[str, Any] = {
    "version": 1,
    "key": "00ff",
    "docker_config": "/root/.docker",
    "brought": {},
    "entries": {},
    "rejections": {},
}
_ENTRY = {"docker_key": "ghcr.io", "digests": ["ab"], "expires_at": "2026-01-01T00:00:00+00:00"}
_REJECTION = {
    "fingerprint": "ab",
    "code": "login_rejected",
    "message": "no",
    "hint": "",
    "not_before": "2026-01-01T01:00:00+00:00",
}


def _quick(begun: float) -> bool:
    """Return whether it took under 5 s of CPU time. Load does not count; a slow machine needs 1 s for linear work."""
    return time.process_time() - begun < 5


@pytest.mark.parametrize("text", ["docker.io:0443", "hub.docker.com:00443", "https://index.docker.io:0443/v1/"])
def test_docker_hubs_port_may_have_zeros(text: str) -> None:
    """A canonical name parses to itself. Otherwise the state file and the status could use two names for a registry."""
    assert parse_hostname(text).hostname == "docker.io"


@pytest.mark.parametrize(
    "changes",
    [
        {"entries": {"ghcr.io": {**_ENTRY, "expires_at": "2026-01-01T00:00:00"}}},
        {"entries": {"ghcr.io": {**_ENTRY, "expires_at": "0001-01-01T00:00:00+14:00"}}},
        {"entries": {"no host": _ENTRY}},
        {"entries": {"GHCR.IO": _ENTRY}},
        {"rejections": {"ghcr.io": {**_REJECTION, "not_before": "2026-01-01"}}},
        {"rejections": {"ghcr.io": {**_REJECTION, "code": ["login_rejected"]}}},
        {"rejections": {"ghcr.io": {**_REJECTION, "message": 5}}},
        {"rejections": {"ghcr.io": {**_REJECTION, "hint": None}}},
        {"key": "\ud800"},
        {"brought": {"ghcr.io": 5}},
    ],
)
def test_a_damaged_state_file_ends_nothing(tmp_path: Path, changes: Mapping[str, Any]) -> None:
    """A damaged part is dropped. If the agent used it, it could end the agent, again after each restart."""
    (tmp_path / "state.json").write_text(json.dumps({**_STATE, **changes}))
    state_file = StateFile.loaded(tmp_path, Path("/root/.docker"))
    assert state_file.fault is not None
    assert "is damaged" in state_file.fault
    assert state_file.entries() == {}
    secret = {"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "right"}
    (login,) = make_plan([parse_secret(secret, "test", "[0]")], (), AwsDefaults()).logins
    assert state_file.rejection(login.registry.hostname) is None
    assert state_file.digest("ghcr.io", Entry("bob", Sensitive("right")))


def test_a_whole_state_file_is_read(tmp_path: Path) -> None:
    """The checks refuse nothing that the agent itself wrote."""
    state = {**_STATE, "entries": {"ghcr.io": _ENTRY}, "rejections": {"ghcr.io": _REJECTION}}
    (tmp_path / "state.json").write_text(json.dumps(state))
    state_file = StateFile.loaded(tmp_path, Path("/root/.docker"))
    assert state_file.fault is None
    assert state_file.entries()["ghcr.io"].expires_at == _NOW
    assert state_file.rejection("ghcr.io") is not None


@pytest.mark.parametrize("hours", [14, -14])
def test_an_end_beyond_the_calendar_is_a_wrong_answer(hours: int) -> None:
    """In UTC, such a moment is before the year 1, or after 9999."""
    naive = datetime.min if hours > 0 else datetime.max  # noqa: DTZ901 - the zone comes next
    ends = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    with raises_problem(AwsError, match="expiresAt"):
        parse_token({"authorizationData": [{"authorizationToken": "QVdTOmFiY2Q=", "expiresAt": ends}]})


def test_a_hint_moves_no_cursor() -> None:
    """A key in podman's file may have any text after the host name. The hint's command contains the key."""
    document = parse_config(json.dumps({"auths": {"ghcr.io/\x1b[2J\nrm": {"auth": "Ym9iOm90aGVy"}}}).encode())
    order = DesiredLogin(parse_hostname("ghcr.io"), Entry("bob", Sensitive("ours")), None)
    (problem,) = Overrides(None).of(
        order, StoreResult(CONFIG_FILE, order.entry, ours=True), {"/auth.json": document}, {}
    )
    assert_printable(problem.hint)
    assert isinstance(problem, LoginOverridden)


def test_a_key_over_and_over_is_read_in_linear_time() -> None:
    """Objects under one key are merged. Once, a million of them were copied a million times."""
    members = [f'"auths":{{"h{number}":{{}}}}' for number in range(30_000)]
    begun = time.process_time()
    assert len(parse_config(f"{{{','.join(members)}}}".encode())["auths"]) == 30_000
    one_key = time.process_time()
    parse_config(f"{{{','.join(member.replace('auths', f'k{n}') for n, member in enumerate(members))}}}".encode())
    assert one_key - begun < 10 * (time.process_time() - one_key)


def test_a_challenge_without_an_end_is_read_in_linear_time() -> None:
    """The event loop searches the realm in any text that a registry sends as WWW-Authenticate."""
    begun = time.process_time()
    assert token_url("Bearer " + "a" * SIZE, Credential("bob", Sensitive("right"))) is None
    assert _quick(begun)


def test_a_variable_of_a_hundred_thousand_entries_is_cut() -> None:
    """As in a file, so many entries are a mistake, and one warning for each could overload the agent."""
    begun = time.process_time()
    reading = read_environment({"GITPOD_IMAGE_AUTH": "1," * 50_000})
    assert _quick(begun)
    assert len(reading.problems) <= 1001
    assert "uses only the first 1000" in reading.problems[-1].message


@pytest.mark.parametrize(
    "content",
    [
        "a." * 32_000 + "a = 1\n",
        "[" + '"a".' * 16_000 + "a]\n",
        "x = {" + "a." * 32_000 + "a = 1}\n",
        "[secrets]\n" + "".join(f"k{number} = 1\n" for number in range(8_000)),
        "".join(f"[s{number}]\n" for number in range(8_000)),
    ],
)
def test_a_settings_file_of_nonsense_is_refused_at_once(tmp_path: Path, content: str) -> None:
    """Python's TOML parser takes quadratic time for a key with many parts, and a suggestion for each key takes long."""
    file = tmp_path / "config.toml"
    file.write_text(content)
    begun = time.process_time()
    loaded = load_settings(file, {"HOME": "/root"}, {})
    assert _quick(begun)
    assert loaded.file_faults
    assert len(loaded.problems) == 1


def test_an_error_code_is_no_place_for_a_secret() -> None:
    """A server in between may send a key back in the header that AWS uses for the error code."""
    key = "wJalrXUtnFEMI/K7MDENG"
    reply: Any = {"ResponseMetadata": {"HTTPStatusCode": 400, "HTTPHeaders": {"x-amzn-errortype": key}}}
    question, scrubber = AwsCall("ecr:GetAuthorizationToken", "the secret's access key"), Scrubber()
    scrubber.protect([key, "Access"])
    problem = problem_from(ClientError(reply, "GetAuthorizationToken"), question, _NOW, 10.0, scrubber.scrub)
    assert key not in problem.message
    denied: Any = {"Error": {"Code": "AccessDeniedException"}}
    problem = problem_from(ClientError(denied, "GetAuthorizationToken"), question, _NOW, 10.0, scrubber.scrub)
    assert isinstance(problem, AwsAccessDenied), "a short secret changes no code"


@pytest.mark.parametrize("end", [b"\r", b"\r\xff", b"\x00\r\n", b"\n"])
def test_what_is_no_http_is_not_quoted(end: bytes) -> None:
    """The server's library would send back the line that it cannot parse, with the token in it."""
    request = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + CANARY.encode()
    run(all_targets()["http-request"], request + end + b"A: b\r\n\r\n")


def test_the_owners_of_old_keys_are_forgotten() -> None:
    """A role's session gets new keys every few hours, and an environment may live for months."""
    owners: dict[str, str] = {}
    for number in range(1_000):
        remember_owner(owners, f"ASIA{number}", "arn")
    assert len(owners) <= 50
    assert "ASIA999" in owners

"""What is used instead of the agent's login: each reason with what changes it, in one problem."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Final

import pytest

from agent.model.desired_login import CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import Document, Entry, encode_entry
from agent.model.docker_config_fields import CliVersion
from agent.model.problem import Severity
from agent.model.problems.stored_login import CredentialStoreFailed, LoginOverridden
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.services.overrides import Overrides, concerns_only_podman

OURS: Final = Entry("me", Sensitive("s3cret"))
THEIRS: Final = Entry("you", Sensitive("theirs"))
DESIRED: Final = DesiredLogin(Registry("ghcr.io"), OURS, None)
STORED: Final = StoreResult(CONFIG_FILE, OURS, ours=True)
OTHER: Final = StoreResult(CONFIG_FILE, THEIRS, ours=False)

VARIABLE: Final = (
    "the variable DOCKER_AUTH_CONFIG has another login for ghcr.io, which docker uses first",
    "unset DOCKER_AUTH_CONFIG, or remove ghcr.io from it, then restart the agent",
)
IN_FILE: Final = (
    "docker uses another login for ghcr.io: config.json has one that the agent did not store",
    "run `registry-agent renew ghcr.io` to replace it; to keep it, name it in secrets.exclude",
)
HELPER: Final = (IN_FILE[0].replace("config.json", "docker-credential-pass"), IN_FILE[1])
ENDING: Final = (f"{IN_FILE[0]}; it works until 2026-01-01 00:00 UTC, and the agent replaces it then", IN_FILE[1])
FAILING: Final = (HELPER[0], "stop using pass for ghcr.io in Docker's config.json, or name it in secrets.exclude")
WORKING: Final = (
    "docker gets its login for ghcr.io from docker-credential-pass, which works; the agent leaves it alone",
    "no action needed; to hide this notice, name ghcr.io in secrets.exclude",
)
TOKEN: Final = Entry("AWS", Sensitive(base64.b64encode(b'{"expiration": 1767225600}').decode()))
FAILURE: Final = CredentialStoreFailed("ghcr.io", "it cannot store")

Reasons = tuple[tuple[str, str], ...]


def auths(**logins: Entry) -> Document:
    return {"auths": {key.replace("_", "/"): encode_entry(entry) for key, entry in logins.items()}}


def used_first(path: str, key: str) -> tuple[str, str]:
    message = f"{path} has another login for {key}, which podman and skopeo use first"
    return message, f"run `podman logout --authfile {path} {key}` to remove it"


def host(entry: Entry) -> Document:
    return auths(**{"ghcr.io": entry})


def repository(entry: Entry) -> Document:
    return auths(**{"ghcr.io_team": entry})


VARIABLES: Final[tuple[tuple[Document | None, CliVersion | None, Reasons], ...]] = (
    (None, (28, 3), ()),
    (host(THEIRS), (28, 3), (VARIABLE,)),
    (host(THEIRS), (28, 2), ()),
    (host(THEIRS), None, ()),
    (host(OURS), (28, 3), ()),
    (auths(**{"quay.io": THEIRS}), (28, 3), ()),
)
STORES: Final[tuple[tuple[StoreResult, Reasons], ...]] = (
    (STORED, ()),
    (OTHER, (IN_FILE,)),
    (replace(OTHER, older=True), ()),
    (replace(OTHER, login=TOKEN), (ENDING,)),
    (replace(OTHER, stored_in="pass"), (HELPER,)),
    (replace(OTHER, stored_in="pass", failure=FAILURE), (FAILING,)),
    (replace(OTHER, stored_in="pass", works=True), (WORKING,)),
)
PODMAN: Final[tuple[tuple[Mapping[str, Document], Reasons], ...]] = (
    ({}, ()),
    ({"/a": host(THEIRS)}, (used_first("/a", "ghcr.io"),)),
    ({"/a": host(THEIRS), "/b": host(THEIRS)}, (used_first("/a", "ghcr.io"),)),
    ({"/a": host(OURS), "/b": host(THEIRS)}, ()),
    (
        {"/a": repository(THEIRS), "/b": host(THEIRS)},
        (used_first("/a", "ghcr.io/team"), used_first("/b", "ghcr.io")),
    ),
    ({"/a": repository(OURS)}, ()),
    ({"/a": auths(**{"quay.io": THEIRS})}, ()),
    (
        {"/a\x1b": host(THEIRS)},
        (("/a\x1b has another login for ghcr.io, which podman and skopeo use first", "remove it from that file"),),
    ),
)


@pytest.mark.parametrize(("variable", "store", "podman"), [*product(VARIABLES, STORES, PODMAN)])
def test_one_problem_names_all_that_is_used_instead(
    variable: tuple[Document | None, CliVersion | None, Reasons],
    store: tuple[StoreResult, Reasons],
    podman: tuple[Mapping[str, Document], Reasons],
) -> None:
    """In docker's order, then podman's. It is a notice if all that there is works."""
    text = json.dumps(variable[0]) if variable[0] is not None else None
    found = Overrides(text, lambda: variable[1]).of(DESIRED, store[0], podman[0], {})
    reasons = (*variable[2], *store[1], *podman[1])
    messages, what_helps = "; ".join(each[0] for each in reasons), "; ".join(each[1] for each in reasons)
    severity = Severity.NOTICE if reasons == (WORKING,) else None
    expected = LoginOverridden("ghcr.io", messages, hint=what_helps, severity=severity)
    assert found == ([expected] if reasons else [])
    docker_is_right = not variable[2] and store[1] in ((), (WORKING,))
    assert concerns_only_podman(messages) is (docker_is_right and podman[1] != ())


def test_a_login_in_the_variable_is_found_under_dockers_key() -> None:
    """Docker Hub's key is not its name."""
    desired = replace(DESIRED, registry=parse_hostname("docker.io"))
    hub = Overrides(json.dumps(auths(**{"https:__index.docker.io_v1_": THEIRS})), lambda: (28, 3))
    assert [problem.code for problem in hub.of(desired, STORED, {}, {})] == ["login_overridden"]
    assert Overrides(json.dumps(auths(**{"docker.io": THEIRS})), lambda: (28, 3)).of(desired, STORED, {}, {}) == []

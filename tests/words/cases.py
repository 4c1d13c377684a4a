"""The faults that docker, aws and the ECR credential helper can report, too, and the commands that show them."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from tests.words import names
from tests.words.others import Command, aws_password, docker_login, helper_get
from tests.words.scene import Scene


class Step(IntEnum):
    """When a fault is present. Some faults would hide others, or follow from them."""

    FROM_THE_START = 0
    TOKEN_FILE_GONE = 1
    CONFIG_BROKEN = 2
    CONFIG_LOCKED = 3
    NO_PROGRAMS = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. `subject` is the subject of the agent's warning, `about` is a heading on the page."""

    code: str
    subject: str
    about: str
    commands: Callable[[Scene], tuple[Command, ...]]
    step: Step = Step.FROM_THE_START


def _login(hostname: str) -> Callable[[Scene], tuple[Command, ...]]:
    return lambda scene: (docker_login(scene, hostname),)


def _ask_aws(region: str) -> Callable[[Scene], tuple[Command, ...]]:
    return lambda scene: (aws_password(scene, region), helper_get(scene, region))


def _pull(hostname: str, user: str, password: str) -> Command:
    """Return the request that makes `docker pull` fail. The CLI sends it alone, with this login in config.json."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    config = json.dumps({"auths": {hostname: {"auth": auth}}})
    return Command(f"docker manifest inspect {hostname}/team/app:1", config=config)


def _no_program(line: str) -> Callable[[Scene], tuple[Command, ...]]:
    return lambda _: (Command(line, env={"PATH": "/nowhere"}),)


def _in_home(hostname: str, *, config: str | None = None, mode: int = 0o700) -> Callable[[Scene], tuple[Command, ...]]:
    """Return a login with this content of config.json, and this mode of its directory."""
    return lambda scene: (replace(docker_login(scene, hostname), config=config, mode=mode),)


BROKEN_CONFIG: Final = '{"auths": {'
PERSONS_ENTRY: Final = {"auth": base64.b64encode(b"a-person:a-former-one").decode()}
ECR_LOGIN: Final = json.dumps({"credHelpers": {names.FETCHED: "ecr-login"}})

CASES: Final = (
    Case(
        "docker_cli_missing",
        "docker",
        "no docker on PATH",
        _no_program("docker login registry.example.com"),
        Step.NO_PROGRAMS,
    ),
    Case("aws_cli_missing", "aws", "no aws on PATH", _no_program("aws ecr get-login-password"), Step.NO_PROGRAMS),
    Case(
        "engine_unreachable",
        "engine",
        "nothing listens on the engine's socket",
        lambda _: (Command("docker pull hello-world"),),
        Step.NO_PROGRAMS,
    ),
    Case(
        "engine_unresponsive",
        "engine",
        "the engine accepts the connection and does not answer",
        lambda s: (Command("docker pull hello-world", env={"DOCKER_HOST": s.engine}),),
    ),
    Case(
        "login_rejected",
        names.WRONG_PASSWORD,
        "a wrong password",
        lambda s: (docker_login(s, names.WRONG_PASSWORD, password=s.wrong),),
    ),
    Case("login_forbidden", names.FORBIDDEN, "the registry answers with 403 and a reason", _login(names.FORBIDDEN)),
    Case(
        "registry_refused_request",
        names.FOREIGN_TOKEN,
        "an ECR token of another region",
        lambda s: (docker_login(s, names.FOREIGN_TOKEN, user="AWS", password=s.foreign_token),),
    ),
    Case("registry_rate_limited", names.BUSY, "the registry answers with 429", _login(names.BUSY)),
    Case("registry_dns", names.TYPO, "a typing error in the host name", _login(names.TYPO)),
    Case("registry_unreachable", names.DOWN, "nothing listens at the registry's address", _login(names.DOWN)),
    Case(
        "registry_tls",
        names.PRIVATE_CA,
        "a certificate from an unknown authority",
        _login(names.PRIVATE_CA),
    ),
    Case(
        "registry_tls", names.EXPIRED_CERTIFICATE, "a certificate that has expired", _login(names.EXPIRED_CERTIFICATE)
    ),
    Case(
        "registry_timeout",
        names.SILENT,
        "the registry accepts the connection and does not answer",
        _login(names.SILENT),
    ),
    Case("registry_error", names.ILL, "the registry answers with 503", _login(names.ILL)),
    Case("registry_error", names.PORTAL, "a captive portal answers with its page", _login(names.PORTAL)),
    Case("aws_credentials_missing", names.ecr(names.KEYLESS), "no credentials anywhere", _ask_aws(names.KEYLESS)),
    Case("aws_access_denied", names.ecr(names.DENIED), "the IAM policy lacks the action", _ask_aws(names.DENIED)),
    Case(
        "aws_identity_rejected",
        names.ecr(names.IDENTITY),
        "a web identity token that AWS does not accept",
        _ask_aws(names.IDENTITY),
    ),
    Case(
        "aws_identity_unavailable",
        names.ecr(names.IDENTITY),
        "the web identity token file is missing",
        _ask_aws(names.IDENTITY),
        Step.TOKEN_FILE_GONE,
    ),
    Case("aws_throttled", names.ecr(names.THROTTLED), "too many calls", _ask_aws(names.THROTTLED)),
    Case("aws_unreachable", names.ecr(names.UNROUTED), "nothing listens at AWS's address", _ask_aws(names.UNROUTED)),
    Case("aws_error", names.ecr(names.AILING), "an internal AWS error", _ask_aws(names.AILING)),
    Case("clock_skew", names.ecr(names.CLOCK), "the clock is 20 minutes off", _ask_aws(names.CLOCK)),
    Case(
        "token_expired",
        names.ecr(names.ENDING),
        "a pull with an expired ECR token",
        lambda s: (_pull(names.ecr(names.ENDING), "AWS", s.dead_token),),
    ),
    Case(
        "config_invalid",
        names.GOOD,
        "config.json is truncated",
        _in_home(names.GOOD, config=BROKEN_CONFIG),
        Step.CONFIG_BROKEN,
    ),
    Case(
        "config_unwritable",
        names.LATER,
        "the directory is not writable",
        _in_home(names.LATER, mode=0o500),
        Step.CONFIG_LOCKED,
    ),
    Case(
        "credential_store_failed",
        names.FETCHED,
        "ecr-login as the credential store",
        _in_home(names.FETCHED, config=ECR_LOGIN),
    ),
    Case(
        "login_overridden",
        names.PERSONAL,
        "a pull with a person's old login in config.json",
        lambda s: (_pull(names.PERSONAL, names.USER, s.wrong),),
    ),
)

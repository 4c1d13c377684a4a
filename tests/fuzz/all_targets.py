"""Every target by its name."""

from functools import cache

from tests.fuzz import answers, configuration, passwords, requests, secrets, stores
from tests.fuzz.target import Target

NAMES = (
    "host-name",
    "secret-document",
    "secret-environment",
    "secret-files",
    "settings-file",
    "settings-variables",
    "docker-stderr",
    "registry-reply",
    "aws-reply",
    "helper-output",
    "web-identity",
    "password-output",
    "config-json",
    "podman-auth",
    "state-json",
    "http-request",
)


@cache
def all_targets() -> dict[str, Target]:
    parts = (secrets, configuration, answers, passwords, stores, requests)
    return {target.name: target for part in parts for target in part.targets()}

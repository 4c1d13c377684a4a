"""The table of all keys with their types, and the defaults that depend on the environment."""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from agent.model.registry import HostnameError, parse_hostname
from agent.model.secret import REGION, ROLE_ARN
from agent.model.text import printable
from agent.settings import DockerSettings, EnvironmentSettings, Settings
from agent.settings_loader.values import Fault, Kind, choice, flag, listen, many, number, path, paths, text, url, word

SECTIONS: Final = tuple(section.name for section in fields(Settings))

_HOUR: Final = 3600.0
_WEEK: Final = 7 * 24 * _HOUR
_HOST_PATTERN: Final = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)


def kinds(home: Path) -> dict[str, Kind]:
    """Return every key, as `section.key`, with the type of its value."""
    return {
        "environment.id": text(),
        "secrets.directories": paths(home),
        "secrets.environment": flag(),
        "secrets.url": url(plain=False),
        "secrets.token_file": path(home),
        "secrets.poll_interval_s": number(_WEEK),
        "secrets.removed": choice("keep", "logout"),
        "secrets.exclude": many(_registry, "ghcr.io"),
        "docker.config_dir": path(home),
        "docker.login_timeout_s": number(_HOUR),
        "aws.region": text(REGION, "an AWS region such as eu-west-1"),
        "aws.profile": text(),
        "aws.role_arn": text(ROLE_ARN, "a role's ARN such as arn:aws:iam::123456789012:role/pull"),
        "aws.identity_token_file": path(home),
        "aws.identity_token_command": many(_argument, "gp"),
        "aws.call_timeout_s": number(_HOUR),
        "renewal.fraction": number(1, below=True),
        "renewal.min_interval_s": number(_HOUR),
        "renewal.urgent_window_s": number(_WEEK),
        "retry.first_wait_s": number(_HOUR),
        "retry.max_wait_s": number(_WEEK),
        "retry.rejected_wait_s": number(_WEEK),
        "status.listen": listen(),
        "status.token_file": path(home),
        "status.allow_hosts": many(word(_HOST_PATTERN, "host names without a port", "*.example.com"), "*.example.com"),
        "status.allow_origins": many(_origin, "https://dashboard.example.com"),
        "report.url": url(plain=True),
        "report.token_file": path(home),
        "report.interval_s": number(_WEEK),
        "log.level": choice("debug", "info", "warning", "error"),
        "log.format": choice("json", "console", "auto"),
    }


def home(environ: Mapping[str, str]) -> Path:
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:  # neither $HOME nor an account for this user id
        return Path("/")


def defaults(environ: Mapping[str, str]) -> Settings:
    """Return the default settings for this environment."""
    platform_name = environ.get("GITPOD_WORKSPACE_ID") or environ.get("CODESPACE_NAME") or os.uname().nodename
    config = environ.get("DOCKER_CONFIG")
    return Settings(
        environment=EnvironmentSettings(id=printable(platform_name)),
        docker=DockerSettings(config_dir=Path(config).absolute() if config else home(environ) / ".docker"),
    )


def _registry(value: str) -> str:
    try:
        return parse_hostname(value).hostname
    except HostnameError:
        raise Fault("must contain registry host names", "write host names, such as ghcr.io") from None


def _argument(value: str) -> str:
    if not value or "\0" in value:
        raise Fault("must contain a program and its arguments", 'write ["program", "argument"], without empty items')
    return value


def _origin(value: str) -> str:
    # Browsers send an origin without a slash at the end.
    return word(_ORIGIN, "origins", "https://dashboard.example.com")(value.strip().removesuffix("/"))

"""Tests of profiles that need a person: the problem explains what to do, and the SDK never prompts."""

import importlib.util
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiobotocore.credentials import AioAssumeRoleCredentialFetcher
from aiobotocore.session import AioSession
from botocore.exceptions import (
    LoginInsufficientPermissions,
    LoginRefreshRequired,
    LoginTokenLoadError,
    MissingDependencyException,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from agent.edge.aws.interactive_login import InteractiveLogin
from agent.model.problem import Needs
from agent.model.problems.aws import AwsCredentialsMissing
from agent.settings import AwsSettings
from tests.edge.aws.aws_server import REGION, AwsServer, clear_environment, fetch, identity, serve
from tests.problems import raises_problem

CHAIN: Final = identity(keys=None)
DEVICE: Final = "arn:aws:iam::123456789012:mfa/ada"
ROLE: Final = "arn:aws:iam::123456789012:role/behind-mfa"
MFA: Final = f"role_arn = {ROLE}\nmfa_serial = {DEVICE}\nsource_profile = keys"
KEYS: Final = "[profile keys]\naws_access_key_id = AKIAOFADA\naws_secret_access_key = x"
START: Final = "sso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1"
SSO: Final = f"sso_account_id = 123456789012\nsso_role_name = dev\nsso_session = s\n[sso-session s]\n{START}"
OUTER: Final = "role_arn = arn:aws:iam::123456789012:role/pull\nsource_profile = base\n[profile base]"
LOGIN: Final = "login_session = arn:aws:iam::123456789012:user/ada"
CODE: Final = f"AWS_DEFAULT_REGION={REGION} aws sts get-caller-identity --profile"
BRIDGE: Final = (
    "run `aws configure set --profile registry-agent credential_process 'aws configure export-credentials --profile "
    'team\'`, and set aws.profile, or "profile" in the secret, to registry-agent'
)
TYPE: Final = (
    'and type the code, then run `registry-agent renew aws`; to avoid the code, set aws.profile, or "profile" in the '
    "secret, to a profile without mfa_serial"
)

LIBRARIES: Final = (
    *("aiobotocore", "botocore", "aiohttp", "dateutil", "jmespath", "prometheus_client", "structlog", "tenacity"),
    "urllib3",
)
_READS_TERMINAL: Final = re.compile(r"getpass\.getpass(?!, etc)|(?<![\w.])input\(|sys\.stdin|/dev/tty")


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[AwsServer]:
    async with serve() as server:
        clear_environment(monkeypatch, tmp_path, server.url)
        yield server


async def problem(home: Path, profile: str, config: str) -> AwsCredentialsMissing:
    """Return the problem of `profile` with this `~/.aws/config`. Its subject is "aws"."""
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws/config").write_text(f"[profile '{profile}']\n{config}\n{KEYS}\n")
    with raises_problem(AwsCredentialsMissing) as caught:
        await fetch(CHAIN, AwsSettings(profile=profile))
    assert caught.value.needs is Needs.USER
    return caught.value


@pytest.mark.parametrize(
    ("config", "message", "hint"),
    [
        (MFA, f"needs an MFA code from {DEVICE}", f"run `{CODE} team` {TYPE}"),
        (
            f"{OUTER}\n{MFA}",
            f"needs an MFA code from {DEVICE} (mfa_serial of profile base)",
            f"run `{CODE} team` {TYPE}",
        ),
        (SSO, "needs an SSO login", "run `aws sso login --profile team`, then run `registry-agent renew aws`"),
        (
            f"{OUTER}\n{SSO}",
            "needs an SSO login (sso_session of profile base)",
            "run `aws sso login --profile base`, then run `registry-agent renew aws`",
        ),
        (
            LOGIN,
            "uses `aws login`, which the agent cannot read by itself",
            BRIDGE,
        ),
    ],
    ids=["mfa", "nested mfa", "sso", "nested sso", "aws login"],
)
async def test_reports_what_a_profile_needs(
    cloud: AwsServer, tmp_path: Path, config: str, message: str, hint: str
) -> None:
    """The message names the profile and what it needs. The hint has the full command. AWS gets no request."""
    found = await problem(tmp_path, "team", config)
    assert (found.message, found.about("aws").hint) == (f"profile team {message}", hint)
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("error", "config", "says"),
    [
        (UnauthorizedSSOTokenError(), SSO, "`aws sso login --profile team`"),
        (SSOTokenLoadError(error_msg="none"), SSO, "`aws sso login --profile team`"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), SSO, "`aws sso login --profile team`"),
        (LoginRefreshRequired(), LOGIN, "`aws login --profile team`"),
        (LoginTokenLoadError(error_msg="none"), LOGIN, "`aws login --profile team`"),
        (LoginInsufficientPermissions(), LOGIN, None),
        (MissingDependencyException(msg="of something else"), SSO, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_recognises_errors_that_need_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, config: str, says: str | None
) -> None:
    """A missing or expired login needs a person. A login does not fix a missing permission or library."""
    (tmp_path / "config").write_text(f"[profile team]\n{config}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    found = InteractiveLogin(AioSession(profile="team"), {}).problem(error)
    assert (found and says in found.hint) if says else found is None


async def test_the_command_reads_the_same_files_as_the_agent(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a space is quoted. Variables that name files come before the command."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "my aws"))
    (tmp_path / "my aws").symlink_to(tmp_path / ".aws/config")
    found = await problem(tmp_path, "the team", SSO)
    assert f"`AWS_CONFIG_FILE='{tmp_path}/my aws' aws sso login --profile 'the team'`" in found.hint
    assert cloud.calls == []


def _session(life: timedelta = timedelta(hours=1), **changes: object) -> dict[str, Any]:
    """Return a session as the aws CLI caches it."""
    end = f"{datetime.now(UTC) + life:%Y-%m-%dT%H:%M:%SUTC}"
    keys = {"AccessKeyId": "ASIACACHED", "SecretAccessKey": "x", "SessionToken": "y", "Expiration": end}
    return {"Credentials": {**keys, **changes}}


class _AnyKey(dict[str, Any]):
    """A cache that has a session under every key, and records the key."""

    key = ""

    def __contains__(self, key: object) -> bool:
        self.key = str(key)
        return True

    def __missing__(self, _key: str) -> dict[str, Any]:
        return _session()


async def _key(serial: str | None = DEVICE) -> str:
    """Return the key under which the SDK caches a session of the role. If the SDK changes it, these tests fail."""
    cache = _AnyKey()
    fetcher: Any = AioAssumeRoleCredentialFetcher
    await fetcher(None, None, ROLE, {"SerialNumber": serial} if serial else {}, cache=cache).fetch_credentials()
    return cache.key


def _keep(home: Path, text: str, key: str) -> None:
    cache = home / ".aws/cli/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"{key}.json").write_text(text)


async def test_uses_a_session_cached_by_the_aws_cli(cloud: AwsServer, tmp_path: Path) -> None:
    """The person typed the code there. The agent writes nothing to the cache."""
    await problem(tmp_path, "team", MFA)
    _keep(tmp_path, json.dumps(_session()), await _key())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / ".aws").rglob("*")}
    await fetch(CHAIN, AwsSettings(profile="team"))
    assert cloud.only("GetAuthorizationToken").key == "ASIACACHED"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / ".aws").rglob("*")} == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{" * 5000,
        '{"Credentials": 7}',
        json.dumps(_session(timedelta(minutes=5))),
        json.dumps(_session(Expiration="soon")),
        json.dumps(_session(SecretAccessKey=None)),
    ],
    ids=["empty", "a list", "deep", "a number", "ends soon", "odd end", "no key"],
)
async def test_ignores_an_unusable_cached_session(cloud: AwsServer, tmp_path: Path, text: str) -> None:
    """The code is still needed. A FIFO in the cache does not block the agent."""
    await problem(tmp_path, "team", MFA)
    _keep(tmp_path, text, await _key())
    os.mkfifo(tmp_path / ".aws/cli/cache/fifo.json")
    assert "MFA code" in (await problem(tmp_path, "team", MFA)).message
    assert cloud.calls == []


async def test_assumes_a_role_without_mfa_again(cloud: AwsServer, tmp_path: Path) -> None:
    """A cached session would have the former permissions of the role."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(f"[profile team]\nrole_arn = {ROLE}\nsource_profile = keys\n{KEYS}\n")
    _keep(tmp_path, json.dumps(_session()), await _key(None))
    await fetch(CHAIN, AwsSettings(profile="team"))
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHEROLE0000"


def _prompting(package: str) -> list[str]:
    """Return the lines of a package that read from a terminal, by file."""
    found = []
    for path in sorted(Path(package).rglob("*.py")):
        lines = path.read_text().splitlines()
        found += [f"{path.name}: {line.strip()}" for line in lines if _READS_TERMINAL.search(line)]
    return found


def test_libraries_prompt_in_one_place_only() -> None:
    """They prompt only for the MFA code of a role, and the agent replaces that. A new release may add others."""
    specs = [importlib.util.find_spec(name) for name in LIBRARIES]
    packages = [place for spec in specs if spec for place in spec.submodule_search_locations or ()]
    assert len(packages) == len(LIBRARIES)
    assert [line for package in packages for line in _prompting(package)] == [
        "credentials.py: self._mfa_prompter = getpass.getpass",  # of a fetcher: the provider always passes its own
        "credentials.py: prompter=getpass.getpass,",
    ]

"""A refusal applies to one identity. Every part of it counts."""

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from agent.edge.state_file import StateFile
from agent.model.credential import AwsIdentity, AwsKeys, AzureIdentity, Credential, GoogleIdentity, TokenSource
from agent.model.plan import Login
from agent.model.problems.google import GoogleAccessDenied
from agent.model.problems.registry import LoginRejected
from agent.model.registry import Registry
from agent.model.secret import Kind
from agent.model.sensitive import Sensitive
from agent.model.stored_state import Rejection
from agent.services.confirmed_time import ConfirmedTime
from agent.services.rejections import Rejections, chain_inputs
from agent.settings import AwsSettings, AzureSettings, GoogleSettings, Settings
from tests.fakes import EPOCH, FakeClock
from tests.services.login_fakes import basic, native

KEYS: Final = AwsKeys("AKIAIOSFODNN7EXAMPLE", Sensitive("secret key"), Sensitive("session token"))
IDENTITY: Final = AwsIdentity("eu-west-1", False, KEYS, "arn:aws:iam::1:role/a", "external id")
ROLE: Final = ("eu-west-1", "False", "arn:aws:iam::1:role/a", "external id")
CHAIN: Final = ("p", "", "key")
OTHER_KEYS: Final[dict[str, Any]] = {
    "access_key_id": "AKIAOTHER",
    "secret_access_key": Sensitive("other"),
    "session_token": Sensitive("other"),
}
OTHER: Final[dict[str, Any]] = {
    "region": "eu-west-2",
    "public": True,
    "keys": None,
    "role_arn": "arn:aws:iam::1:role/b",
    "external_id": "other",
    "profile": "other",
}


def test_every_part_of_an_identity_has_a_case() -> None:
    """A new field needs one, or a refusal would hold although it was corrected."""
    assert {field.name for field in fields(AwsIdentity)} == OTHER.keys()
    assert {field.name for field in fields(AwsKeys)} == OTHER_KEYS.keys()


async def is_tried_at_once(refused: Login, changed: Login) -> bool:
    """Whether the changed login is, while the refused one waits."""
    rejections = Rejections(StateFile(None, Path("/nowhere")), ConfirmedTime(FakeClock()))
    rejections.record(refused, LoginRejected("x", "no"), timedelta(hours=1))
    assert await rejections.active(refused) is not None
    return await rejections.active(changed) is None


@pytest.mark.parametrize("keys", [KEYS, None], ids=["keys", "chain"])
@pytest.mark.parametrize("part", OTHER)
async def test_another_identity_is_tried_at_once(part: str, keys: AwsKeys | None) -> None:
    """Whichever part of it was corrected, and also if it was removed or added."""
    identity = replace(IDENTITY, keys=keys)
    for value in (OTHER[part], None):
        other: dict[str, Any] = {part: value}
        changed = replace(identity, **other)
        if changed != identity:
            assert await is_tried_at_once(replace(native(), source=identity), replace(native(), source=changed))
            assert await is_tried_at_once(replace(native(), source=changed), replace(native(), source=identity))


@pytest.mark.parametrize("part", OTHER_KEYS)
async def test_other_keys_are_tried_at_once(part: str) -> None:
    """Temporary keys have a session token. A new one makes them valid again."""
    for value in (OTHER_KEYS[part], *([None] if part == "session_token" else [])):
        other: dict[str, Any] = {part: value}
        changed = replace(IDENTITY, keys=replace(KEYS, **other))
        assert await is_tried_at_once(replace(native(), source=IDENTITY), replace(native(), source=changed))


@pytest.mark.parametrize("changed", [Credential("eve", Sensitive("right")), Credential("bob", Sensitive("other"))])
async def test_another_password_is_tried_at_once(changed: Credential) -> None:
    """Or another user name. What else changes in the secret does not make it right."""
    assert await is_tried_at_once(basic(), replace(basic(), source=changed))
    renamed = replace(basic(), secret=replace(basic().secret, name="renamed"), kind=Kind.ECR)
    assert not await is_tried_at_once(basic(), renamed)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (Credential("bob", Sensitive("right")), ("given", "bob", "right")),
        (AwsIdentity("eu-west-1"), ("aws chain", "eu-west-1", "False", "", "", *CHAIN)),
        (AwsIdentity("r", True, None, "role", "id", "dev"), ("aws chain", "r", "True", "role", "id", "dev", *CHAIN)),
        (replace(IDENTITY, keys=AwsKeys("AKIA", Sensitive("key"))), ("aws", *ROLE, "AKIA", "key", "")),
        (IDENTITY, ("aws", *ROLE, "AKIAIOSFODNN7EXAMPLE", "secret key", "session token")),
    ],
)
async def test_an_upgrade_keeps_a_refusal(source: Credential | AwsIdentity, parts: tuple[str, ...]) -> None:
    """A fingerprint is made of the same parts in every version, or each upgrade would send wrong passwords again."""
    state_file, login = StateFile(None, Path("/nowhere")), replace(native(), source=source)
    until = EPOCH + timedelta(minutes=1)
    refusal = Rejection(state_file.fingerprint(*parts), "login_rejected", "no", "ask", until)
    state_file.set_rejection(login.registry.hostname, refusal)
    assert await Rejections(state_file, ConfirmedTime(FakeClock()), chain=lambda _: CHAIN).active(login) is not None


def test_an_upgrade_keeps_the_parts_of_the_aws_chain() -> None:
    """In their order. A part that is missing is empty."""
    environ = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": "e",
        "AWS_ROLE_ARN": "d",
        "AWS_PROFILE": "c",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_ACCESS_KEY_ID": "a",
    }
    settings = AwsSettings(profile="p", identity_token_file=Path("/f"), identity_token_command=("gp", "token"))
    assert chain_inputs(settings, environ) == ("p", "/f", "a", "b", "c", "d", "e", "gp", "token")
    assert chain_inputs(AwsSettings(), {}) == ("", "", "", "", "", "", "")


REGISTRY: Final = Registry("acmedev.azurecr.io")
CLIENT: Final = "6b1c2d3e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("refused", "changed"),
    [
        (GoogleIdentity(), GoogleIdentity("pull@acme.iam.gserviceaccount.com")),
        (AzureIdentity(REGISTRY), AzureIdentity(REGISTRY, CLIENT)),
        (AzureIdentity(REGISTRY), AzureIdentity(Registry("otherdev.azurecr.io"))),
        (GoogleIdentity(), AzureIdentity(REGISTRY)),
    ],
)
async def test_another_identity_of_google_or_azure_is_tried_at_once(refused: TokenSource, changed: TokenSource) -> None:
    """Whichever part of it was corrected, and also if it was removed or added."""
    assert await is_tried_at_once(replace(native(), source=refused), replace(native(), source=changed))
    assert await is_tried_at_once(replace(native(), source=changed), replace(native(), source=refused))


@pytest.mark.parametrize("source", [GoogleIdentity(), AzureIdentity(REGISTRY)])
@pytest.mark.parametrize("changed", ["settings", "variable"])
async def test_a_changed_environment_is_tried_at_once(source: TokenSource, changed: str) -> None:
    """Settings and variables also say who the environment is."""
    other = Settings(google=GoogleSettings(audience="other"), azure=AzureSettings(client_id="other"))
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": "/other", "AZURE_CLIENT_ID": "other"}
    now: list[tuple[Settings, dict[str, str]]] = [(Settings(), {})]
    rejections = Rejections(
        StateFile(None, Path("/nowhere")),
        ConfirmedTime(FakeClock()),
        chain=lambda cloud: chain_inputs(now[0][0].of_cloud(cloud), now[0][1]),
    )
    login = replace(native(), source=source)
    rejections.record(login, GoogleAccessDenied("x", "no"), timedelta(hours=1))
    assert await rejections.active(login) is not None
    now[0] = (other, {}) if changed == "settings" else (Settings(), variables)
    assert await rejections.active(login) is None

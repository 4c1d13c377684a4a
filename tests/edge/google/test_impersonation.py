"""Each way to a service account ends at the account that the user named, with a narrow token."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.model.problem import Needs
from agent.model.problems.google import GoogleAccessDenied, GoogleCredentialsMissing
from agent.settings import GoogleSettings
from tests.edge.google.conftest import EXTERNAL, PERSON, Bench, impersonation_url
from tests.fakecloud.faults import Answer
from tests.fakecloud.google import ALL_SCOPES, AUDIENCE, EMAIL
from tests.problems import raises_problem

POOL = AUDIENCE.partition("/providers/")[0]
FIRST, SECOND, THIRD = (f"{name}@acme.iam.gserviceaccount.com" for name in ("first", "second", "third"))
STEPS = [(f"principal:{POOL}/subject/environment-1", FIRST), ("ada", FIRST), (EMAIL, FIRST)]
STEPS += [(f"serviceAccount:{FIRST}", SECOND), (f"serviceAccount:{SECOND}", THIRD)]


def file_of(bench: Bench, source: dict[str, Any], *accounts: str, **more: Any) -> str:
    """A credential file that impersonates the accounts one after the other."""
    if source is EXTERNAL:
        _, path = bench.subject()
        source = {**EXTERNAL, "credential_source": {"file": str(path)}, **more}
        if accounts:
            source["service_account_impersonation_url"] = impersonation_url(accounts[0])
        accounts = accounts[1:]
    if accounts:
        kind = "impersonated_service_account"
        source = {"type": kind, "source_credentials": source}
        source["service_account_impersonation_url"] = impersonation_url(accounts[0])
    return str(bench.file(source))


@pytest.mark.parametrize(
    ("source", "accounts", "named"),
    [
        (EXTERNAL, [FIRST], SECOND),
        (EXTERNAL, [FIRST, SECOND], None),
        (EXTERNAL, [FIRST, SECOND], THIRD),
        (PERSON, [FIRST], SECOND),
    ],
    ids=["federated, then named", "federated, then in the file", "all three", "person, then named"],
)
@pytest.mark.parametrize("by", ["secret", "settings"])
async def test_an_impersonated_account_may_impersonate_the_next_one(
    bench: Bench, source: dict[str, Any], accounts: list[str], named: str | None, by: str
) -> None:
    """Google accepts only a token for everything from an account that impersonates. The last token is narrow."""
    bench.google.refresh_tokens["1//r"] = "ada"
    bench.google.may_impersonate.update(STEPS)
    settings = GoogleSettings(service_account=named if by == "settings" else None)
    file = file_of(bench, source, *accounts)
    token = await bench.fetch(settings, named if by == "secret" else None, GOOGLE_APPLICATION_CREDENTIALS=file)
    assert token.identity == f"serviceAccount:{named or accounts[-1]}"
    assert bench.google.issued[token.password.reveal()].scope != ALL_SCOPES


@pytest.mark.parametrize("place", ["file", "machine"])
async def test_an_account_that_is_named_twice_does_not_impersonate_itself(bench: Bench, place: str) -> None:
    """That takes a role on itself, which it rarely has."""
    bench.google.may_impersonate.update(STEPS)
    if place == "machine":
        assert (await bench.fetch(account=EMAIL)).identity == EMAIL
        return
    file = file_of(bench, EXTERNAL, FIRST)
    token = await bench.fetch(account=FIRST, GOOGLE_APPLICATION_CREDENTIALS=file)
    assert token.identity == f"serviceAccount:{FIRST}"
    assert bench.google.issued[token.password.reveal()].scope != ALL_SCOPES


async def test_a_token_lives_as_long_as_the_file_says(bench: Bench) -> None:
    """The account in the secret is none of the file's."""
    bench.google.may_impersonate.update(STEPS)
    bench.google.token_life_s = 43_200
    for named, given, life_s in ((None, 600, 600), (None, 7200, 7200), (SECOND, 7200, 3600)):
        file = file_of(bench, EXTERNAL, FIRST, service_account_impersonation={"token_lifetime_seconds": given})
        token = await bench.fetch(account=named, GOOGLE_APPLICATION_CREDENTIALS=file)
        assert token.expires_at is not None
        assert abs((token.expires_at - datetime.now(UTC)).total_seconds() - life_s) < 60


async def test_a_key_that_may_impersonate_is_replaced_by_a_login_that_may(bench: Bench) -> None:
    """Neither the file nor the key in it is a password that logs in as the impersonated account."""
    key = {"type": "service_account", "private_key": "s3cret-key"}
    with raises_problem(GoogleCredentialsMissing, match="does not sign with") as caught:
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=file_of(bench, key, FIRST))
    assert f"`gcloud auth application-default login --impersonate-service-account {FIRST}`" in caught.value.hint
    assert "_json_key" not in caught.value.hint


async def test_only_a_machine_is_stopped_for_a_wider_scope(bench: Bench) -> None:
    """The scopes of a person's login are in its file, so the user creates that again."""
    body = json.dumps({"error": {"code": 403, "details": [{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}})
    bench.google.faults["iamcredentials"] = Answer(403, body, "application/json")
    with raises_problem(GoogleAccessDenied, match="access scope") as caught:
        await bench.fetch(account=FIRST)
    assert "stop this machine" in caught.value.hint
    bench.google.refresh_tokens["1//r"] = "ada"
    with raises_problem(GoogleAccessDenied, match="access scope") as caught:
        await bench.fetch(account=FIRST, GOOGLE_APPLICATION_CREDENTIALS=file_of(bench, PERSON))
    assert "stop this machine" not in caught.value.hint
    assert caught.value.needs is Needs.USER

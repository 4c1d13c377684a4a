"""Each identity of Google Cloud gets a token, and each failure names what is missing and who can fix it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.model.credential import GoogleIdentity
from agent.model.problem import Needs, Problem, RetryClass
from agent.model.problems.google import (
    GoogleAccessDenied,
    GoogleCredentialsMissing,
    GoogleError,
    GoogleThrottled,
    GoogleUnreachable,
)
from agent.model.sensitive import Sensitive
from agent.settings import GoogleSettings
from tests.edge.google.conftest import EXTERNAL, PERSON, Bench, impersonation_url
from tests.fakecloud.faults import CAPTIVE_PORTAL, GARBAGE, Answer, Broken, Fault
from tests.fakecloud.google import ALL_SCOPES, AUDIENCE, EMAIL
from tests.problems import raises_problem

PULL = "pull@acme.iam.gserviceaccount.com"
POOL = AUDIENCE.partition("/providers/")[0]
IMPERSONATION = impersonation_url(PULL)


async def test_the_metadata_server_gives_the_token_of_the_machine(bench: Bench) -> None:
    """Never through a proxy. The same token comes again until shortly before its end, so that is when it is renewed."""
    token, again = await bench.fetch(), await bench.fetch()
    assert token.username == "oauth2accesstoken"
    assert bench.google.holder(token.password.reveal()) == token.identity == EMAIL
    assert again.password == token.password
    assert token.reserve == timedelta(seconds=225)
    assert token.expires_at is not None
    assert timedelta(minutes=59) < token.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert bench.tunnel.asked == []
    assert token.password in bench.learned


@pytest.mark.parametrize("by", ["file", "command"])
async def test_an_identity_token_of_the_settings_is_exchanged(bench: Bench, by: str) -> None:
    """Without a service account, the federated identity itself may pull. The metadata server is not asked."""
    text, path = bench.subject()
    source = {"identity_token_file": path} if by == "file" else {"identity_token_command": ("cat", str(path))}
    settings = GoogleSettings(audience=AUDIENCE, **source)
    token = await bench.fetch(settings, PATH="/usr/bin:/bin")
    assert token.identity == f"principal:{POOL}/subject/environment-1"
    assert bench.google.holder(token.password.reveal()) == token.identity
    # A token for everything would be a bigger loss in Docker's configuration than one for images.
    assert bench.google.issued[token.password.reveal()].scope != ALL_SCOPES
    assert bench.google.calls["metadata"] == 0
    assert Sensitive(text) in bench.learned


@pytest.mark.parametrize("by", ["secret", "settings", "file", "federation"])
async def test_a_service_account_is_impersonated(bench: Bench, by: str) -> None:
    """The one in the secret, in the settings or in the credential file. Only its own token has a narrow scope."""
    _, path = bench.subject()
    bench.google.may_impersonate.update({(f"principal:{POOL}/subject/environment-1", PULL), (EMAIL, PULL)})
    if by == "file":
        source = {"credential_source": {"file": str(path)}}
        file = bench.file({**EXTERNAL, **source, "service_account_impersonation_url": IMPERSONATION})
        token = await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))
    elif by == "federation":
        token = await bench.fetch(GoogleSettings(AUDIENCE, PULL, path))
    else:
        settings = GoogleSettings(service_account=PULL if by == "settings" else "other@x.iam.gserviceaccount.com")
        token = await bench.fetch(settings, PULL if by == "secret" else None)
    assert token.identity == f"serviceAccount:{PULL}"
    assert bench.google.holder(token.password.reveal()) == token.identity
    assert bench.google.issued[token.password.reveal()].scope.endswith("devstorage.read_write")
    assert token.reserve is None


async def test_a_person_s_gcloud_login_is_used(bench: Bench) -> None:
    """Its file is where gcloud writes it, or where CLOUDSDK_CONFIG says. A named file comes before it."""
    bench.google.refresh_tokens["1//r"] = "ada"
    bench.file(PERSON, ".config/gcloud/application_default_credentials.json")
    token = await bench.fetch()
    assert bench.google.holder(token.password.reveal()) == "ada"
    assert {secret.reveal() for secret in bench.learned} >= {"1//r", "s3cret-of-client"}
    bench.file({**PERSON, "account": "ada@acme.example"}, "elsewhere/application_default_credentials.json")
    token = await bench.fetch(CLOUDSDK_CONFIG=str(bench.home / "elsewhere"))
    assert token.identity == "user:ada@acme.example"
    with raises_problem(GoogleCredentialsMissing, match=r"GOOGLE_APPLICATION_CREDENTIALS .* cannot be read"):
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(bench.home / "missing.json"))


async def test_a_file_may_name_a_service_account_to_impersonate(bench: Bench) -> None:
    bench.google.refresh_tokens["1//r"] = "ada"
    bench.google.may_impersonate.add(("ada", PULL))
    content = {"type": "impersonated_service_account", "service_account_impersonation_url": IMPERSONATION}
    file = bench.file({**content, "source_credentials": PERSON})
    token = await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert token.identity == f"serviceAccount:{PULL}"


async def test_delegates_of_a_file_are_named_to_google(bench: Bench) -> None:
    """The file of gcloud has their names, and Google's API wants the names of resources."""
    bench.google.refresh_tokens["1//r"] = "ada"
    bench.google.may_impersonate.add(("ada", PULL))
    content = {"type": "impersonated_service_account", "service_account_impersonation_url": IMPERSONATION}
    for given in (EMAIL, f"projects/-/serviceAccounts/{EMAIL}"):
        file = bench.file({**content, "source_credentials": PERSON, "delegates": [given]})
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))
        assert bench.google.delegates == [f"projects/-/serviceAccounts/{EMAIL}"]
    for wrong in (["a/../b"], "one", [7]):
        file = bench.file({**content, "source_credentials": PERSON, "delegates": wrong})
        with raises_problem(GoogleCredentialsMissing, match="delegates"):
            await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))


@pytest.mark.parametrize("behind", [timedelta(hours=-2), timedelta(hours=2)])
@pytest.mark.parametrize("by", ["federation", "gcloud"])
async def test_a_life_counts_on_google_s_clock(bench: Bench, by: str, behind: timedelta) -> None:
    """The end and the server's time come from one clock, so the difference is right on a machine with a wrong one."""
    _, path = bench.subject()
    bench.google.refresh_tokens["1//r"] = "ada"
    bench.file(PERSON, ".config/gcloud/application_default_credentials.json")
    settings = GoogleSettings(audience=AUDIENCE, identity_token_file=path) if by == "federation" else GoogleSettings()
    token = await bench.client(now=lambda: datetime.now(UTC) - behind).fetch_token(GoogleIdentity(), settings)
    assert token.expires_at is not None
    assert token.server_time is not None
    assert timedelta(minutes=59) < token.expires_at - token.server_time <= timedelta(hours=1)


@pytest.mark.parametrize("value", ['{"private_key": "s3cret-key"}', "eyJhbGciOi.s3cret-key.x", "s3cret-key"])
async def test_a_credential_in_place_of_its_path_is_not_shown(bench: Bench, value: str) -> None:
    """People put the content of the file into the variable."""
    with raises_problem(GoogleCredentialsMissing, match="whose value is not an absolute path") as caught:
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=value)
    source = {"credential_source": {"file": value}}
    with raises_problem(GoogleCredentialsMissing, match="whose value is not an absolute path") as inner:
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(bench.file({**EXTERNAL, **source})))
    assert "s3cret" not in caught.value.message + caught.value.hint + inner.value.message + inner.value.hint


async def test_a_token_in_json_is_read_from_its_field(bench: Bench) -> None:
    text, _ = bench.subject()
    path = bench.file({"id_token": text}, "token.json")
    form = {"type": "json", "subject_token_field_name": "id_token"}
    file = bench.file({**EXTERNAL, "credential_source": {"file": str(path), "format": form}})
    assert (await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))).identity is not None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"token_url": "https://sts.googleapis.com.evil.example/v1/token"}, "token_url"),
        ({"token_url": "https://me@sts.googleapis.com/v1/token"}, "token_url"),
        ({"token_url": "http://sts.googleapis.com/v1/token"}, "token_url"),
        ({"universe_domain": "evil.example", "token_url": "https://sts.evil.example/v1/token"}, "universe_domain"),
        ({"service_account_impersonation_url": IMPERSONATION.replace("googleapis", "evil")}, "impersonation_url"),
        ({"credential_source": {"executable": {"command": "/bin/true"}}}, "ALLOW_EXECUTABLES is not 1"),
        ({"credential_source": {"url": "http://evil.example/"}}, "without https"),
        ({"credential_source": {"environment_id": "aws1"}}, "AWS as credential_source"),
        ({"credential_source": {"certificate": {}}}, "a certificate as credential_source"),
        ({"credential_source": None}, "no credential_source"),
        ({"service_account_impersonation": {"token_lifetime_seconds": 60}}, "token_lifetime_seconds"),
        ({"audience": "//evil.example/x"}, "audience"),
        ({"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}, "subject_token_type"),
        ({"type": "service_account", "private_key": "s3cret-key"}, "does not sign with"),
        ({"type": "gdch"}, "does not support"),
    ],
)
async def test_a_file_that_leads_elsewhere_is_refused(bench: Bench, change: dict[str, Any], fault: str) -> None:
    """No token goes to a host that is not Google's, and nothing runs that is not allowed. The user must act."""
    _, path = bench.subject()
    file = bench.file({**EXTERNAL, "credential_source": {"file": str(path)}, **change})
    with raises_problem(GoogleCredentialsMissing, match=fault) as caught:
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert caught.value.needs is Needs.USER
    assert "s3cret" not in caught.value.message
    assert bench.tunnel.asked == []
    assert not bench.google.calls


@pytest.mark.parametrize("content", ["not JSON", "[]", "[" * 5000, '{"type": "external_account"}', "\0"])
async def test_a_damaged_file_is_reported(bench: Bench, content: str) -> None:
    file = bench.file(content)
    with raises_problem(GoogleCredentialsMissing, match=r"file\.json"):
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))


async def test_a_machine_without_a_service_account_needs_one(bench: Bench) -> None:
    bench.google.email = None
    with raises_problem(GoogleCredentialsMissing, match="no service account") as caught:
        await bench.fetch()
    assert "roles/artifactregistry.reader" in caught.value.hint
    assert caught.value.needs is Needs.ADMIN


async def test_a_missing_access_scope_is_named(bench: Bench) -> None:
    """It stops each pull, whatever the roles are. The message names the service account."""
    bench.google.scopes = ["https://www.googleapis.com/auth/logging.write"] * 40
    with raises_problem(GoogleAccessDenied, match=f"access scopes.*{EMAIL}") as caught:
        await bench.fetch()
    assert caught.value.retry_class is RetryClass.REJECTED
    bench.google.scopes += ["https://www.googleapis.com/auth/devstorage.read_only"]
    assert (await bench.fetch()).identity == EMAIL


@pytest.mark.parametrize(
    "fault",
    [
        Answer(404, "<html>404 - Not Found</html>", "text/html"),
        Answer(401, "", "text/plain", {"Server": "EC2ws"}),
        Answer(400, '{"error": "invalid_request"}', "application/json"),
        CAPTIVE_PORTAL,
        Answer(200, '{"access_token": "foreign", "expires_in": 3600}', "application/json"),
    ],
)
async def test_another_cloud_s_metadata_server_is_recognised(bench: Bench, fault: Answer) -> None:
    """All clouds use the same address. Only the header Metadata-Flavor shows whose server answers."""
    bench.google.faults["metadata"] = fault
    with raises_problem(GoogleCredentialsMissing, match="not Google's metadata server"):
        await bench.fetch()


GKE = (
    "Unable to generate access token; IAM returned 403 Forbidden: Permission 'iam.serviceAccounts.getAccessToken' "
    "denied on resource (or it may not exist)."
)
FLAVOR = {"Metadata-Flavor": "Google"}


@pytest.mark.parametrize(
    ("service", "fault", "kind", "says"),
    [
        ("metadata", Answer(403, GKE, headers=FLAVOR), GoogleAccessDenied, "getAccessToken"),
        ("metadata", Answer(429, headers=FLAVOR), GoogleThrottled, "429"),
        ("metadata", Answer(500, headers=FLAVOR), GoogleError, "500"),
        ("metadata", Answer(200, "{}", headers=FLAVOR), GoogleError, "access_token"),
        ("metadata", Answer(200, '{"access_token": "x"}', headers=FLAVOR), GoogleError, "expires_in"),
        ("metadata", Answer(200, '{"access_token": "x", "expires_in": "nan"}', headers=FLAVOR), GoogleError, "expires"),
        ("sts", Answer(429, headers={"Retry-After": "7"}), GoogleThrottled, "429"),
        ("sts", Answer(503), GoogleError, "503"),
        ("sts", GARBAGE, GoogleError, "access_token"),
        ("sts", CAPTIVE_PORTAL, GoogleError, "access_token"),
        ("sts", Answer(302, headers={"Location": "https://evil.example/"}), GoogleError, "302"),
        ("sts", Answer(200, "x" * 70_000), GoogleUnreachable, "longer than"),
        ("sts", Broken.RESET, GoogleUnreachable, "sts.googleapis.com"),
    ],
)
async def test_each_failure_has_its_class(
    bench: Bench, service: str, fault: Fault, kind: type[GoogleError], says: str
) -> None:
    _, path = bench.subject()
    bench.google.faults[service] = fault
    settings = GoogleSettings(audience=AUDIENCE, identity_token_file=path) if service == "sts" else None
    with raises_problem(kind, match=says) as caught:
        await bench.fetch(settings)
    assert caught.value.subject == "google"
    if isinstance(fault, Answer) and "Retry-After" in fault.headers:
        assert caught.value.wait == timedelta(seconds=7)


async def test_a_server_that_hangs_is_given_up(bench: Bench) -> None:
    """At the deadline of the request."""
    _, path = bench.subject()
    bench.google.faults["sts"] = Broken.SILENT
    settings = GoogleSettings(audience=AUDIENCE, identity_token_file=path)
    with raises_problem(GoogleUnreachable, match=r"no answer within 0\.5 s"):
        await bench.client(timeout_s=0.5).fetch_token(GoogleIdentity(), settings)


@pytest.mark.parametrize(
    ("error", "words", "says", "retry"),
    [
        ("unauthorized_client", "rejected by the attribute condition", "attribute condition", RetryClass.REJECTED),
        ("invalid_target", "", "provider in the audience", RetryClass.REJECTED),
        ("invalid_request", "Invalid value for audience.", "not valid .*for audience", RetryClass.REJECTED),
        ("invalid_grant", "The audience in ID Token does not match", "does not match", RetryClass.REJECTED),
        ("invalid_grant", "ID Token issued at 1 is stale to sign-in.", "stale", RetryClass.SOON),
        ("", "Security Token Service API has not been used in project 1", "API sts.* disabled", RetryClass.REJECTED),
    ],
)
async def test_a_refused_identity_token_is_explained(
    bench: Bench, error: str, words: str, says: str, retry: RetryClass
) -> None:
    """By Google's code, with Google's words. A token that is only too old is soon replaced."""
    text, path = bench.subject()
    body = json.dumps({"error": error, "error_description": f"{words} {text}"})
    bench.google.faults["sts"] = Answer(400, body, "application/json")
    with raises_problem(GoogleAccessDenied, match=says) as caught:
        await bench.fetch(GoogleSettings(audience=AUDIENCE, identity_token_file=path))
    assert caught.value.retry_class is retry
    assert f"(sub environment-1, aud x) for {AUDIENCE}" in caught.value.message or not error
    assert text not in caught.value.message


async def test_an_issuer_that_google_cannot_reach_is_asked_again_soon(bench: Bench) -> None:
    """It refuses nothing. Half an hour later, the login could have ended."""
    _, path = bench.subject()
    words = {"error": "invalid_grant", "error_description": "Error connecting to the given credential's issuer."}
    bench.google.faults["sts"] = Answer(400, json.dumps(words), "application/json")
    with raises_problem(GoogleError, match="could not check the identity token") as caught:
        await bench.fetch(GoogleSettings(audience=AUDIENCE, identity_token_file=path))
    assert caught.value.retry_class is RetryClass.SOON


@pytest.mark.parametrize(
    ("status", "words", "says", "fix"),
    [
        (400, "The requested lifetime exceeds the limit of the organization.", "that long", "token_lifetime_seconds"),
        (400, "Request contains an invalid argument.", "not the name of a service account", "google_service_account"),
        (403, "Request is prohibited: vpcServiceControlsUniqueIdentifier x", "service perimeter", "VPC Service"),
        (403, "IAM API has not been used in project 1 before", "API iamcredentials", "enable the API"),
        (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "access scope", "access scope"),
        (404, "Not found; Gaia id not found", "getAccessToken is missing", "roles/iam"),
    ],
)
async def test_a_refused_impersonation_is_explained(bench: Bench, status: int, words: str, says: str, fix: str) -> None:
    body = json.dumps({"error": {"code": status, "message": words}})
    bench.google.faults["iamcredentials"] = Answer(status, body, "application/json")
    with raises_problem(Problem, match=says) as caught:
        await bench.fetch(account=PULL)
    assert fix in caught.value.hint


async def test_an_account_that_may_not_be_impersonated_needs_a_role(bench: Bench) -> None:
    """The message names who, and for which account. The role depends on the kind of identity."""
    with raises_problem(GoogleAccessDenied, match=f"denied {EMAIL} a token for the service account {PULL}") as caught:
        await bench.fetch(account=PULL)
    assert "roles/iam.serviceAccountTokenCreator" in caught.value.hint
    _, path = bench.subject()
    with raises_problem(GoogleAccessDenied) as caught:
        await bench.fetch(GoogleSettings(audience=AUDIENCE, identity_token_file=path), PULL)
    assert "roles/iam.workloadIdentityUser" in caught.value.hint


async def test_an_ended_gcloud_login_is_the_user_s_to_renew(bench: Bench) -> None:
    file = bench.file(PERSON, ".config/gcloud/application_default_credentials.json")
    with raises_problem(GoogleAccessDenied, match=f"login in gcloud's file {file} .*expired or revoked") as caught:
        await bench.fetch()
    assert caught.value.needs is Needs.USER
    assert "`gcloud auth application-default login`" in caught.value.hint
    assert caught.value.retry_class is RetryClass.SOON


async def test_the_command_of_a_new_gcloud_login_changes_the_file_that_is_read(bench: Bench) -> None:
    """Its login writes only to its own directory, and drops an impersonation that it is not told about."""
    source = {"type": "impersonated_service_account", "service_account_impersonation_url": IMPERSONATION}
    file = bench.file({**source, "source_credentials": PERSON})
    with raises_problem(GoogleAccessDenied, match=f"login in GOOGLE_APPLICATION_CREDENTIALS {file}") as caught:
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert f"`gcloud auth application-default login --impersonate-service-account {PULL}`" in caught.value.hint
    assert "unset GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint
    assert "replace the file" in caught.value.hint


async def test_an_identity_token_without_audience_is_reported(bench: Bench) -> None:
    _, path = bench.subject()
    with raises_problem(GoogleCredentialsMissing, match=r"google\.audience is not set"):
        await bench.fetch(GoogleSettings(identity_token_file=path))
    with raises_problem(GoogleCredentialsMissing, match=r"google\.identity_token_file .*nothing cannot be read"):
        await bench.fetch(GoogleSettings(audience=AUDIENCE, identity_token_file=bench.home / "nothing"))


async def test_identify_names_the_place_and_the_principal(bench: Bench) -> None:
    place, principal = await bench.client().identify(GoogleIdentity(), GoogleSettings())
    assert place.startswith("the metadata server")
    assert principal == EMAIL

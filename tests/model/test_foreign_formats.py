"""JSON of other programs: what contains a login is used, what contains half of one is called by its name."""

import base64
import json
from typing import Any

import pytest

from agent.model.secret_formats import ParseResult, read_document

PASSWORD = "hunter2-hunter2"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
AUTHORIZATION = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
AUTH = base64.b64encode(f"bot:{PASSWORD}".encode()).decode()
DOCKER = {"auths": {"ghcr.io": {"auth": AUTH}}}


def read(value: Any) -> ParseResult:
    return read_document(json.dumps(value), "/s/team.json", "team")


@pytest.mark.parametrize(
    ("value", "host", "user"),
    [
        ({"ghcr.io": {"auth": AUTH, "email": "x"}}, "ghcr.io", "bot"),
        ({"https://index.docker.io/v1/": {"auth": AUTH}}, "docker.io", "bot"),
        ({"localhost:5000": {"username": "bot", "password": PASSWORD}}, "localhost:5000", "bot"),
        ({".dockerconfigjson": json.dumps(DOCKER)}, "ghcr.io", "bot"),
        ({".dockerconfigjson": DOCKER}, "ghcr.io", "bot"),
        ({".dockerconfigjson": base64.b64encode(json.dumps(DOCKER).encode()).decode()}, "ghcr.io", "bot"),
        ({".dockercfg": DOCKER["auths"]}, "ghcr.io", "bot"),
        ({"ServerURL": "https://ghcr.io", "Username": "bot", "Secret": PASSWORD}, "ghcr.io", "bot"),
        ({"authorizationData": [{"authorizationToken": AUTHORIZATION, "proxyEndpoint": f"https://{ECR}"}]}, ECR, "AWS"),
        ({"authorizationToken": AUTHORIZATION, "proxyEndpoint": f"https://{ECR}"}, ECR, "AWS"),
        ({"authorizationData": {"authorizationToken": AUTHORIZATION}}, "public.ecr.aws", "AWS"),
        (
            {"loginServer": "team.azurecr.io", "accessToken": PASSWORD},
            "team.azurecr.io",
            f"{'0' * 8}{'-0000' * 3}-{'0' * 12}",
        ),
        ({"ghcr.io": {"username": "bot", "password": PASSWORD}}, "ghcr.io", "bot"),
        ({"ghcr.io": f"bot:{PASSWORD}"}, "ghcr.io", "bot"),
        ({"ghcr.io": AUTH}, "ghcr.io", "bot"),
        ({"auths": {"ghcr.io": AUTH}}, "ghcr.io", "bot"),
        ({"ARN": "x", "Name": "y", "SecretString": json.dumps(DOCKER)}, "ghcr.io", "bot"),
        ({"request_id": "x", "data": DOCKER}, "ghcr.io", "bot"),
        ({"request_id": "x", "data": {"data": DOCKER, "metadata": {"version": 1}}}, "ghcr.io", "bot"),
    ],
)
def test_a_whole_login_is_used(value: dict[str, Any], host: str, user: str) -> None:
    """Its name is made of the file and the host, as in Docker's format."""
    result = read(value)
    (secret,) = result.secrets
    assert secret.password is not None
    assert (secret.name, str(secret.registry), secret.username) == (f"team-{host}", host, user)
    assert (secret.password.reveal(), result.problems) == (PASSWORD, ())


@pytest.mark.parametrize(
    ("value", "fault", "hint"),
    [
        ({"type": "service_account", "private_key": PASSWORD}, "a Google service-account key", "_json_key"),
        ({"AccessKeyId": "AKIA", "SecretAccessKey": PASSWORD}, "AWS keys", "SecretAccessKey as password"),
        ({"Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": PASSWORD}}, "AWS keys", "session_token"),
        ({"authorizationToken": AUTHORIZATION}, "an ECR token", "hostname"),
        ({"payload": PASSWORD, "datakey": "x", "version": "2"}, "an ECR token", "hostname"),
        ({"credsStore": "desktop"}, "helper desktop keeps them", "add a secret"),
        ({"auths": {}, "credsStore": "desktop"}, "helper desktop keeps them", "add a secret"),
        ({"credHelpers": {"gcr.io": "gcloud"}}, "helper gcloud keeps them", "add a secret"),
        ({"server": "ghcr.io", "username": "bot", "password": PASSWORD}, "the key server is", "server to hostname"),
        ({"Registry-URL": "ghcr.io", "password": PASSWORD}, "the key Registry-URL is", "Registry-URL to hostname"),
        ({"hostname": "ghcr.io", "user": "bot", "password": PASSWORD, "name": "one"}, "key user is", "to username"),
        ({"hostname": "ghcr.io", "username": "bot", "token": PASSWORD, "name": "one"}, "key token is", "to password"),
        ({"type": "authorized_user", "refresh_token": PASSWORD}, "a Google credential file", "runner-native"),
        ({"type": "external_account", "audience": "x"}, "a Google credential file", "GOOGLE_APPLICATION_CREDENTIALS"),
        ({"appId": "x", "password": PASSWORD, "tenant": "y"}, "an Azure service principal", "appId as username"),
        ({"passwords": [{"value": PASSWORD}], "username": "x"}, "admin passwords of an Azure", "login server"),
        ({"data": {"auths": "ENC[AES256_GCM,data:x]"}, "sops": {"kms": []}}, "encrypted with SOPS", "sops --decrypt"),
        ({"registry": {"hostname": "ghcr.io", "username": "bot"}}, "under the key registry", "keep only what is under"),
        ({"HOST": "ghcr.io", "username": "bot"}, "the key HOST is", "rename the key HOST to hostname"),
        ({"`HOST": {"hostname": "ghcr.io"}}, "under the key `HOST", "keep only what is under the key 'HOST"),
        ({"ARN": "x", "SecretString": PASSWORD}, "SecretString in /s/team.json is a single value", "hostname"),
        ({"username": "bot", "password": PASSWORD}, "hostname is missing", "such as ghcr.io"),
        ({"data": {"username": "bot", "password": PASSWORD}}, "hostname is missing", "such as ghcr.io"),
    ],
)
def test_half_a_login_is_called_by_its_name(value: dict[str, Any], fault: str, hint: str) -> None:
    """The hint is the missing half."""
    result = read(value)
    (problem,) = result.problems
    assert fault in problem.message
    assert hint in problem.hint
    assert (result.secrets, result.failed) == ((), True)
    assert PASSWORD not in f"{problem.message}{problem.hint}"

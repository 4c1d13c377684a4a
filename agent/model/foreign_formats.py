"""JSON objects of other programs: those that contain a whole login, and those that miss something."""

import re
from collections.abc import Mapping
from typing import Any, Final

from agent.model.document_text import DocumentError
from agent.model.encoded_login import AZURE_USER, ECR_USER, login_of
from agent.model.leftovers import DECRYPT, ENCRYPTED
from agent.model.text import printable

DOCKER_FILES: Final = frozenset({".dockerconfigjson", ".dockercfg", "config.json"})
DOCKER_FIELDS: Final = frozenset({"auth", "username", "password", "identitytoken", "registrytoken", "email"})
_HOST: Final = re.compile(r"[.:]|^localhost$")
_USER_AND_PASSWORD: Final = re.compile(r"([^\s:]+):(.+)", re.DOTALL)
_AWS_KEYS: Final = frozenset({"AccessKeyId", "SecretAccessKey"})
_GOOGLE_TYPES: Final = ("authorized_user", "external_account", "impersonated_service_account")
_AS_OBJECT: Final = "write the auth of the registry as an object: in curly brackets"
# Azure's user name for a token instead of a password.


def is_dockercfg(value: Mapping[str, Any]) -> bool:
    """Whether this is Docker's old file `.dockercfg`: the entries of `auths` without the key `auths`.

    People also write `user:password` instead of an entry.
    """
    return bool(value) and all(_HOST.search(host) and _is_entry(entry) for host, entry in value.items())


def _is_entry(entry: object) -> bool:
    # A text that is JSON itself belongs to a file with that name.
    return isinstance(entry, Mapping) or (isinstance(entry, str) and not entry.lstrip().startswith(("{", "[")))


def docker_login_in(entry: object) -> dict[str, Any]:
    """Return the login in one entry of Docker's `auths`. `auth` takes precedence, as in Docker."""
    if isinstance(entry, str):
        return _login_in_text(entry)
    if not isinstance(entry, Mapping):
        raise DocumentError("is not an object", _AS_OBJECT)
    username, password = entry.get("username"), entry.get("password")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            username, password = login_of(entry["auth"])
        except ValueError:
            raise DocumentError(
                "has an auth that is not the base64 of user:password in UTF-8",
                "encode the user name, a colon and the password together, or write username and password instead",
            ) from None
    # These tokens are for the registry's token server. They do not work as a password.
    if not password and (entry.get("identitytoken") or entry.get("registrytoken")):
        raise DocumentError(
            "contains only a token for Docker itself; add a user name and a password",
            "add username and password to the entry: the token works only in Docker itself",
        )
    if not username and not password:
        raise DocumentError(
            "contains no login; a credential helper may hold it, which the agent cannot read",
            "add username and password to the entry, or remove it",
        )
    return {"username": username, "password": password}


def _login_in_text(text: str) -> dict[str, Any]:
    found = _USER_AND_PASSWORD.fullmatch(text)
    try:
        username, password = found.groups() if found else login_of(text)
    except ValueError:
        raise DocumentError("is not an object, and not user:password either", _AS_OBJECT) from None
    return {"username": username, "password": password}


def documents_in(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document in the output of `vault` or of AWS Secrets Manager, by its key."""
    data = value.get("data")
    if "request_id" in value and isinstance(data, Mapping):
        # The second version of Vault's store keeps metadata next to the secret.
        return {"data.data": data["data"]} if data.keys() >= {"data", "metadata"} else {"data": data}
    return {"SecretString": value["SecretString"]} if value.keys() >= {"ARN", "SecretString"} else {}


def logins_in(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the logins in the output of `aws ecr get-authorization-token`, `az acr login`, or a credential helper."""
    if value.keys() >= {"ServerURL", "Username", "Secret"}:
        return [{"hostname": value["ServerURL"], "username": value["Username"], "password": value["Secret"]}]
    if value.keys() >= {"loginServer", "accessToken"}:
        user = value.get("username") or AZURE_USER
        return [{"hostname": value["loginServer"], "username": user, "password": value["accessToken"]}]
    data = value.get("authorizationData", value)
    # ECR Public returns one object, for its one registry, without an endpoint.
    public = None if data is value or isinstance(data, list) else "public.ecr.aws"
    tokens = (item for item in (data if isinstance(data, list) else [data]) if isinstance(item, Mapping))
    return [
        {"hostname": host, "username": ECR_USER, "password": item["authorizationToken"]}
        for item in tokens
        if "authorizationToken" in item and (host := item.get("proxyEndpoint", public)) is not None
    ]


def refuse_half_logins(value: Mapping[str, Any]) -> None:
    """Raise a DocumentError for an object that holds a password or a configuration, but not the registry."""
    if "sops" in value:
        raise DocumentError(f"is {ENCRYPTED}", DECRYPT)
    _refuse_cloud_logins(value)
    by_host = value.get("credHelpers")
    helpers = [value.get("credsStore"), *(by_host.values() if isinstance(by_host, Mapping) else ())]
    if named := [helper for helper in helpers if isinstance(helper, str) and helper]:
        raise DocumentError(
            f"is a Docker configuration without logins: the credential helper {printable(named[0], 40)} keeps them",
            "add a secret with the user name and password: the agent cannot read another program's credential store",
        )


def _refuse_cloud_logins(value: Mapping[str, Any]) -> None:
    credentials = value.get("Credentials", value)
    if value.get("type") == "service_account" and "private_key" in value:
        raise DocumentError(
            "is a Google service-account key, without the registry that it is for",
            "put the whole key into the field password of a secret, with the user name _json_key and a hostname such "
            "as europe-docker.pkg.dev",
        )
    if isinstance(credentials, Mapping) and credentials.keys() >= _AWS_KEYS:
        raise DocumentError(
            "contains AWS keys, without the registry that they are for",
            "write a secret with the ECR registry as hostname, AccessKeyId as username, SecretAccessKey as password "
            "and SessionToken as session_token",
        )
    if "authorizationToken" in value or value.keys() >= {"payload", "datakey"}:
        raise DocumentError(
            "is an ECR token, without the registry that it is for",
            "put the token into the field password of a secret, with the registry as hostname and the user name AWS",
        )
    if value.get("type") in _GOOGLE_TYPES:
        raise DocumentError(
            "is a Google credential file, without the registry that it is for",
            "set GOOGLE_APPLICATION_CREDENTIALS to its path for the agent, and write a secret with the registry as "
            "hostname and runner-native as username",
        )
    if value.keys() >= {"appId", "password", "tenant"}:
        raise DocumentError(
            "is an Azure service principal, without the registry that it is for",
            "write a secret with the login server of the registry as hostname, appId as username, and its password",
        )
    if value.keys() >= {"passwords", "username"}:
        raise DocumentError(
            "contains the admin passwords of an Azure registry, without its host name",
            "write a secret with the login server of the registry as hostname, this username, and one of the passwords",
        )

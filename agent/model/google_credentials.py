"""Parses Google's credential files, and checks where each one would send a token.

A file may come from outside. So the agent sends tokens only to Google's own hosts, whatever the file says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from agent.model.google_errors import login_command
from agent.model.google_names import AUDIENCE, SERVICE_ACCOUNT, UNIVERSE, UNIVERSES
from agent.model.google_subject_token import (
    BY_GCLOUD,
    OTHER_SOURCE,
    SAML,
    CredentialFileError,
    TokenPlace,
    optional_text,
    parse_credential_source,
    text,
)
from agent.model.sensitive import Sensitive

JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_TOKEN_TYPES: Final = frozenset({JWT, "urn:ietf:params:oauth:token-type:id_token", SAML})
# Google's default and limits for the life of an impersonated account's token.
USUAL_LIFETIME_S: Final = 3600
_SHORTEST_S: Final = 600
_LONGEST_S: Final = 43_200
_KEY: Final = "service_account"
_DELEGATE: Final = "projects/-/serviceAccounts/"
_IMPERSONATION: Final = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken")


@dataclass(frozen=True, slots=True)
class AuthorizedUser:
    """A person's own login, as `gcloud auth application-default login` writes it."""

    client_id: str
    client_secret: Sensitive
    refresh_token: Sensitive
    universe: str = UNIVERSE
    account: str | None = None


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """Workload identity federation. `source` is None if the settings name where the token comes from.

    `lifetime_s` is how long a token of the `service_account` shall live.
    """

    audience: str
    source: TokenPlace | None = None
    token_type: str = JWT
    token_url: str = f"https://sts.{UNIVERSE}/v1/token"
    universe: str = UNIVERSE
    service_account: str | None = None
    lifetime_s: int = USUAL_LIFETIME_S
    user_project: str | None = None


@dataclass(frozen=True, slots=True)
class ImpersonatedServiceAccount:
    """A service account, whose token the holder of `source` may request, through each of the `delegates` in turn."""

    service_account: str
    source: "AuthorizedUser | ExternalAccount"
    delegates: tuple[str, ...] = ()


CredentialFile = AuthorizedUser | ExternalAccount | ImpersonatedServiceAccount


def parse_credential_file(value: object) -> CredentialFile:
    """Parse the JSON of a credential file. One that would send a token to another host is a CredentialFileError."""
    if not isinstance(value, Mapping):
        raise CredentialFileError("does not hold a JSON object")
    if value.get("type") == "impersonated_service_account":
        return _impersonated_account(value)
    return _source(value)


def account_of_settings(audience: str) -> ExternalAccount:
    """Return the account of an audience in the settings. The identity token goes to the cloud that it names."""
    named = AUDIENCE.fullmatch(audience)
    universe = (named and named["universe"]) or UNIVERSE
    return ExternalAccount(audience, token_url=f"https://sts.{universe}/v1/token", universe=universe)


def _impersonated_account(value: Mapping[str, Any]) -> ImpersonatedServiceAccount:
    given, url = value.get("source_credentials"), text(value, "service_account_impersonation_url")
    if isinstance(given, Mapping) and given.get("type") == _KEY:
        login = login_command(_impersonated(url, _universe(given)))
        raise CredentialFileError(
            "impersonates a service account with the key of another one, which the agent does not sign with",
            f"run {login}, and use the file that it saves instead of this one",
        )
    source = _source(given)
    return ImpersonatedServiceAccount(_impersonated(url, source.universe), source, _delegates(value))


def _source(value: object) -> AuthorizedUser | ExternalAccount:
    if not isinstance(value, Mapping):
        raise CredentialFileError("has no source_credentials")
    kind = value.get("type")
    if kind == "authorized_user":
        return _authorized_user(value)
    if kind == "external_account":
        return _external_account(value)
    if kind == _KEY:
        raise CredentialFileError(
            "holds the key of a service account, which the agent does not sign with",
            "put it into the secret for HOST: _json_key as username, and the content of the whole file as password",
        )
    raise CredentialFileError("has a type that the agent does not support", BY_GCLOUD)


def _authorized_user(value: Mapping[str, Any]) -> AuthorizedUser:
    return AuthorizedUser(
        text(value, "client_id"),
        Sensitive(text(value, "client_secret")),
        Sensitive(text(value, "refresh_token")),
        _universe(value),
        optional_text(value, "account"),
    )


def _external_account(value: Mapping[str, Any]) -> ExternalAccount:
    universe, source = _universe(value), parse_credential_source(value.get("credential_source"))
    token_type = text(value, "subject_token_type")
    if token_type not in _TOKEN_TYPES:
        raise CredentialFileError("has a subject_token_type that the agent does not support", OTHER_SOURCE)
    audience = text(value, "audience")
    if not AUDIENCE.fullmatch(audience):
        raise CredentialFileError("has an audience that is not the name of a workload identity provider")
    url = optional_text(value, "service_account_impersonation_url")
    return ExternalAccount(
        audience,
        source,
        token_type,
        _token_url(text(value, "token_url"), universe),
        universe,
        _impersonated(url, universe) if url else None,
        _lifetime(value.get("service_account_impersonation")),
        optional_text(value, "workforce_pool_user_project"),
    )


def _universe(value: Mapping[str, Any]) -> str:
    universe = optional_text(value, "universe_domain") or UNIVERSE
    if universe not in UNIVERSES:
        raise CredentialFileError("has a universe_domain that is not Google's, so the agent sends no token there")
    return universe


def _token_url(url: str, universe: str) -> str:
    host = _https_host(url)
    regional = re.fullmatch(rf"sts\.[a-z0-9-]+\.rep\.{re.escape(universe)}", host)
    if (host != f"sts.{universe}" and regional is None) or urlsplit(url).path != "/v1/token":
        raise CredentialFileError(f"has a token_url other than https://sts.{universe}/v1/token")
    # Made again from its parts, without a query or a fragment.
    return f"https://{host}/v1/token"


def _impersonated(url: str, universe: str) -> str:
    found = _IMPERSONATION.fullmatch(urlsplit(url).path) if _https_host(url) == f"iamcredentials.{universe}" else None
    if found is None or not SERVICE_ACCOUNT.fullmatch(found[1]):
        raise CredentialFileError(
            f"has a service_account_impersonation_url other than one of iamcredentials.{universe}"
        )
    return found[1]


def _lifetime(impersonation: object) -> int:
    given = impersonation.get("token_lifetime_seconds") if isinstance(impersonation, Mapping) else None
    if given is None:
        return USUAL_LIFETIME_S
    if not isinstance(given, int) or not _SHORTEST_S <= given <= _LONGEST_S:
        raise CredentialFileError(f"has a token_lifetime_seconds that is not between {_SHORTEST_S} and {_LONGEST_S}")
    return given


def _delegates(value: Mapping[str, Any]) -> tuple[str, ...]:
    given = value.get("delegates") or []
    names = [str(each).removeprefix(_DELEGATE) for each in given] if isinstance(given, list) else [""]
    if not all(map(SERVICE_ACCOUNT.fullmatch, names)):
        raise CredentialFileError("has delegates that are not names of service accounts")
    return tuple(f"{_DELEGATE}{name}" for name in names)


def _https_host(url: str) -> str:
    """Return the host of an https URL without user name and port, else an empty text."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.netloc == parts.hostname
    except ValueError:
        return ""
    return parts.netloc if plain else ""

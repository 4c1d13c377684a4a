"""What the answers of a registry mean: what a challenge asks for, where a login may be sent, what refuses it."""

import base64
import contextlib
import json
import re
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Final

from yarl import URL

from agent.edge.http import Reply
from agent.edge.name_resolver import look_up
from agent.model.credential import Credential
from agent.model.loopback import is_loopback

# The lookbehind keeps matching linear: without it, a long word would be tried again from each of its letters.
_CHALLENGE: Final = re.compile(r'(?<![a-zA-Z_])([a-zA-Z_]+)="([^"]*)"')
REDIRECTS: Final = range(300, 400)
_PORTAL: Final = 511
"""Network Authentication Required (RFC 6585): only captive portals send it, whatever the page."""
# The addresses of cloud metadata services, which give the keys of the machine to any local caller.
_METADATA: Final = tuple(map(ip_network, ("169.254.0.0/16", "::ffff:169.254.0.0/112", "fe80::/10", "fd00:ec2::/32")))


def basic_header(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password.reveal()}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def token_url(challenge: str, credential: Credential | None) -> str | None:
    """Return the token URL of a Bearer challenge (distribution's token authentication specification)."""
    fields = dict(_CHALLENGE.findall(challenge))
    realm = fields.get("realm", "")
    if not realm.startswith(("https://", "http://")):
        return None
    account = {"account": credential.username, "client_id": "docker"} if credential else {}
    scope = {"scope": fields["scope"]} if "scope" in fields else {}
    return str(URL(realm).update_query({**account, "service": fields.get("service", ""), **scope}))


async def may_be_sent(realm: URL) -> bool:
    """Return whether a password may be sent to the realm that a registry names."""
    host = realm.host or ""
    if realm.scheme != "https" and not is_loopback(host):
        return False
    addresses = await _addresses(host, realm.port)
    return not any(ip_address(address) in network for address in addresses for network in _METADATA)


def refuses(reply: Reply) -> bool:
    """Whether an answer to a login refuses it. OAuth 2 answers 400 with this code to a token that has ended."""
    if reply.status == HTTPStatus.BAD_REQUEST:
        return b"invalid_grant" in reply.body
    return reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def token_in(reply: Reply) -> str | None:
    """Return the token in the answer of a token server, if a header can carry it."""
    try:
        answer = json.loads(reply.body)
        token = answer.get("token") or answer.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        return None
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else None


def redirect_target(reply: Reply, url: str) -> str | None:
    """Return the target of a redirect if it stays on the same host and does not go from TLS to plain HTTP."""
    location = reply.headers.get("Location")
    if reply.status not in REDIRECTS or location is None:
        return None
    here = URL(url)
    try:
        # Drop a user name: it would be sent as a login.
        there = here.join(URL(location)).with_user(None)
    except ValueError:
        return None
    return str(there) if there.host == here.host and there.scheme in (here.scheme, "https") else None


def is_registry(reply: Reply, url: str) -> bool:
    """Return False for a web page or a redirect to another host: that answer does not come from a registry."""
    if "Docker-Distribution-Api-Version" in reply.headers:
        return True
    if reply.status == _PORTAL:
        return False
    if reply.status in REDIRECTS:
        with contextlib.suppress(ValueError):
            return URL(reply.headers.get("Location", "")).host in (None, URL(url).host)
        return False
    return reply.status >= 300 or "html" not in reply.headers.get("Content-Type", "").lower()  # noqa: PLR2004


async def on_loopback(host: str, port: int | None) -> bool:
    """Return whether Docker treats the host as local: its name resolves to 127.0.0.0/8 or ::1."""
    return any(map(is_loopback, await _addresses(host, port)))


async def _addresses(host: str, port: int | None) -> list[str]:
    """Return the addresses of a name, or none if it does not resolve (maybe only a proxy knows it)."""
    try:
        found = await look_up(host, port or 443)
    except OSError:
        return []
    return [str(address[0]).partition("%")[0] for *_, address in found]

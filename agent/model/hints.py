"""Hints about a registry that depend on the details of the failure. `Problem` replaces HOST with the registry."""

import errno
import re
from typing import Final

from agent.model import docker_config
from agent.model.commands import command, shown
from agent.model.helper_names import HELPER_NAME, OWN_HELPER
from agent.model.leftovers import leftover
from agent.model.text import trimmed

NOT_A_REGISTRY: Final = (
    "open https://HOST/v2/ in a browser: a captive portal or a proxy may ask you to log in; "
    "otherwise, check the host name in the secret"
)
PROXY: Final = (
    "fix the proxy's address in the variable in the message (such as HTTPS_PROXY), and its user name and password if "
    "it needs them, then restart the agent; add hosts that need no proxy to NO_PROXY"
)
CAPTIVE_PORTAL: Final = "open http://neverssl.com in a browser and log in to this network: its captive portal answered"
# What people paste by mistake. The registry decides first: each of these can also be a password.
_PASTED: Final = {
    r"(?i:bearer|basic|token) \S+": "it begins with the scheme of an HTTP header; keep only what follows it",
    r"\s(?s:.*)|(?s:.*)\s": "it begins or ends with whitespace, which docker login removes",
}
PUT_NEW_TOKEN: Final = "put a new token into the secret; if the token is new, set this machine's clock"  # noqa: S105 - a hint
CA_VARIABLE: Final = (
    "fix or unset the variable in the message, which names a CA file that cannot be used, then restart the agent"
)
UNINITIALIZED: Final = "pass not initialized"
"""What docker-credential-pass prints if its store has no GPG key."""
ASK_PLATFORM: Final = (
    "ask your platform team to make sure that the file, URL or command in the message provides a token for this user"
)
# These patterns find out who must act, in the texts of errors.
NAMES_CA_VARIABLE: Final = re.compile(r"\b[A-Z_]+ names the CA file ")
ABOUT_PROXY: Final = re.compile(r"\bthe proxy\b|_PROXY\b|proxyconnect|proxy authentication", re.IGNORECASE)
# The proxy works, and its rules refuse the connection. 407 asks for a login, which is in the user's variable.
PROXY_RULES_REFUSE: Final = re.compile(
    r"status (?!407)\d{3}|its rules do not|it reports that|SOCKS error|refused the request: (?!.*proxy authentication)",
    re.IGNORECASE,
)
# Status 511 means nothing else (RFC 6585).
FROM_CAPTIVE_PORTAL: Final = re.compile(r"status 511|network authentication required", re.IGNORECASE)
_INTERCEPTED: Final = (
    "ask your network administrator for the CA certificate of the proxy that intercepts TLS (its issuer is in the "
    "message), and trust it once for all registries: add it to this machine's authorities (`sudo "
    "update-ca-certificates`) and restart Docker, or set SSL_CERT_FILE to its file"
)
# Registries with certificates that every system trusts. Another authority there is a proxy's.
_PUBLIC: Final = re.compile(
    r"docker\.io|ghcr\.io|quay\.io|(?:[\w-]+\.)?gcr\.io|[\w.-]+\.pkg\.dev|[\w-]+\.azurecr\.io|mcr\.microsoft\.com"
    r"|public\.ecr\.aws|ecr-public\.aws\.com|[\w.-]+\.amazonaws\.com|[\w.-]+\.on\.aws|registry\.gitlab\.com"
)
_UNKNOWN_AUTHORITY: Final = re.compile(r"local issuer|self[- ]signed|unknown authority|unable to verify", re.IGNORECASE)
# The patterns match error texts of Python's ssl and of Go's crypto/x509.
_OF_CERTIFICATES: Final = {
    r"expired|not yet valid": "ask the registry's administrator to renew its certificate; if `date` shows a wrong time "
    "here, set the clock",
    r"mismatch|certificate is (?:not )?valid for|doesn't contain any": "check the host name in the secret; if it is "
    "right, ask the registry's administrator to fix the certificate",
    r"HTTP response to HTTPS|wrong version number|record layer failure": "check the port in the secret: this one has "
    "no TLS; if the registry has none on purpose, add HOST to insecure-registries in /etc/docker/daemon.json "
    "(rootless: ~/.config/docker/daemon.json) and restart Docker",
}


def pasted_login(username: str, password: str) -> str | None:
    """Return the hint for a login that was refused and looks like a mistake, or None."""
    if left := leftover(password):
        return f"fix the password in the secret: it is {left}"
    if username != docker_config.TOKEN_USER and (left := leftover(username)):
        return f"fix the user name in the secret: it is {left}"
    found = next((fault for form, fault in _PASTED.items() if re.fullmatch(form, password)), None)
    if found is None and trimmed(password) != password:
        found = "it begins or ends with an invisible character"
    return f"fix the password in the secret: {found}" if found else None


def dns_hint(lookup: str) -> str:
    """Return the hint for a name that does not resolve; `lookup` is a command that looks it up."""
    return (
        f"check the host name in the secret for a typo; if {lookup} finds nothing either, "
        "ask your network administrator"
    )


def token_rejected(issuer: str) -> str:
    """Return the hint for a registry that rejects a token which its cloud has just issued."""
    fields, right = ("host name and the region", "both are") if issuer == "AWS" else ("host name", "it is")
    return (
        f"check the {fields} in the secret: HOST rejects the tokens that {issuer} issues for it; if {right} right, "
        "ask the registry's administrator who may pull"
    )


def proxy_rules(host: str) -> str:
    return f"ask your network administrator to allow {host} in the rules of the proxy; the agent's settings are right"


def helper_hint(name: str, error: str = "") -> str:
    """Return the hint for a credential helper that failed.

    Args:
        name: its name in Docker's configuration.
        error: what it printed, if the message shows it.
    """
    if name == OWN_HELPER:
        return "run `registry-agent status` for details"
    listing = command(f"docker-credential-{name} list") if HELPER_NAME.fullmatch(name) else None
    look = f"run {listing} to see the error, or " if listing else ""
    if UNINITIALIZED in error:
        look = "create a GPG key (`gpg --full-generate-key`) and initialize pass with it, or "
    elif error:
        look = f"fix what docker-credential-{shown(name)} reports, or "
    return f"{look}remove {shown(name)} from credsStore and credHelpers in Docker's config.json"


def sudo_advice(user: str, directory: object | None) -> str:
    """Return what to do if root pulls, and another user's agent keeps the logins in `directory`.

    It is None if that is not known, or if a login is in memory: docker does not pass `--config` on to the helper that
    asks for it, and root's helper asks root's agent.
    """
    given = command("sudo docker --config", directory) if directory else None
    use = f"use docker without sudo{f', or begin with {given}' if given else ''}"
    return (
        f"{use}: `sudo docker` reads root's configuration, and this agent keeps the logins of {shown(user)}; "
        "for logins of root's own, run `registry-agent run` as root"
    )


def runtime_hint(reason: str, directory: str | None, *, writer: str) -> str:
    """Return the hint for a runtime directory, if it is known, to which `writer` cannot write.

    It is "docker", "podman" or "the agent". `reason` is the system's text for the error.
    """
    where, cause = shown(directory) if directory else "the agent's runtime directory", reason.lower()
    if "no space" in cause or "quota" in cause:
        usage = command("df -h", directory) if directory else None
        return f"free up space on the file system of {where}" + (f": {usage} shows how full it is" if usage else "")
    other = "set RUNTIME_DIRECTORY to a directory in the home of the agent's user, and restart the agent"
    if "read-only" in cause:
        return f"{other}: {where} is on a read-only file system"
    if "denied" in cause or "not permitted" in cause:
        confined = "; a snap, AppArmor or SELinux may confine docker" if writer == "docker" else ""
        return f"{other}: {writer} may not write to {where}{confined}"
    return f"check the file system of {where}, or {other}"


def computing_helper_hint(name: str) -> str:
    """Return the hint for a credential helper that stores no logins, such as ecr-login."""
    stop = f"stop using {shown(name)} for HOST (credsStore, credHelpers) in Docker's config.json"
    return f"{stop}, or add HOST to secrets.exclude"


def unstartable_helper_hint(name: str, path: str, error: int | None) -> str:
    """Return the hint for a credential helper that does not start; `path` is its program, `error` the errno."""
    drop = f"or remove {shown(name)} from credsStore and credHelpers in Docker's config.json"
    if error in (errno.EACCES, errno.EPERM):
        return f"let the agent's user execute {shown(path)} and the interpreter in its first line, {drop}"
    if error in (errno.ENOEXEC, errno.ENOENT):
        return f"install {shown(path)} again, because it or its interpreter does not run on this machine, {drop}"
    return f"check {shown(path)} and the limits of the agent's user, {drop}"


def certificate_hint(fault: str, hostname: str) -> str | None:
    """Return the hint for a TLS error text, or None if the registry's own unknown authority can be the cause."""
    hints = (hint for words, hint in _OF_CERTIFICATES.items() if re.search(words, fault, re.IGNORECASE))
    found = next(hints, None)
    if found is None and _UNKNOWN_AUTHORITY.search(fault):
        foreign = _PUBLIC.fullmatch(hostname) or "through the proxy" in fault
        return _INTERCEPTED if foreign else None
    return found

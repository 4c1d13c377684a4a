"""Hints about a registry that depend on the details of the failure. `Problem` replaces HOST with the registry."""

import errno
import re
from typing import Final

from agent.model.commands import command, shown

NOT_A_REGISTRY: Final = (
    "open https://HOST/v2/ in a browser: a captive portal or a proxy may ask you to log in; "
    "otherwise, check the host name in the secret"
)
PROXY: Final = (
    "fix the proxy's address in HTTPS_PROXY, and its user name and password if it needs them, then restart the "
    "agent; add hosts that need no proxy to NO_PROXY"
)
BLANKS: Final = "fix the password in the secret: it begins or ends with whitespace, which docker login removes"
AWS_LOGIN_REJECTED: Final = (
    "check the host name and the region in the secret: HOST rejects the tokens that AWS issues for it; if both are "
    "right, ask the registry's administrator who may pull"
)
_HELPER: Final = re.compile(r"[A-Za-z0-9._-]+")
# The patterns match error texts of Python's ssl and of Go's crypto/x509.
_OF_CERTIFICATES: Final = (
    (
        re.compile(r"expired|not yet valid", re.IGNORECASE),
        "ask the registry's administrator to renew its certificate; if `date` shows a wrong time here, set the clock",
    ),
    (
        re.compile(r"mismatch|certificate is (?:not )?valid for|doesn't contain any", re.IGNORECASE),
        "check the host name in the secret; if it is right, ask the registry's administrator to fix the certificate",
    ),
    (
        re.compile(r"HTTP response to HTTPS|wrong version number|record layer failure", re.IGNORECASE),
        "check the port in the secret: this one has no TLS; if it is right, ask the registry's administrator for https",
    ),
)


def dns_hint(lookup: str) -> str:
    """Return the hint for a name that does not resolve; `lookup` is a command that looks it up."""
    return (
        f"check the host name in the secret for a typo; if {lookup} finds nothing either, "
        "ask your network administrator"
    )


def helper_hint(name: str) -> str:
    """Return the hint for a credential helper that failed; `name` is its name in Docker's configuration."""
    listing = command(f"docker-credential-{name} list") if _HELPER.fullmatch(name) else None
    look = f"run {listing} to see the error, or " if listing else ""
    return f"{look}remove {shown(name)} from credsStore and credHelpers in Docker's config.json"


def sudo_advice(user: str, directory: object | None) -> str:
    """Return what to do if root pulls, and another user's agent keeps the logins in `directory`."""
    given = command("sudo docker --config", directory) if directory else None
    use = f"use docker without sudo{f', or begin with {given}' if given else ''}"
    return (
        f"{use}: `sudo docker` reads root's configuration, and this agent keeps the logins of {shown(user)}; "
        "for logins of root's own, run `registry-agent run` as root"
    )


def runtime_hint(reason: str, directory: str | None, *, writer: str) -> str:
    """Return the hint for a runtime directory that cannot be written.

    Args:
        reason: the system's text for the error.
        directory: the runtime directory, or None if it is not known.
        writer: the program that cannot write, "docker" or "the agent".
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


def unstartable_helper_hint(name: str, path: str, error: int | None) -> str:
    """Return the hint for a credential helper that does not start; `path` is its program, `error` the errno."""
    drop = f"or remove {shown(name)} from credsStore and credHelpers in Docker's config.json"
    if error in (errno.EACCES, errno.EPERM):
        return f"let the agent's user execute {shown(path)} and the interpreter in its first line, {drop}"
    if error in (errno.ENOEXEC, errno.ENOENT):
        return f"install {shown(path)} again, because it or its interpreter does not run on this machine, {drop}"
    return f"check {shown(path)} and the limits of the agent's user, {drop}"


def certificate_hint(fault: str) -> str | None:
    """Return the hint for a TLS error text, or None if only an unknown certificate authority can be the cause."""
    return next((hint for words, hint in _OF_CERTIFICATES if words.search(fault)), None)

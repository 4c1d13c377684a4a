"""The answer to one request of the credential helper. The bootstrap loads it, so it needs nothing about logins."""

from dataclasses import dataclass
from http import HTTPStatus

from agent.model.helper_names import NOT_FOUND
from agent.model.text import printable


@dataclass(frozen=True, slots=True)
class HelperReply:
    """The bytes that the helper prints. It exits with 0 for the status OK, else with 1.

    For any status but OK, NOT_FOUND and CONFLICT, it prints them on stderr too. `outcome` is for the log.
    """

    outcome: str
    status: HTTPStatus = HTTPStatus.OK
    body: bytes = b""


def not_found() -> HelperReply:
    return HelperReply("not_found", HTTPStatus.NOT_FOUND, line(NOT_FOUND))


def unavailable(reason: str) -> HelperReply:
    """The registry is managed here, but there is no login that works. The reason includes the registry and the fix."""
    # The longest message and hint of a problem fit: a fix that is cut off may be half a command.
    return HelperReply("unavailable", HTTPStatus.SERVICE_UNAVAILABLE, line(printable(reason, 2000)))


def refused(reason: str) -> HelperReply:
    return HelperReply("refused", HTTPStatus.CONFLICT, line(printable(reason, 600)))


def busy() -> HelperReply:
    """The program asks again until its deadline, and only then prints this."""
    reason = "registry-agent has no login yet: too many programs wait for one; try again in a moment"
    return HelperReply("busy", HTTPStatus.TOO_MANY_REQUESTS, line(reason))


def forbidden(user: str) -> HelperReply:
    reason = f"registry-agent gives logins only to user {user} and to root; run docker as user {user}"
    return HelperReply("forbidden", HTTPStatus.FORBIDDEN, line(reason))


def line(text: str) -> bytes:
    return f"{text}\n".encode(errors="replace")

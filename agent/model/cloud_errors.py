"""Turns the answers of a cloud's token services into problems. Throttling and failures are the same in each cloud."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.model.cloud_reply import CloudReply
from agent.model.problem import Problem, ProblemError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CloudErrors:
    """The problems of one cloud. `subject` is its name, until a service adds the registry (`Problem.about`)."""

    subject: str
    throttled: type[Problem]
    unreachable: type[Problem]
    failed: type[Problem]

    def problem(self, reply: CloudReply, explain: Callable[[CloudReply], Problem | None]) -> Problem:
        """Return the problem behind an answer without a token.

        Args:
            reply: the answer.
            explain: returns the problem behind a refusal, or None for one that it does not know.
        """
        if reply.status == 429:  # noqa: PLR2004 - HTTP's own number
            message = f"{reply.action} throttled the agent (status 429)"
            return self.throttled(self.subject, message, wait=reply.retry_after)
        if reply.status >= 500:  # noqa: PLR2004 - HTTP's own limit
            return self.failed(self.subject, f"{_status(reply, 'failed')}{reply.reason}", wait=reply.retry_after)
        return explain(reply) or self.failed(self.subject, f"{_status(reply, 'answered')}{reply.reason}")

    def no_answer(self, detail: object) -> ProblemError:
        return ProblemError(self.unreachable(self.subject, f"no token from {detail}"))

    def needed(self, reply: CloudReply, found: T | None, name: str) -> T:
        """Return what was found in the field `name` of an answer.

        Raises:
            ProblemError: it is None, so the answer is of no use.
        """
        if found is None:
            message = f"the answer of {reply.action} cannot be used: {name} is missing or invalid"
            raise ProblemError(self.failed(self.subject, message))
        return found


def _status(reply: CloudReply, verb: str) -> str:
    return f"{reply.action} {verb} with status {reply.status}"

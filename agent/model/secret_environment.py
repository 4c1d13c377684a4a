"""Reads secrets from environment variables: the agent's own, and those of Codespaces and Gitpod."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from agent.model.encoded_login import login_of
from agent.model.pasted_text import ELSEWHERE
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.secret import RegistrySecret, parse_secret
from agent.model.secret_formats import MOST_SECRETS, ParseResult, over_limit, parse_one, read_document
from agent.model.text import literal

SECRETS: Final = "REGISTRY_AGENT_SECRETS"
GITPOD: Final = "GITPOD_IMAGE_AUTH"
_CODESPACES: Final = re.compile(r"(.+)_CONTAINER_REGISTRY_(?:SERVER|USER|PASSWORD)")
_RESTART: Final = "and restart the agent"
_FIELDS: Final = {"SERVER": "hostname", "USER": "username", "PASSWORD": "password"}


def read_environment(environ: Mapping[str, str]) -> ParseResult:
    """Parse REGISTRY_AGENT_SECRETS, `<NAME>_CONTAINER_REGISTRY_*` and GITPOD_IMAGE_AUTH."""
    found = ParseResult.joined(_results(environ))
    return replace(found, problems=tuple(map(_of_variable, found.problems)))


def _results(environ: Mapping[str, str]) -> Iterator[ParseResult]:
    if environ.get(SECRETS, "").strip():
        yield read_document(environ[SECRETS], SECRETS, SECRETS)
    # Compose files pass on variables that nobody set, with an empty value. Those do not count.
    matches = (_CODESPACES.fullmatch(variable) for variable, value in environ.items() if value.strip())
    for name in sorted({match[1] for match in matches if match}):
        yield parse_one(partial(_codespaces, name, environ))
    items = environ.get(GITPOD, "").split(",")
    for index, item in enumerate(items[:MOST_SECRETS]):
        if item.strip():
            yield parse_one(partial(_gitpod, item.strip(), f"[{index}]"))
    yield from over_limit(len(items), GITPOD)


def _of_variable(problem: Problem) -> Problem:
    """Return the problem with a hint for a variable instead of a file. The agent reads variables only at its start."""
    hint = problem.hint.removesuffix(ELSEWHERE).removesuffix("; ")
    if hint in ("", SecretInvalid.hint):
        hint = "fix the variable that the message names"
    if _RESTART in hint:
        return problem
    return SecretInvalid(problem.subject, problem.message, hint=f"{literal(hint)}, {_RESTART}")


def _codespaces(name: str, environ: Mapping[str, str]) -> RegistrySecret:
    variables = {f"{name}_CONTAINER_REGISTRY_{part}": field for part, field in _FIELDS.items()}
    origin = next(iter(variables))
    missing = [variable for variable in variables if not environ.get(variable, "").strip()]
    if missing:
        fault = f"{' and '.join(missing)} must be set for secret {name} to be used"
        hint = f"set all three variables of the secret, {_RESTART}"
        raise ProblemError(SecretInvalid(f"{origin}#{name}", fault, hint=hint))
    return parse_secret({field: environ[variable] for variable, field in variables.items()}, origin, name, name)


def _gitpod(item: str, label: str) -> RegistrySecret:
    host, _, auth = item.rpartition(":")
    try:
        username, password = login_of(auth)
    except ValueError:
        fault = f"entry {label} of {GITPOD} is not host:base64(user:password)"
        hint = f"encode the user name, a colon and the password together with base64, {_RESTART}"
        raise ProblemError(SecretInvalid(f"{GITPOD}#{label}", fault, hint=hint)) from None
    return parse_secret({"hostname": host, "username": username, "password": password}, GITPOD, label, "gitpod")

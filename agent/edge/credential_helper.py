"""Runs Docker's credential helpers: the programs `docker-credential-NAME get | store | erase | list`."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from agent.edge.process import Finished, ProcessTimeout, child_environment, run
from agent.edge.programs import find_program, search, search_rejected
from agent.model.commands import shown
from agent.model.docker_config import TOKEN_USER, ConfigError, Entry, parse_helper_answer
from agent.model.helper_names import HELPER_NAME, NOT_FOUND, OWN_HELPER, OWN_PROGRAM
from agent.model.hints import UNINITIALIZED, computing_helper_hint, helper_hint, unstartable_helper_hint
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import AgentHasNoLogin, CannotStore, CredentialStoreFailed
from agent.model.sandbox import opening
from agent.model.sensitive import Sensitive
from agent.model.text import printable

_ALWAYS: Final = "/usr/local/bin:/usr/bin"
"""On the PATH of every shell, of sudo, and of most services."""
DEADLINE_S: Final = 10.0
# These change the store of the user, so they must not be interrupted.
_WRITES: Final = frozenset({"store", "erase"})


def is_installed(environ: Mapping[str, str]) -> bool:
    """Return whether the agent's own helper is on its PATH, or in the directories that every PATH has. Blocks."""
    return find_program(OWN_PROGRAM, f"{environ.get('PATH', '')}:{_ALWAYS}") is not None


class CredentialHelpers:
    """Runs helpers by name. Each failure is a `CredentialStoreFailed` about the server, and never contains a secret.

    A cancellation ends a `get` or `list` at once. A `store` or `erase` that has started runs until it exits or reaches
    its deadline.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        deadline_s: float = DEADLINE_S,
        unit: str | None = None,
        docker_config: Path | None = None,
        learned: Callable[[str, Sensitive], object] = lambda *_: None,
        scrub: Callable[[str], str] = str,
    ) -> None:
        """`unit` is the systemd service that the agent runs in. Its sandbox may block a helper.

        `docker_config` is passed on as DOCKER_CONFIG, as docker does: it leads the agent's helper to the right agent.

        `learned` is called with the server and its secret before a helper gets it. `scrub` removes known secrets from
        its output.
        """
        self._hint: Final[Callable[[str, str], str]] = (
            (lambda name, error: _sandboxed(name, error, unit, environ)) if unit else helper_hint
        )
        given = {"DOCKER_CONFIG": str(docker_config)} if docker_config else {}
        self._env: Final = child_environment(environ) | given
        self._path: Final = environ.get("PATH")
        self._deadline_s: Final = deadline_s
        self._learned: Final = learned
        self._scrub: Final = scrub

    async def get(self, name: str, server: str) -> Entry | None:
        """Return the login that the helper gives Docker for `server`, or None if it has none."""
        finished = await self._run(name, "get", server, server)
        if _not_found(finished):
            return None
        self._check(finished, name, "get", server)
        try:
            return parse_helper_answer(finished.stdout)
        except ConfigError:
            message = f"docker-credential-{name} printed something that is not a login"
            raise _failure(server, message, helper_hint(name)) from None

    async def servers(self, name: str) -> list[str]:
        """Return every server that the helper has a login for. Some of them may not be registries."""
        program = f"docker-credential-{name}"
        finished = await self._run(name, "list", program, "")
        self._check(finished, name, "list", program)
        try:
            answer = json.loads(finished.stdout)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise _failure(program, f"{program} printed something that is not a list", helper_hint(name))
        return list(answer)

    async def store(self, name: str, server: str, entry: Entry) -> None:
        """Give the helper the login in `entry` to keep for `server`."""
        self._learned(server, entry.secret)  # the registry may have issued it for the password
        username = TOKEN_USER if entry.identity_token else entry.username
        login = json.dumps({"ServerURL": server, "Username": username, "Secret": entry.secret.reveal()})
        self._check(await self._run(name, "store", server, login), name, "store", server)

    async def erase(self, name: str, server: str) -> None:
        """Remove the login for `server`. A login that does not exist counts as removed."""
        finished = await self._run(name, "erase", server, server)
        if not _not_found(finished):
            self._check(finished, name, "erase", server)

    async def _run(self, name: str, action: str, server: str, stdin: str) -> Finished:
        program = f"docker-credential-{name}"
        # The name comes from config.json, and anything could have written it there.
        if not HELPER_NAME.fullmatch(name):
            raise _failure(server, "config.json names a credential helper whose name is not a valid program name")
        try:
            found = await search(program, self._path, self._deadline_s)
            rejected = await search_rejected(program, self._path, self._deadline_s) if found is None else None
        except TimeoutError:
            message = f"a directory on the agent's PATH hangs: {program} was not found in {self._deadline_s:g} s"
            raise _failure(server, message, "check PATH for a network file system that is down") from None
        except OSError as error:  # there is no thread for it
            hint = unstartable_helper_hint(name, program, error.errno)
            raise _failure(server, f"{program} cannot be searched for: {error.strerror}", hint) from None
        if found is None:
            remove = f"remove {shown(name)} from credsStore and credHelpers in Docker's config.json"
            if rejected is not None:
                raise _failure(server, rejected.reason, f"{rejected.hint}, or {remove}")
            raise _failure(server, f"{program} is not on the agent's PATH", f"install {shown(program)}, or {remove}")
        try:
            return await run(
                [found, action], env=self._env, stdin=stdin.encode(), timeout=self._deadline_s, writes=action in _WRITES
            )
        except ProcessTimeout as error:
            message = f"{program} {action} did not end within {self._deadline_s:g} s"
            raise _failure(server, message, self._hint(name, "")) from error
        except OSError as error:
            hint = unstartable_helper_hint(name, str(found), error.errno)
            raise _failure(server, f"{program} does not start: {error.strerror}", hint) from error

    def _check(self, finished: Finished, name: str, action: str, server: str) -> None:
        if finished.returncode == 0:
            return
        program = f"docker-credential-{name}"
        # Its own words contain the reason and the fix, and never a login. Without words, the program itself has failed.
        reason = printable(self._scrub(finished.stdout.decode(errors="replace")).strip(), 1000)
        if name == OWN_HELPER and reason:
            raise ProblemError(AgentHasNoLogin(server, reason, hint=helper_hint(name)))
        # The answer of helpers that only compute logins, such as amazon-ecr-credential-helper.
        if b"not implemented" in finished.stdout + finished.stderr:
            message = f"{program} cannot {action} logins (it reports: not implemented)"
            raise ProblemError(CannotStore(server, message, hint=computing_helper_hint(name)))
        quoted = _quotable(self._scrub((finished.stdout + b"\n" + finished.stderr).decode(errors="replace")))
        message = f"{program} {action} failed with exit code {finished.returncode}{quoted}"
        raise _failure(server, message, self._hint(name, quoted))


def _failure(server: str, message: str, hint: str | None = None) -> ProblemError:
    return ProblemError(CredentialStoreFailed(server, message, hint=hint))


def _sandboxed(name: str, error: str, unit: str, environ: Mapping[str, str]) -> str:
    """Return the hint for a sandbox that makes the home directory read-only.

    `pass` writes to its directories even for a `get`. Other helpers may do the same.
    """
    home = Path(environ.get("HOME", "~"))
    if name == "pass" and UNINITIALIZED not in error:
        defaults = {"PASSWORD_STORE_DIR": ".password-store", "GNUPGHOME": ".gnupg"}
        return opening(unit, [environ.get(variable) or home / default for variable, default in defaults.items()])
    hint = helper_hint(name, error)
    return hint if UNINITIALIZED in error else f"{hint}; if it keeps logins in files, {opening(unit, [])}"


def _not_found(finished: Finished) -> bool:
    return finished.returncode != 0 and NOT_FOUND.encode() in finished.stdout + finished.stderr


def _quotable(output: str) -> str:
    """Return the last line that a helper printed, or nothing if the output may contain a login that nobody knows."""
    lines = [line for line in output.split("\n") if line.strip()]
    # A brace suggests JSON, which may be the login itself.
    return f": {printable(lines[-1], 160)}" if lines and "{" not in output else ""

"""Runs programs that print secrets: AWS credentials, web identity tokens, passwords."""

import errno
from collections.abc import Mapping, Sequence
from typing import Final

from agent.blocking import BlockingCalls
from agent.edge.process import Finished, child_environment, run
from agent.edge.programs import search, search_rejected

_FILES: Final = BlockingCalls("secret-commands", limit=16)


async def run_command(
    args: Sequence[str],
    environ: Mapping[str, str],
    timeout_s: float,
    *,
    variables: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    limit: int = 64 * 1024,
) -> Finished:
    """Run a program that prints a secret. A bare name is searched only in safe directories of PATH.

    The program has no terminal, and reads `stdin` to its end. It gets the variables of `child_environment`, and
    `variables`. Output beyond `limit` bytes is discarded.

    Raises:
        ProcessTimeout: the program was still running after `timeout_s`.
        TimeoutError: the search on PATH took longer than `timeout_s`.
        OSError: the program does not exist or cannot be started.
    """
    program, *rest = args
    if "/" not in program:
        found = await search(program, environ.get("PATH"), timeout_s)
        if found is None:
            rejected = await search_rejected(program, environ.get("PATH"), timeout_s)
            raise FileNotFoundError(errno.ENOENT, rejected.reason if rejected else "not found on PATH", program)
        program = str(found)
    env = {**child_environment(environ), **(variables or {})}
    return await run([program, *rest], env=env, stdin=stdin, timeout=timeout_s, limit=limit, files=_FILES)


def how_it_failed(finished: Finished) -> str:
    """Describe the failure without the output of the program, because its errors may contain a secret."""
    code = finished.returncode
    ended = f"exited with status {code}" if code > 0 else f"was killed by signal {-code}"
    return f"{ended}; run it by hand to see why (its output may hold a secret, so it is not shown)"

"""A failed attempt leaves words behind, and nothing that holds a password: a warning may stay for days."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType, FunctionType, ModuleType, TracebackType
from typing import Final

import pytest

from agent.model.credential import Credential
from agent.model.docker_results import ProbeResult
from agent.model.plan import Login
from agent.model.problem import Problem
from agent.model.problems.aws import AwsUnreachable
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.sensitive import Sensitive
from agent.observe.log import Log
from agent.services.board import Board
from agent.services.docker_login import DockerLogin
from tests.fakes import EPOCH, process
from tests.services.login_fakes import HOURS, Bench, basic, native
from tests.services.test_docker_login import Cli, Probe, Tools

NOT_KEPT: Final = (TracebackType, FrameType, BaseException, Credential, Sensitive)


def docker_refuses(bench: Bench) -> None:
    cli = Cli("unauthorized: incorrect username or password")
    docker_login = DockerLogin(cli, Probe(ProbeResult(EPOCH)).probe, Tools(), lambda: 5.0)
    bench.dependencies = replace(bench.dependencies, docker_login=docker_login.log_in)


def aws_is_unreachable(bench: Bench) -> None:
    bench.credentials.problem = AwsUnreachable("aws", "no route")


def nothing_can_be_written(bench: Bench) -> None:
    bench.reconciler.problem = ConfigUnwritable("ghcr.io", "the disk is full")


def the_agent_has_a_bug(bench: Bench) -> None:
    def bug(password: str) -> Problem | Exception:
        return KeyError(password)

    bench.docker_login.answer = bug


def reachable(*roots: object, beyond: tuple[object, ...]) -> Iterator[object]:
    """All objects that the roots hold, directly or through others; not what `beyond` holds, nor code."""
    seen: set[int] = {id(each) for each in beyond}
    todo = [*roots]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, ModuleType | type):
            continue
        seen.add(id(each))
        yield each
        todo += [each.__closure__, each.__defaults__] if isinstance(each, FunctionType) else gc.get_referents(each)


@pytest.mark.parametrize(
    ("login", "fails"),
    [
        *((login, fails) for login in (basic(), native()) for fails in (docker_refuses, nothing_can_be_written)),
        *((login, the_agent_has_a_bug) for login in (basic(), native())),
        (native(), aws_is_unreachable),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Login) else value.__name__,
)
async def test_no_traceback_and_no_credential_stays(login: Login, fails: Callable[[Bench], None]) -> None:
    """Neither the board, nor the waiting login, nor the log can reach one; the plan alone knows the password."""
    bench, log = Bench(), Log("debug", "json", str, {})
    bench.board = Board(process(), bench.clock.now, log.logger)
    bench.dependencies = replace(bench.dependencies, board=bench.board, log=log.logger)
    fails(bench)
    registry_login = bench.login(login)
    task = asyncio.create_task(registry_login.run())
    try:
        await bench.clock.advance(HOURS)
        assert bench.row.consecutive_failures > 0
        kept = list(reachable(bench.board, registry_login, log, beyond=(login, bench, bench.dependencies)))
        assert any(isinstance(each, Problem) for each in kept)
        running = [frame for frame in task.get_stack() if frame.f_code.co_name == "run"]
        assert [each for each in kept if isinstance(each, NOT_KEPT) and each not in running] == []
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        log.close()

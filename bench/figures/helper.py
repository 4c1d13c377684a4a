"""The credential helper, compared with others. Docker waits for it at each pull if the logins are in memory."""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.aws_names import aws_names
from bench.aws_side import aws_side
from bench.bench import Bench, scratch
from bench.figure import Figure
from bench.stage import Stage, running_agent, seconds_of, stage
from tests.prepare.step import CHECKOUT
from tests.rig.cloud import ECR
from tests.rig.pass_store import PassStore, docker_credential_pass, pass_store

_KEYS: Final = 50
_NAME: Final = "a login from docker-credential-registry-agent"
_ECR: Final = "docker-credential-ecr-login"
_PASSWORDS: Final = "registry.example.com"


def measure(bench: Bench) -> list[Figure]:
    with ExitStack() as stack:
        side = stack.enter_context(aws_side(1))
        own = stack.enter_context(stage([side.secret]))
        agent = stack.enter_context(running_agent(bench, own, side.environment))
        own.await_logins(side.registries, agent)
        python, helper = str(bench.python), _installed(own.root, bench.python)

        def ours() -> float:
            return _get(helper, side.registries[0], _asking(own))

        bare = bench.turns(ours, lambda: seconds_of([python, "-ISE", "-c", ""], _asking(own))[0])
        cached = stack.enter_context(_ecr_login())
        ecr = bench.turns(ours, lambda: _get(_ECR, ECR, cached))
        store = stack.enter_context(_filled_store())
        passwords = bench.turns(ours, lambda: _get(docker_credential_pass(), _PASSWORDS, store.env))
        many = bench.turns(lambda: _seconds_of_many(helper, side.registries[0], _asking(own)))
    return [
        Figure(_NAME, "python -ISE, which does nothing", "s", 1.3, bare),
        Figure(f"{_NAME} (ECR)", f"{_ECR} get", "s", 3, ecr),
        Figure(f"{_NAME} (pass)", "docker-credential-pass get", "s", 1, passwords),
        Figure(f"{_KEYS} of these, one after another", "-", "s", 2, many),
    ]


def _installed(directory: Path, python: Path) -> Path:
    """Install the program as `make install` and the packages do."""
    helper = directory / "docker-credential-registry-agent"
    write = ("bash", "-c", '. scripts/python-packages.sh && helper_program "$@"', "bash", python, CHECKOUT)
    helper.write_bytes(subprocess.run(write, capture_output=True, check=True, cwd=CHECKOUT).stdout)
    helper.chmod(0o755)
    return helper


def _asking(own: Stage) -> Mapping[str, str]:
    return own.environment({"REGISTRY_AGENT_SOCKET": str(own.root / "run" / "agent.sock")})


def _get(helper: str | Path, server: str, env: Mapping[str, str]) -> float:
    """Return the seconds that the helper takes to print a login."""
    with tempfile.TemporaryFile() as question:
        question.write(server.encode())
        question.seek(0)
        return seconds_of([str(helper), "get"], env, question.fileno())[0]


def _seconds_of_many(helper: Path, server: str, env: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    for _ in range(_KEYS):
        _get(helper, server, env)
    return time.perf_counter() - begun


@contextmanager
def _ecr_login() -> Iterator[Mapping[str, str]]:
    """Yield the environment of an `ecr-login` with a cached token. It needs no network then."""
    with scratch() as directory, aws_names(directory, [443]) as (machine, aws), stage() as own:
        user = aws.add_user("bench")
        # Its cache is per key and account. With keys, it finds the token without an instance role or a network.
        keys = {"AWS_ACCESS_KEY_ID": user.access_key_id, "AWS_SECRET_ACCESS_KEY": user.secret_access_key}
        env = own.environment({**machine.trust, **keys})
        first = machine.namespace.run(_ECR, "get", env=env, stdin=ECR)
        if first.returncode:
            raise RuntimeError(f"{_ECR}: {first.stdout}{first.stderr}")
        yield env


@contextmanager
def _filled_store() -> Iterator[PassStore]:
    with pass_store(docker_credential_pass()) as store:
        login = json.dumps({"ServerURL": _PASSWORDS, "Username": "bench", "Secret": "made up"})
        subprocess.run([docker_credential_pass(), "store"], input=login.encode(), env=store.env, check=True)
        yield store

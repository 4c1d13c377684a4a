"""Runs the measured agent and docker CLI, each in its own directory, and watches the logins that they write."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.bench import Bench, environment, free_port, scratch

_LOOK_S: Final = 0.001
_PATIENCE_S: Final = 120.0
_END_S: Final = 15.0
_ROOT: Final = Path(__file__).resolve().parent.parent
"""The measured checkout."""
_SETTINGS: Final = """\
[secrets]
directories = [{secrets}]
environment = false

[status]
listen = "127.0.0.1:{port}"

[log]
format = "json"
"""


@dataclass(frozen=True, slots=True)
class Stage:
    root: Path
    port: int

    @property
    def log(self) -> Path:
        return self.root / "agent.log"

    def environment(self, more: Mapping[str, str]) -> Mapping[str, str]:
        return environment(self.root, **more)

    def put(self, secret: Mapping[str, Any]) -> None:
        """Write the secret's file atomically, as `kubectl`, `mv` and careful editors do."""
        written = self.root / "secret.new"
        written.write_text(json.dumps(secret), encoding="utf-8")
        written.rename(self.root / "secrets" / f"{secret['name']}.json")

    def logins(self) -> Mapping[str, str]:
        """Return the logins that config.json has now: registry to `user:password` in base64."""
        try:
            document = json.loads((self.root / "docker" / "config.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return {host: entry.get("auth", "") for host, entry in document.get("auths", {}).items()}

    def await_logins(self, hosts: Iterable[str], agent: "subprocess.Popen[bytes]", auth: str | None = None) -> float:
        """Wait until all `hosts` have a login, or the login `auth` if given. Return the time (`time.perf_counter`).

        Raises:
            RuntimeError: not in time, or the agent ended; with the end of its log.
        """
        wanted, give_up = set(hosts), time.monotonic() + _PATIENCE_S
        while True:
            logins = self.logins()
            if wanted <= logins.keys() and all(auth in (None, logins[host]) for host in wanted):
                return time.perf_counter()
            if agent.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"logged in: {sorted(logins)}\n{self.log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(_LOOK_S)


@contextmanager
def stage(secrets: Iterable[Mapping[str, Any]] = ()) -> Iterator[Stage]:
    with scratch() as root:
        for name in ("secrets", "docker", "run", "state"):
            (root / name).mkdir(mode=0o700)
        made = Stage(root, free_port())
        settings = _SETTINGS.format(secrets=json.dumps(str(root / "secrets")), port=made.port)
        (root / "config.toml").write_text(settings, encoding="utf-8")
        for secret in secrets:
            made.put(secret)
        yield made


@contextmanager
def running_agent(
    bench: Bench,
    on: Stage,
    more: Mapping[str, str],
    *,
    within: Sequence[str] = (),
    program: Sequence[str] = ("-m", "agent"),
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `registry-agent run`, and stop it at the end.

    Args:
        bench: its interpreter runs the agent.
        on: the directory and the port of the agent.
        more: added to its environment.
        within: a command that runs it, such as `nsenter`.
        program: what the interpreter gets before `run`.
    """
    command = [*within, str(bench.python), *program, "run", "--config", str(on.root / "config.toml")]
    environ = on.environment({"PYTHONPATH": str(_ROOT), **more})
    with on.log.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, cwd=on.root)
    with ending(process):
        yield process


@contextmanager
def ending(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Terminate the process afterwards. Kill it if it does not end."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_to_logins(bench: Bench, secrets: Sequence[Mapping[str, Any]], more: Mapping[str, str] | None = None) -> float:
    """Return the seconds from the agent's start until config.json has a login for each of `secrets`."""
    with stage(secrets) as own:
        begun = time.perf_counter()
        with running_agent(bench, own, more or {}) as agent:
            return own.await_logins((secret["hostname"] for secret in secrets), agent) - begun


def seconds_of(command: Sequence[str], env: Mapping[str, str], stdin: int = subprocess.DEVNULL) -> tuple[float, float]:
    """Run a program. Return its wall time, and the processor time that it and its children use.

    Raises:
        RuntimeError: it failed; with its output.
    """
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdin=stdin, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command[0]} failed: {said.read().decode(errors='replace')}")
    return seconds, used.ru_utime + used.ru_stime

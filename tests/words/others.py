"""The commands that people would type instead, and what they print."""

import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.rig.namespace import environment
from tests.words import names
from tests.words.scene import Scene

HELPER_LOG: Final = Path(".ecr/log/ecr-login.log")
_PATIENCE_S: Final = 30.0
# Text that differs between runs, and has no meaning for the reader.
_PASSING: Final = (
    (re.compile(r'time="[^"]+"'), 'time="2026-01-01T12:00:00Z"'),
    (re.compile(r"(?i)(request ?id:? ?)[0-9a-f]{8}-[0-9a-f-]{27}"), r"\1…"),
    (re.compile(r"(10\.77\.\d+\.\d+):\d{5}->"), r"\1:50000->"),
    (re.compile(r"\b0xc[0-9a-f]{9}\b"), "0xc000123456"),
    (re.compile(r"(config\.json)\d+"), r"\g<1>1234567890"),
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `stdin` and the values of `env` may be secrets.

    `config` is written to Docker's config.json first. Then its directory gets `mode`.
    """

    line: str
    stdin: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    config: str | None = None
    mode: int = 0o700


def docker_login(scene: Scene, hostname: str, *, password: str = "", user: str = names.USER) -> Command:
    return Command(f"docker login --username {user} --password-stdin {hostname}", stdin=password or scene.password)


def aws_password(scene: Scene, region: str) -> Command:
    return Command(f"aws ecr get-login-password --region {region}", env=scene.aws_keys(region))


def helper_get(scene: Scene, region: str) -> Command:
    """Return the call of the ECR credential helper that docker makes."""
    return Command("docker-credential-ecr-login get", stdin=names.ecr(region), env=scene.aws_keys(region))


def tell(scene: Scene, command: Command) -> str:
    """Return the command as typed, its output, its exit code, and the last line of the helper's log, if any."""
    home = Path(tempfile.mkdtemp(dir=scene.directory))
    docker = home / ".docker"
    docker.mkdir()
    if command.config is not None:
        (docker / "config.json").write_text(command.config)
    docker.chmod(command.mode)
    env = environment(HOME=str(home), AWS_STS_REGIONAL_ENDPOINTS="regional", **scene.machine.trust)
    env.update(command.env)
    # With exec, a timeout kills the program. Without it, the shell reports a missing program.
    run = "" if "PATH" in command.env else "exec "
    try:
        done = scene.inside.run(
            "/bin/sh", "-c", f"{run}{command.line} 2>&1", env=env, stdin=command.stdin, timeout=_PATIENCE_S
        )
        printed, end = done.stdout, f"[exit code {done.returncode}]"
    except subprocess.TimeoutExpired as expired:
        printed, end = (expired.stdout or b"").decode(), f"[no end within {_PATIENCE_S:.0f} s]"
    finally:
        docker.chmod(0o700)
    lines = [f"$ {_typed(command)}", *printed.strip().splitlines(), end]
    log = home / HELPER_LOG
    if log.exists() and log.stat().st_size:
        lines += [f"$ tail -n 1 ~/{HELPER_LOG}", log.read_text().rstrip().splitlines()[-1]]
    return cleaned("\n".join(lines), scene.home, home)


def _typed(command: Command) -> str:
    if command.line.startswith("docker-credential-"):
        return f"echo {shlex.quote(command.stdin)} | {command.line}"
    return command.line


def cleaned(text: str, *homes: Path) -> str:
    """Replace the text that differs between runs, and replace the home with that of a person."""
    for home in homes:
        text = text.replace(str(home), "/home/ada")
    for pattern, instead in _PASSING:
        text = pattern.sub(instead, text)
    return text

"""A docker CLI that fails for single registries."""

import shutil
from typing import Final

import pytest

from tests.codes.programs import script
from tests.codes.world import World
from tests.scenarios.fault import Cause, Caused, Fault, Group
from tests.scenarios.life import Life

REAL_DOCKER: Final = shutil.which("docker")
# docker runs as another user would: it may not write to the private directory, its argument after --config.
_LOCKED: Final = f'chmod 500 "$2"; {REAL_DOCKER} "$@"; code=$?; chmod 700 "$2"; exit $code'
# A registry's word such as "denied" means nothing in an error of this machine.
_UNSAVED: Final = {
    "cannot save its result: permission denied": (_LOCKED, "permission denied"),
    "cannot save its result: a full disk": (
        'echo "Error saving credentials: write $2/config.json1: no space left on device" >&2; exit 1',
        "no space left",
    ),
    "cannot save its result: a sandbox": (
        'echo "Error saving credentials: rename $2/config.json1 $2/config.json: operation not permitted" >&2; exit 1',
        "operation not permitted",
    ),
}
_DOES: Final = {
    "cannot read its own files": (
        'echo "open /etc/docker/certs.d/ca.crt: permission denied: access forbidden" >&2; exit 1',
        "certs.d",
    ),
    "crashes": ("kill -SEGV $$", "signal 11"),
    "is killed": ("kill -KILL $$", "signal 9"),
    "prints nothing": ("exit 1", "printed nothing"),
    "prints an unknown error": ("echo gibberish >&2; exit 1", "gibberish"),
    "saves nothing": ("exit 0", "saved nothing"),
    "hangs": ("sleep 60", "did not end within 3 s"),
}


def _fails(does: str) -> Cause:
    """A file with the registry's name contains what docker does for it. Without the file, docker works."""

    def cause(world: World) -> Caused:
        programs, faults = world.home / "bin", world.home / "faults"
        if not programs.exists():
            programs.mkdir()
            faults.mkdir()
            script(
                programs / "docker",
                f'for last; do :; done; fault="{faults}/${{last:-none}}"; [ -f "$fault" ] && . "$fault"',
                f'exec {REAL_DOCKER} "$@"',
            )
            world.env["PATH"] = f"{programs}:{world.env['PATH']}"
        door = world.registry("failing")
        fault = faults / door.hostname
        fault.write_text(f"{does}\n")
        return Caused(door.hostname, fault.unlink, (door.hostname,))

    return cause


GROUP: Final = Group(
    {
        "test_tools": tuple(
            Fault(f"docker login fails for one registry: {name}", "docker_cli_failed", _fails(does), says)
            for name, (does, says) in _DOES.items()
        )
        + tuple(
            Fault(f"docker login fails for one registry: {name}", "config_unwritable", _fails(does), says)
            for name, (does, says) in _UNSAVED.items()
        )
    },
    {"docker": {"login_timeout_s": 3}, "retry": {"first_wait_s": 1, "max_wait_s": 2}},
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_docker_login_fails_for_one_registry(life: Life, fault: Fault) -> None:
    """However docker ends, only the login of this registry fails."""
    life.of(fault)

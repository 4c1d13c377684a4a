"""Credential helpers that do not work, each for its own registry."""

import json
from typing import Final

import pytest

from tests.codes.programs import script
from tests.codes.world import LOGIN, World
from tests.scenarios.fault import Cause, Caused, Fault, Group
from tests.scenarios.life import Life

# By the protocol of docker-credential-helpers, `get` returns what was stored.
WORKING_HELPER: Final = (
    'file=$(dirname "$0")/stored',
    "case $1 in",
    'store) cat >"$file" ;;',
    'get) cat "$file" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;',
    'erase) rm -f "$file" ;;',
    "esac",
)
NOTHING_THERE: Final = "[ $1 = get ] && { echo credentials not found in native keychain; exit 1; }"
_DOES: Final[dict[str, tuple[list[str] | None, str]]] = {
    "missing": (None, "not on the agent's PATH"),
    "fails": (["echo keychain is locked >&2; exit 1"], "keychain is locked"),
    "cannot-store": ([NOTHING_THERE, "echo not implemented; exit 1"], "cannot store"),
    "killed": (["kill -9 $$"], "exit code -9"),
    "invalid-output": (["echo '[]'"], "not a login"),
    "stores-nothing": ([NOTHING_THERE, "true"], "has no login"),
    "hangs": (["sleep 60"], "10 s"),
}


def _helper(name: str) -> Cause:
    """A helper that config.json names for its registry. Once fixed, it stores what it gets."""
    lines, _says = _DOES[name]

    def cause(world: World) -> Caused:
        programs = world.sources.directory / name  # a helper stores our login
        programs.mkdir()
        world.env["PATH"] = f"{programs}:{world.env['PATH']}"
        door = world.registry("helped")
        config = world.agent.docker / "config.json"
        helpers = json.loads(config.read_text())["credHelpers"] if config.exists() else {}
        config.write_text(json.dumps({"credHelpers": {**helpers, door.hostname: name}}))
        helper = programs / f"docker-credential-{name}"
        if lines is not None:
            script(helper, *lines)

        def fixed() -> None:
            row = world.agent.registry(door.hostname)
            assert row is not None
            assert row["stored_in"] == name
            assert json.loads((programs / "stored").read_text())["Secret"] == LOGIN["password"]

        return Caused(door.hostname, lambda: script(helper, *WORKING_HELPER), (door.hostname,), fixed=fixed)

    return cause


GROUP: Final = Group(
    {
        "test_docker_config": tuple(
            Fault(f"a credential helper that does not work: {name}", "credential_store_failed", _helper(name), says)
            for name, (_lines, says) in _DOES.items()
        )
    },
    {"retry": {"first_wait_s": 2, "max_wait_s": 4}},
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_credential_helper_that_does_not_work(life: Life, fault: Fault) -> None:
    """Only the login of its registry fails. Once it is fixed, it has the login."""
    life.of(fault)

"""Secrets, files, programs and settings with hostile texts."""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from agent.demo.registries import BasicAuth
from tests.codes.servers import ControlPlane
from tests.codes.world import LOGIN, PASSWORD, World
from tests.hostile.screens import ATTACK, Screens

pytestmark = pytest.mark.usefixtures("screens")

LINES: Final = 'ok\n{"event": "login.succeeded", "hostname": "forged.example"}\n2026-01-01T00:00:00Z [info] forged'
HOSTILE: Final = {
    "escapes": ATTACK,
    "lines": LINES,
    "flag": "--config=/etc",
    "short-flag": "-D",
    "dots": "../../../../etc/cron.d/x",
    "shell": "$(touch owned);`touch owned`|touch owned&",
    "long": "a" * 1_000_000,
    "half": "x\ud800y",
    "percent": "%s%n{0}{secret.__class__}",
    "glob": "[a-z]*?",
}


def _secrets(hostname: str) -> list[dict[str, Any]]:
    """Return secrets with each hostile text in each field, one at a time. The valid ones are for `hostname`."""
    right = {"name": "fine-name", "hostname": hostname, "scope": "organization", **LOGIN}
    fields = ("name", "hostname", "username", "password", "scope", "kind", "region", "role_arn", "external_id")
    secrets = [{**right, field: text} for field in fields for text in HOSTILE.values()]
    secrets += [{**right, text: "unknown"} for text in HOSTILE.values()]
    secrets += [{**right, "hostname": f"{hostname}/{text}"} for text in HOSTILE.values()]
    return secrets


@pytest.mark.parametrize("style", ["json", "console"])
def test_hostile_texts_in_every_field(world: World, screens: Screens, style: str) -> None:
    """They come from files, the environment and the control plane. Valid ones log in, and nothing is shown raw."""
    door = world.registry("beside")
    for number, secret in enumerate(_secrets(door.hostname)):
        (world.agent.secrets / f"hostile-{number:03}.json").write_text(json.dumps(secret))
    for text in (ATTACK.replace("\0", ""), LINES.replace("/", ""), "\udcff\udcfe", "-rf"):
        (world.agent.secrets / f"{text}.json").write_text(json.dumps({"name": "x"}))
        (world.agent.secrets / text).mkdir()
        (world.agent.secrets / text / "hostname").write_text(text.encode(errors="replace").decode())
    plane = ControlPlane(_secrets(door.hostname))
    url = f"{world.serve(plane.handle).url}/{HOSTILE['dots']}?x=%1b[2J"
    in_variables = {"REGISTRY_AGENT_SECRETS": json.dumps(_secrets(door.hostname)[:80])[:100_000]}
    world.start(
        {
            "secrets": {"url": url, "poll_interval_s": 0.5},
            "report": {"url": f"{world.serve(screens.dashboard.handle).url}/"},
            "log": {"format": style, "level": "debug"},
        },
        **in_variables,
    )
    world.agent.wait_logged_in(door.hostname)
    world.agent.wait_for("the first pass", lambda s: s["phase"] == "running")
    assert {"secret_invalid", "secret_shadowed"} <= {w["code"] for w in world.agent.status()["warnings"]}
    assert not [path for path in (world.home, Path.cwd(), Path("/")) if (path / "owned").exists()]


def test_user_names_that_are_used(world: World) -> None:
    """A registry may accept such names. The CLI gets each as one argument, and each affects only its own registry."""
    names = [text for name, text in HOSTILE.items() if name not in ("escapes", "lines", "half")]
    names += ["\x9b31m\u202elive\u2028line", "x" * 60_000, "\U0001f600" * 60_000]
    doors = [
        world.registry(f"named-{n}", BasicAuth({text: PASSWORD}), {"username": text, "password": PASSWORD})
        for n, text in enumerate(names)
    ]
    world.start()
    world.agent.wait_for("an outcome of each", lambda s: s["phase"] == "running")
    world.agent.wait_logged_in(*(door.hostname for door, text in zip(doors, names, strict=True) if len(text) < 1000))


def test_texts_of_the_machine(world: World) -> None:
    """The environment's name, the keys of a settings file and a directory on PATH are shown, but never raw."""
    programs = world.home / ATTACK.replace("\0", "").replace("/", "")
    programs.mkdir()
    (programs / "docker").symlink_to("/usr/bin/docker")
    world.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    quoted = json.dumps(ATTACK)
    settings = f"[{quoted}]\n{quoted} = {quoted}\n[secrets]\n{quoted} = 1\nremoved = {quoted}\nurl = {quoted}\n"
    (world.home / "hostile.toml").write_text(settings)
    done = world.agent.command("check-config", "--config", str(world.home / "hostile.toml"))
    assert done.returncode == 78
    world.start(
        {"environment": {"id": ATTACK.translate(dict.fromkeys([*range(32), 127]))}},
        CODESPACE_NAME=ATTACK.replace("\0", ""),
        GITPOD_IMAGE_AUTH=ATTACK.replace("\0", ""),
        **{"REGISTRY_AGENT_DOCKER_\x1b[2J": "1"},
    )
    subjects = [w["subject"] for w in world.agent.status()["warnings"] if w["code"] == "settings_invalid"]
    assert subjects
    world.nothing_stopped()

"""`registry-agent doctor`: its words on a terminal, its arguments."""

import json
from typing import Any

import pytest

from agent.cli.doctor_view import View
from tests.cli.commands import command


def link(name: str, outcome: str, seen: str = "x", **fields: str | None) -> dict[str, Any]:
    return {"name": name, "outcome": outcome, "seen": seen, "code": None, "fix": None, "needs": None, **fields}


def document(*links: dict[str, Any], **fields: object) -> dict[str, Any]:
    registry = {"hostname": "ghcr.io", "image": None, "links": list(links)}
    broken = [each for each in links if each["outcome"] == "broken"]
    first = {"hostname": "ghcr.io", "name": broken[0]["name"], "fix": broken[0]["fix"]} if broken else None
    environment = {"user": "vscode", "host": "box", "id": "e"}
    base = {"environment": environment, "docker_config": "/home/vscode/.docker", "links": [link("settings", "ok")]}
    return {**base, "registries": [registry], "broken": len(broken), "first": first, **fields}


REJECTED = link(
    "login",
    "broken",
    "ghcr.io refused the password " + "again " * 30,
    code="login_rejected",
    fix="update it",
    needs="user",
)


def test_what_is_broken_stands_out() -> None:
    """In capitals, with what to do and who; the last line says where to begin; all within 80 columns."""
    lines = list(
        View(80).lines(document(link("dns", "ok"), REJECTED, link("pull", "not reached", "there is no login")))
    )
    assert max(map(len, lines)) <= 80
    (at,) = [line for line in lines if "BROKEN" in line]
    assert at.split()[:2] == ["BROKEN", "login"]
    assert any("→ update it (login_rejected, needs you)" in line for line in lines)
    assert lines[-1] == "1 link is broken. Begin with ghcr.io: login: update it"


def test_links_that_nobody_reached_share_a_line() -> None:
    """They tell nothing one by one; those with a reason of their own do."""
    names = ("tcp", "proxy", "tls")
    late = [link(name, "not reached", "an earlier link is broken") for name in names]
    lines = list(View(80).lines(document(*late, link("login", "not reached", "there is no docker CLI"))))
    assert any("tcp, proxy, tls: not reached: an earlier link is broken" in line for line in lines)
    assert any("not reached: there is no docker CLI" in line for line in lines)


def test_colours_only_where_they_are_wanted() -> None:
    """They change nothing of the words."""
    plain, painted = (list(View(80, colours=colours).lines(document(REJECTED))) for colours in (False, True))
    assert any("\x1b[31mBROKEN" in line for line in painted)
    for code in ("31", "32", "1", "2", "0"):
        painted = [line.replace(f"\x1b[{code}m", "") for line in painted]
    assert painted == plain


def test_outside_text_cannot_drive_the_terminal() -> None:
    """In whatever field."""
    evil = "\x1b]0;owned\x07\u202e"
    bad = link(evil, "broken", evil, code=evil, fix=evil, needs="user")
    shown = "\n".join(View(80).lines(document(bad, docker_config=evil)))
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_doubt_is_no_all_is_well() -> None:
    """Where no link is broken, but there is nothing to log in with, or the agent fails by itself."""
    assert list(View(80).lines(document(link("dns", "ok"))))[-1] == "all is well: no link is broken"
    bare = list(View(80).lines(document(registries=[])))
    assert bare[-1] == "no link is broken, but there is no secret for a registry: nothing logs in"
    doubt = list(View(80).lines(document(link("agent", "ok", "says retrying", fix="mend it"))))
    assert "but the agent says otherwise of ghcr.io" in " ".join(doubt[-2:])


async def test_a_terminal_that_knows_few_letters() -> None:
    """Costs no more than those letters; what was found is told."""
    answer = await command("doctor", "--set", 'secrets.directories=["/nowhere"]', PYTHONIOENCODING="ascii")
    assert "no link is broken" in answer.out or "Begin with" in answer.out
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("arguments", [("--nonsense",), ("ghcr.io/UPPER",), ("a b",), ("one", "two"), ("--set", "x")])
async def test_wrong_usage_is_64(arguments: tuple[str, ...]) -> None:
    """And says what is expected."""
    answer = await command("doctor", *arguments)
    assert (answer.code, answer.out) == (64, "")
    assert "registry-agent" in answer.err


async def test_no_secrets_and_no_host_is_well() -> None:
    """There is nothing to be broken; where secrets were looked for is told."""
    answer = await command("doctor", "--json", "--set", 'secrets.directories=["/nowhere"]', HOME="/nonexistent")
    told = json.loads(answer.out)
    assert (answer.code, told["outcome"], told["registries"]) == (0, "ok", [])
    (secrets,) = [each for each in told["links"] if each["name"] == "secrets"]
    assert "/nowhere" in secrets["seen"]


async def test_a_wrong_setting_is_a_broken_link() -> None:
    """As check-config has it; everything else goes on."""
    answer = await command("doctor", "--json", "--set", "log.level=loud", HOME="/nonexistent")
    told = json.loads(answer.out)
    assert answer.code == 2
    assert told["first"]["name"] == "settings"
    assert told["links"][0]["code"] == "settings_invalid"

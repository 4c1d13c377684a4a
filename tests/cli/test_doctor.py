"""`registry-agent doctor`: its report on a terminal, and its arguments."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.cli.doctor_view import report_lines
from agent.cli.terminal import Terminal
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


@pytest.mark.parametrize("message", ["AWS denied it to role dev", "no connection to {}", "{} has a wrong clock"])
def test_a_fault_that_several_registries_share_is_shown_once(message: str) -> None:
    """The other registries refer to the first one, and the last line lists them."""
    hosts = ("a.example", "b.example", "c.example")
    registries = [
        {
            "hostname": host,
            "image": None,
            "links": [link("token", "broken", message.format(host), fix=f"ask for {host}")],
        }
        for host in hosts
    ]
    first = {"hostname": "a.example", "name": "token", "fix": "ask for a.example"}
    shown = list(report_lines(Terminal(200), document(registries=registries, broken=3, first=first)))
    output = "\n".join(shown)
    assert output.count(message.format("a.example")) == 1
    assert output.count("the same as for a.example") == 2
    assert (
        shown[-1]
        == "3 checks failed. Start with a.example: token: ask for a.example (the same for b.example, c.example)"
    )


def test_different_faults_are_all_shown() -> None:
    """The same check can fail for another reason."""
    registries = [
        {"hostname": host, "image": None, "links": [link("login", "broken", f"{host} {why}", fix="fix it")]}
        for host, why in (("a.example", "refused it"), ("b.example", "is down"))
    ]
    first = {"hostname": "a.example", "name": "login", "fix": "fix it"}
    output = "\n".join(report_lines(Terminal(200), document(registries=registries, broken=2, first=first)))
    assert "a.example refused it" in output
    assert "b.example is down" in output
    assert "the same" not in output


def test_a_check_that_found_what_the_agent_reports_does_not_repeat_it() -> None:
    """It refers to the agent. Its name stands apart from the text, and 80 columns are enough."""
    why = "this machine has no service account " + "at all " * 20
    same = {"code": "google_credentials_missing", "fix": f"attach {'one ' * 20}now", "needs": "admin"}
    identity, other = (
        link("google identity", "broken", why, **same),
        link("login", "broken", why, **{**same, "fix": "x"}),
    )
    agent = link("agent", "broken", f"reports retrying: {why}", **same)
    lines = list(report_lines(Terminal(80), document(agent, identity, other)))
    assert max(map(len, lines)) <= 80
    (at,) = [number for number, line in enumerate(lines) if "google identity" in line]
    assert lines[at] == "  BROKEN   google identity the same as the agent reports"
    assert lines[at + 1].startswith("  BROKEN   login         this machine has no service account at all")
    longer = link("in use", "broken", f"{why}; user robot", **same)
    shown = "\n".join(report_lines(Terminal(2000), document(agent, longer)))
    assert shown.count(same["fix"]) == 2, "at the agent's report, and in the last line"
    assert "at all ; user robot" in shown


def test_several_faults_of_one_kind_are_each_shown_once() -> None:
    """At the agent's report. The checks refer to it, and only the first one has the fix."""
    fault = {"code": "secret_invalid", "fix": "fix the secret", "needs": "user"}
    found = [
        link(name, "broken", f"secret {which} is wrong", **fault) for name in ("secrets", "agent") for which in "abb"
    ]
    shown = "\n".join(report_lines(Terminal(80), document(links=found, first={"hostname": None, **found[0]})))
    assert [shown.count(f"secret {which} is wrong") for which in "ab"] == [1, 1]
    assert shown.count("the same as the agent reports") == 4
    assert shown.count("→ fix the secret") == 1


def test_a_fault_of_this_machine_is_not_repeated_for_a_registry() -> None:
    """The agent reports it about the registry, and refers to the check that shows it."""
    fault = {"code": "config_unwritable", "fix": "free space", "needs": "user"}
    configuration = link("configuration", "broken", "the disk is full", **fault)
    agent = link("agent", "broken", "reports retrying: the disk is full", **fault)
    first = {"hostname": "ghcr.io", "name": "agent", "fix": "free space"}
    shown = list(report_lines(Terminal(80), document(agent, links=[configuration], first=first)))
    assert "  BROKEN   agent         the same as the check configuration" in shown
    assert [line.strip() for line in shown].count("→ free space (config_unwritable, needs you)") == 1


def test_a_failed_check_stands_out() -> None:
    """It is in capitals, with a fix and who has to act. The last line shows where to start. 80 columns are enough."""
    lines = list(
        report_lines(
            Terminal(80), document(link("dns", "ok"), REJECTED, link("pull", "not reached", "there is no login"))
        )
    )
    assert max(map(len, lines)) <= 80
    (at,) = [line for line in lines if "BROKEN" in line]
    assert at.split()[:2] == ["BROKEN", "login"]
    assert any("→ update it (login_rejected, needs you)" in line for line in lines)
    assert lines[-1] == "1 check failed. Start with ghcr.io: login: update it"


def test_checks_not_reached_for_the_same_reason_share_a_line() -> None:
    """A check with a reason of its own keeps its own line."""
    names = ("tcp", "proxy", "tls")
    late = [link(name, "not reached", "an earlier link is broken") for name in names]
    lines = list(report_lines(Terminal(80), document(*late, link("login", "not reached", "there is no docker CLI"))))
    assert any("tcp, proxy, tls: not reached: an earlier link is broken" in line for line in lines)
    assert any("not reached: there is no docker CLI" in line for line in lines)


def test_colours_do_not_change_the_text() -> None:
    """Without the colours, the lines are the same."""
    plain, painted = (list(report_lines(Terminal(80, colours), document(REJECTED))) for colours in (False, True))
    assert any("\x1b[31mBROKEN" in line for line in painted)
    for code in ("31", "32", "1", "2", "0"):
        painted = [line.replace(f"\x1b[{code}m", "") for line in painted]
    assert painted == plain


def test_outside_text_cannot_drive_the_terminal() -> None:
    """Control characters in any field become spaces."""
    evil = "\x1b]0;owned\x07\u202e"
    bad = link(evil, "broken", evil, code=evil, fix=evil, needs="user")
    shown = "\n".join(report_lines(Terminal(80), document(bad, docker_config=evil)))
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_all_is_well_only_if_there_is_a_login() -> None:
    """Not if there is no secret to log in with."""
    assert list(report_lines(Terminal(80), document(link("dns", "ok"))))[-1] == "all is well: no check failed"
    bare = list(report_lines(Terminal(80), document(registries=[])))
    assert bare[-1] == "no check failed, but there is no registry secret, so there is no login"


async def test_a_terminal_without_unicode() -> None:
    """It loses only the characters that it cannot show. The report is still printed."""
    answer = await command("doctor", "--set", 'secrets.directories=["/nowhere"]', PYTHONIOENCODING="ascii")
    assert "no check failed" in answer.out or "Start with" in answer.out
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("arguments", [("--nonsense",), ("ghcr.io/UPPER",), ("a b",), ("one", "two"), ("--set", "x")])
async def test_wrong_usage_is_64(arguments: tuple[str, ...]) -> None:
    """The message shows what is expected."""
    answer = await command("doctor", *arguments)
    assert (answer.code, answer.out) == (64, "")
    assert "registry-agent" in answer.err


async def test_succeeds_without_secrets_and_host(tmp_path: Path) -> None:
    """There is nothing to check. The report names the directories that were searched for secrets."""
    answer = await command("doctor", "--json", "--set", 'secrets.directories=["/nowhere"]', HOME=str(tmp_path))
    report = json.loads(answer.out)
    assert (answer.code, report["outcome"], report["registries"]) == (0, "ok", [])
    (secrets,) = [each for each in report["links"] if each["name"] == "secrets"]
    assert "/nowhere" in secrets["seen"]


def test_reports_a_home_that_cannot_be_entered(tmp_path: Path) -> None:
    """The configuration check fails and names the directory. Nothing is created, and all other checks still run."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    variables = {"HOME": str(closed / "home"), "RUNTIME_DIRECTORY": str(closed / "run"), "PATH": os.environ["PATH"]}
    words = [sys.executable, "-m", "agent", "doctor", "--json", "--set", 'secrets.directories=["/nowhere"]']
    # Without these capabilities, the permissions of a directory hold for root too.
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run([*powerless, *words], env=variables, capture_output=True, text=True, check=False, timeout=60)
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr, report["first"]["name"]) == (2, "", "configuration")
    found = [each["seen"] for each in report["links"] if each["name"] == "configuration"]
    assert any(f"permission denied (for user {os.geteuid()}): {closed}" in seen for seen in found)


async def test_an_invalid_setting_is_a_failed_check(tmp_path: Path) -> None:
    """It is the same error as in check-config. All other checks still run."""
    answer = await command("doctor", "--json", "--set", "log.level=loud", HOME=str(tmp_path))
    report = json.loads(answer.out)
    assert answer.code == 2
    assert report["first"]["name"] == "settings"
    assert report["links"][0]["code"] == "settings_invalid"

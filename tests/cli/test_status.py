"""`registry-agent status`."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.cli.status_view import duration, status_lines
from agent.cli.terminal import Terminal
from agent.edge.paths import user_name
from agent.model.problems.registry import LoginRejected, RegistryDns
from agent.model.status import Engine, Phase, RegistryStatus, State, Tool, Tools
from tests.cli.commands import Ended, command, ended, start, start_with_reader
from tests.fakes import EPOCH
from tests.web.serving import Serving, serving

ECR = "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com"
ROW = RegistryStatus(ECR, "team-ecr", "project", "ecr", EPOCH, State.LOGGED_IN, expires_at=EPOCH + timedelta(hours=11))


def busy(rig: Serving) -> None:
    board = rig.board
    board.set_tools(Tools(Tool("/usr/bin/docker", "28.2.2"), Tool(), Engine.REACHABLE))
    board.put_registry(replace(ROW, renew_at=EPOCH + timedelta(hours=5)))
    again = EPOCH + timedelta(minutes=29)
    rejected = replace(ROW, hostname="ghcr.io", state=State.REJECTED, last_error="no", expires_at=None)
    board.put_registry(replace(rejected, next_attempt_at=again))
    board.put_registry(replace(ROW, hostname="old.example", state=State.SKIPPED, last_error="disabled in the secret"))
    message = "ghcr.io refused the user name or password of secret team-ghcr, which is rather a long name for a secret"
    board.report("ghcr.io", [LoginRejected("ghcr.io", message)])
    board.set_phase(Phase.RUNNING)


async def test_the_status_fits_80_columns() -> None:
    """It shows each registry's full name, state, expiry and next step, and each warning with its hint."""
    async with serving() as rig:
        busy(rig)
        answer = await command("status", socket=rig.socket)
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "error, action needed: 1 of 3 registries logged in, 1 error"
    assert ECR in lines
    assert any(line.split() == ["logged", "in", "in", "11", "h", "renews", "in", "5", "h"] for line in lines)
    assert any(line.startswith("ghcr.io") and line.endswith("tries in 29 min") for line in lines)
    assert "  disabled in the secret" in lines
    action_needed = lines[lines.index("ACTION NEEDED") :]
    assert action_needed[1].startswith("  error: ghcr.io refused the user name")
    assert any(line.startswith("    → update the secret's user name or password") for line in action_needed)
    assert "    (login_rejected, for 0 s)" in action_needed
    assert "\x1b" not in answer.out


async def test_json_prints_the_status_document() -> None:
    """`--json` prints what `GET /v1/status` returns."""
    async with serving() as rig:
        busy(rig)
        answer = await command("status", "--json", socket=rig.socket)
        assert json.loads(answer.out) == rig.board.snapshot.as_json(rig.clock.now(), 0.0)


@pytest.mark.parametrize("args", [(), ("--json",), ("--wait", "--timeout", "0.3")])
async def test_exits_with_1_if_there_is_no_agent(args: tuple[str, ...]) -> None:
    """The message names the sockets that it tried, and the command that starts an agent."""
    answer = await command("status", *args, HOME="/proc/nonexistent")
    assert (answer.code, answer.out) == (1, "")
    assert "/proc/nonexistent/agent.sock: does not exist" in answer.err
    assert "registry-agent run" in answer.err


async def test_user_with_ones_own_name_finds_ones_own_agent() -> None:
    """`--user` with your own name tries the same sockets as without `--user`."""
    async with serving() as rig:
        answer = await command("status", "--user", user_name(), RUNTIME_DIRECTORY=str(rig.directory))
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize(
    ("user", "code", "hint"),
    [
        ("daemon", 1, "start it: `sudo systemctl start registry-agent@daemon`"),
        ("nobody-such", 1, "check the user name: this machine has no user nobody-such"),
        ("../../etc", 64, "registry-agent status: argument --user: '../../etc' is not a user name"),
        ("", 64, "registry-agent status: argument --user: '' is not a user name"),
    ],
)
async def test_the_advice_for_another_user_is_about_that_user(user: str, code: int, hint: str) -> None:
    """`registry-agent run` would start one's own agent, and no unit runs for a user who does not exist."""
    answer = await command("status", "--user", user)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.splitlines()[-1] == hint


async def test_exits_with_1_for_a_dead_socket_and_a_silent_agent() -> None:
    """The message tells apart a socket without a listener and an agent that does not answer within `--timeout`."""
    with tempfile.TemporaryDirectory(prefix="ra-") as directory, socket.socket(socket.AF_UNIX) as silent:
        path = Path(directory, "agent.sock")
        silent.bind(str(path))
        dead = await command("status", socket=path)
        assert (dead.code, "nothing is listening" in dead.err) == (1, True)
        silent.listen()
        for args in ((), ("--wait",)):
            answer = await command("status", *args, "--timeout", "0.2", socket=path)
            assert (answer.code, "did not answer within" in answer.err) == (1, True)


async def test_strict_reports_the_condition_in_its_exit_code() -> None:
    """The exit code is 0 if the condition is healthy, else 2."""
    async with serving() as rig:
        assert (await command("status", "--strict", socket=rig.socket)).code == 0
        rig.board.report("x", [RegistryDns("ghcr.io", "it does not resolve")])
        assert (await command("status", "--strict", socket=rig.socket)).code == 2


async def test_wait_ends_with_the_first_pass() -> None:
    """It shows what it waits for, and prints the first document with phase `running`."""
    async with serving() as rig:
        rig.log_in("ghcr.io", State.PENDING)
        waiting = await start("status", "--wait", "--json", "--socket", str(rig.socket))
        assert waiting.stderr is not None
        assert b"waiting for ghcr.io" in await waiting.stderr.readline()
        rig.log_in("ghcr.io")
        rig.board.set_phase(Phase.RUNNING)
        answer = await ended(waiting)
        assert (answer.code, json.loads(answer.out)["phase"]) == (0, "running")


async def test_wait_names_at_most_three_registries() -> None:
    """It names three, and counts the others and those already tried."""
    async with serving() as rig:
        for number in range(5):
            rig.log_in(f"{number}.example", State.PENDING)
        rig.log_in("done.example")
        answer = await command("status", "--wait", "--timeout", "0.3", socket=rig.socket)
    assert "waiting for 0.example, 1.example, 2.example and 2 more (1 of 6 tried)" in answer.err


async def test_wait_gives_up_after_its_timeout() -> None:
    """It exits with 1 and names the registries that were not tried."""
    async with serving() as rig:
        rig.log_in("slow.example", State.PENDING)
        answer = await command("status", "--wait", "--timeout", "0.3", socket=rig.socket)
        assert (answer.code, answer.out) == (1, "")
        assert "did not finish within 0.3 s; it is waiting for slow.example" in answer.err


async def next_document(watching: asyncio.subprocess.Process) -> dict[str, Any]:
    assert watching.stdout is not None
    document: dict[str, Any] = json.loads(await watching.stdout.readline())
    return document


async def test_watch_shows_each_change_until_ctrl_c() -> None:
    """With `--json` each document is one line. It survives a restart of the agent. After Ctrl-C it exits with 0."""
    async with serving() as rig:
        watching = await start("status", "--watch", "--json", "--socket", str(rig.socket))
        assert (await next_document(watching))["revision"] == 0
        rig.log_in()
        assert (await next_document(watching))["revision"] == 1
        await rig.server.close()
        rig.board.set_phase(Phase.RUNNING)
        await rig.server.start()
        assert (await next_document(watching))["phase"] == "running"
        watching.send_signal(signal.SIGINT)
        assert (await ended(watching)).code == 0


async def test_a_closed_pipe_is_not_an_error() -> None:
    """`status --watch | head` ends with 0 and without a message."""
    async with serving() as rig:
        watching, output = await start_with_reader("status", "--watch", "--json", "--socket", str(rig.socket))
        with output:
            await asyncio.to_thread(output.readline)
        for number in range(3):
            rig.log_in(f"{number}.example")
            await asyncio.sleep(0)
        assert (await ended(watching)) == Ended(0, "", "")


def document(**row: object) -> dict[str, Any]:
    return {
        "condition": "error",
        "summary": "x",
        "phase": "running",
        "now": "2026-01-01T00:00:00Z",
        "registries": [{"hostname": "ghcr.io", "state": "rejected", **row}],
        "warnings": [],
    }


WARNING = {
    "code": "login_rejected",
    "severity": "error",
    "subject": "ghcr.io",
    "message": "ghcr.io refused the user name or password of secret team-ghcr",
    "hint": "update the secret's user name or password; an access token may have expired or lack the right to read",
    "needs": "user",
    "first_seen": "2025-12-31T23:55:00Z",
    "last_seen": "2026-01-01T00:00:00Z",
    "count": 3,
}


def with_warnings(*changes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**document(), "warnings": [{**WARNING, **change} for change in changes], **fields}


@pytest.mark.parametrize(
    ("shown", "first"),
    [
        (with_warnings(condition="healthy"), "all is well: x"),
        (with_warnings({"severity": "notice"}, condition="healthy"), "all is well: x"),
        (with_warnings({}), "error, action needed: x"),
        (with_warnings({"needs": "admin"}), "error, admin action needed: x"),
        (with_warnings({"needs": "admin"}, {}), "error, action needed, admin action needed: x"),
        (with_warnings({"needs": "nobody"}, {}), "error, action needed: x"),
        (
            with_warnings({"needs": "nobody", "severity": "warning"}, condition="degraded"),
            "degraded, the agent is retrying: x",
        ),
        (with_warnings({"needs": "a robot"}), "error, action needed: x"),
        (with_warnings(condition="healthy", phase="starting"), "starting, the first pass is still running: x"),
        (with_warnings({}, phase="starting"), "error, action needed, the first pass is still running: x"),
        (with_warnings(condition="healthy", phase="stopping"), "stopping, the agent is shutting down: x"),
    ],
)
def test_the_first_line_shows_the_condition_and_who_has_to_act(shown: dict[str, Any], first: str) -> None:
    """The first line alone is enough to know whether to act."""
    assert status_lines(Terminal(80), shown)[0] == first


@pytest.mark.parametrize(
    ("docker", "shown"),
    [
        ({"present": True, "version": "28.2.2", "engine": "reachable"}, "docker 28.2.2, engine reachable"),
        ({"present": False, "engine": "unreachable"}, "no docker"),
        ({"present": True, "version": "5.4.2", "engine": "unreachable", "flavor": "podman"}, "podman 5.4.2"),
        ({"present": False, "engine": "unreachable", "flavor": "podman"}, "podman 5.4.2"),
    ],
)
def test_shows_what_logs_in(docker: dict[str, Any], shown: str) -> None:
    """Podman is not called docker, also if that is the name of its program. It needs no engine."""
    tools = {"docker": docker, "podman": {"version": "5.4.2"}}
    head = " ".join(status_lines(Terminal(200), with_warnings(tools=tools))[:2])
    assert head.endswith(f" · {shown}")


def test_warnings_are_grouped_by_who_has_to_act() -> None:
    """The reader's own warnings come first, notices last. Within a group the most severe come first."""
    shown = with_warnings(
        {"severity": "notice", "message": "n"},
        {"needs": "nobody", "message": "waits"},
        {"severity": "warning", "message": "less severe"},
        {"message": "more severe"},
        {"needs": "admin", "message": "other"},
    )
    lines = [
        line.strip()
        for line in status_lines(Terminal(80), shown)
        if not line.lstrip().startswith(("→", "expired", "concerns", "("))
    ]
    groups = [line for line in lines[lines.index("ACTION NEEDED") :] if line]
    assert groups == [
        "ACTION NEEDED",
        "error: more severe",
        "warning: less severe",
        "ADMIN ACTION NEEDED (admins of the platform, the registry or the cloud account)",
        "error: other",
        "NO ACTION NEEDED: THE AGENT IS RETRYING",
        "error: waits",
        "GOOD TO KNOW",
        "notice: n",
    ]


def test_the_same_fault_of_several_registries_is_shown_once() -> None:
    """With the list of the registries. Another fault keeps its own place."""
    silent = [
        {"code": "registry_timeout", "subject": host, "message": f"{host} did not answer", "hint": f"ping {host}"}
        for host in ("a.example", "b.example", "c.example")
    ]
    lines = [line.strip() for line in status_lines(Terminal(80), with_warnings(*silent, {"message": "it is down"}))]
    assert [line for line in lines if line.startswith("error: ")] == [
        "error: a.example did not answer",
        "error: it is down",
    ]
    assert lines.count("→ ping a.example") == 1
    assert lines.count("the same for b.example, c.example") == 1


def test_a_fault_whose_message_names_no_registry_is_shown_with_all_of_them() -> None:
    """A cloud's answer concerns each registry that waits for its token."""
    hosts = [{"message": "this machine has no service account", "subject": host} for host in ("a.example", "b.example")]
    lines = [line.strip() for line in status_lines(Terminal(80), with_warnings(*hosts))]
    assert lines.count("concerns a.example, b.example") == 1


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("state", [state.value for state in State])
@pytest.mark.parametrize("hours", ["01:59:59", "12:00:00"])
def test_no_line_is_wider_than_the_terminal(width: int, state: str, hours: str) -> None:
    """This holds for every state and time, and for names as long as ECR's."""
    later = f"2026-01-01T{hours}Z"
    row = {"hostname": ECR, "state": state, "expires_at": later, "renew_at": later}
    for more in ({}, {"next_attempt_at": later}, {"expires_at": "2025-12-31T22:00:01Z"}, {"last_error": "no " * 50}):
        shown = with_warnings({}, {"needs": "admin", "message": "why " * 50}, registries=[{**row, **more}])
        assert max(map(len, status_lines(Terminal(width), shown))) <= width


def test_shows_that_there_is_no_secret() -> None:
    """If a pull fails, "healthy" alone would not explain why: the agent has nothing to log in with."""
    assert "pulls are anonymous" in " ".join(status_lines(Terminal(80), with_warnings(registries=[])))


def test_colours_do_not_change_the_text() -> None:
    """Without the colours, the lines are the same, the table's widths included."""
    plain, painted = (status_lines(Terminal(80, colours), document()) for colours in (False, True))
    assert "\x1b[31mrejected\x1b[0m" in "\n".join(painted)
    assert [line.replace("\x1b[31m", "").replace("\x1b[0m", "") for line in painted] == plain


@pytest.mark.parametrize("width", [80, 120])
def test_a_name_is_shortened_only_if_it_is_longer_than_a_line(width: int) -> None:
    """It is shortened in the middle, so both ends stay."""
    host = "begin." + "x" * 200 + ".end"
    lines = status_lines(Terminal(width), document(hostname=host))
    (cut,) = [line for line in lines if line.startswith("begin.")]
    assert len(cut) == width
    assert cut.endswith(".end")
    assert "…" in cut


def test_outside_text_cannot_drive_the_terminal() -> None:
    """Control characters in any field become spaces."""
    evil = "\x1b]0;owned\x07\u202e"
    lines = status_lines(Terminal(80), {**document(hostname=f"{evil}host", last_error=evil), "summary": evil})
    assert not {"\x1b", "\x07", "\u202e"} & set("".join(lines))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (200000, "2 d")],
)
def test_durations_in_words(seconds: int, words: str) -> None:
    """A duration is shown in the largest unit that fits at least twice."""
    assert duration(timedelta(seconds=seconds)) == words


def test_it_starts_fast() -> None:
    """The commands load none of the agent's large libraries."""
    code = (
        "import sys, agent.cli.status, agent.cli.renew;"
        "sys.exit(bool({'aiohttp', 'structlog', 'asyncio', 'tenacity', 'botocore'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0

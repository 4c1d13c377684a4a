"""`POST /v1/credential`: on the Unix socket only, and only for the agent's own user and root."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

from agent.helper import docker_credential_registry_agent as program
from agent.model.helper_reply import HelperReply, not_found
from agent.web import credential
from tests.web.serving import Serving, serving

PATH = "/v1/credential"
BODY = b'{"Secret":"s3cret"}\n'


class Answers:
    """Knows ghcr.io, and records the requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []

    async def answer(self, action: str, body: str, pid: int) -> HelperReply:
        self.asked.append((action, body, pid))
        return HelperReply("served", body=BODY) if body == "ghcr.io" else not_found()


async def test_answers_on_the_socket() -> None:
    """With exactly the bytes that the program prints. Without an action, it is a `get`."""
    answers = Answers()
    async with serving() as rig, rig.on_socket() as client:
        rig.credential_route.connect(answers.answer)
        async with client.post(PATH, data=b"ghcr.io") as response:
            assert (response.status, await response.read()) == (HTTPStatus.OK, BODY)
        async with client.post(PATH, params={"action": "store"}, data=b"x") as response:
            assert response.status == HTTPStatus.NOT_FOUND
    assert answers.asked == [("get", "ghcr.io", os.getpid()), ("store", "x", os.getpid())]


@pytest.mark.parametrize("token", [None, "s3cret", ""], ids=["no token", "a token", "an unusable token"])
@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer guess"}, {"Authorization": "Bearer s3cret"}])
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
async def test_does_not_exist_over_tcp(token: str | None, sent: dict[str, str], method: str) -> None:
    """Not even with the token: the answer is that for any path that does not exist, and asks for no token."""
    answers = Answers()
    async with serving() as rig, rig.on_tcp() as client:
        rig.credential_route.connect(answers.answer)
        async with client.get("/v1/nothing") as nothing:
            expected = (HTTPStatus.NOT_FOUND, (await nothing.text()).replace("/v1/nothing", PATH))
        async with client.get("/openapi.json") as response:
            assert PATH not in (await response.json())["paths"]
        token_file = rig.use_token(token) if token is not None else None
        rig.status = replace(rig.status, token_file=token_file, allow_origins=("https://page.example",))
        headers = {**sent, "Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        async with client.request(method, PATH, data=b"ghcr.io", headers=headers) as response:
            assert (response.status, await response.text()) == expected
    assert answers.asked == []


async def test_a_request_waits_until_the_agent_is_loaded() -> None:
    answers = Answers()
    async with serving() as rig, rig.on_socket() as client:
        asking = asyncio.create_task(client.post(PATH, data=b"ghcr.io"))
        async with client.get("/livez") as alive:
            assert alive.status == HTTPStatus.OK
        assert not asking.done()
        rig.credential_route.connect(answers.answer)
        assert await (await asking).read() == BODY


def outcomes(rig: Serving) -> list[str]:
    """What the metric of all requests counts."""
    return [str(fields["outcome"]) for _, event, fields in rig.log.events if event == "credential.answered"]


async def raw(rig: Serving, request: bytes) -> bytes:
    """Send this on a connection of its own, and return the answer."""
    reader, writer = await asyncio.open_unix_connection(str(rig.socket))
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    answer = head + await reader.readline()
    writer.close()
    return answer


async def test_more_programs_than_connections_all_get_an_answer() -> None:
    """Those for whom there is no place are told so at once, instead of being cut off. The others get their login."""
    request = b"POST /v1/credential HTTP/1.0\r\nHost: localhost\r\nContent-Length: 7\r\n\r\nghcr.io"
    async with serving() as rig:
        asking = [asyncio.create_task(raw(rig, request)) for _ in range(400)]
        answers = list[bytes]()
        for answer in asyncio.as_completed(asking):
            answers.append(await answer)
            if len(answers) == 100:
                rig.credential_route.connect(Answers().answer)
    busy = [answer for answer in answers if answer.startswith(b"HTTP/1.0 429 ")]
    served = [answer for answer in answers if answer.endswith(BODY)]
    assert len(busy) + len(served) == 400
    assert len(busy) >= 100
    assert len(served) >= 100
    assert busy[0].endswith(b"too many programs wait for one; try again in a moment\n")
    assert outcomes(rig) == ["busy"] * len(busy), "each is counted; the others are counted with their registry"


async def test_a_request_without_its_body_gets_the_true_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential, "_BODY_S", 0.05)
    async with serving() as rig:
        rig.credential_route.connect(Answers().answer)
        answer = await raw(rig, b"POST /v1/credential HTTP/1.0\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 503 ")
    assert b"the request was not complete after" in answer
    assert outcomes(rig) == ["unavailable"]


async def test_a_request_to_an_agent_that_does_not_get_ready_is_answered_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(credential, "_START_S", 0.05)
    async with serving() as rig, rig.on_socket() as client, client.post(PATH, data=b"ghcr.io") as response:
        assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
        assert b"still starting" in await response.read()
    assert outcomes(rig) == ["unavailable"]


async def test_the_program_and_the_agent_allow_requests_and_answers_of_the_same_size() -> None:
    """A large password can be stored, and the list of thousands of registries is printed whole."""
    listed, asked = b"x" * 400_000 + b"\n", list[int]()

    async def answer(action: str, body: str, _pid: int) -> HelperReply:
        asked.append(len(body))
        return HelperReply("listed", body=listed if action == "list" else b"")

    async with serving() as rig:
        rig.credential_route.connect(answer)
        stored = await as_user(rig, os.geteuid(), action="store", text=b"x" * 65_000)
        done = await as_user(rig, os.geteuid(), action="list")
    assert (stored.returncode, stored.stdout, stored.stderr) == (0, b"", b"")
    assert (done.returncode, done.stdout, done.stderr) == (0, listed, b"")
    assert asked == [65_000, 0]


async def test_a_request_that_is_too_long_is_refused() -> None:
    async with serving() as rig, rig.on_socket() as client:
        rig.credential_route.connect(Answers().answer)
        async with client.post(PATH, data=b"x" * 70_000) as response:
            assert (response.status, await response.read()) == (HTTPStatus.CONFLICT, b"the request is too long\n")
    assert outcomes(rig) == ["refused"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can connect as another user")
@pytest.mark.parametrize("before", [(), ("unshare", "--user", "--map-root-user")], ids=["as itself", "as root inside"])
async def test_another_user_gets_nothing(before: tuple[str, ...]) -> None:
    """Although the mode of the socket's file admits a group that may read the status.

    A user is root in a container with mapped users. The agent sees the user outside.
    """
    answers = Answers()
    async with serving() as rig:
        rig.credential_route.connect(answers.answer)
        rig.directory.chmod(0o755)
        rig.socket.chmod(0o666)
        done = await as_user(rig, 65533, *before)
    assert (done.returncode, done.stdout) == (1, done.stderr)
    assert done.stdout.startswith(b"registry-agent gives logins only to user ")
    assert answers.asked == []
    assert [fields["uid"] for _, event, fields in rig.log.events if event == "credential.forbidden"] == [65533]


async def test_the_program_gets_the_login_over_a_real_socket() -> None:
    async with serving() as rig:
        rig.credential_route.connect(Answers().answer)
        done = await as_user(rig, os.geteuid())
    assert (done.returncode, done.stdout, done.stderr) == (0, BODY, b"")


async def as_user(
    rig: Serving, uid: int, *before: str, action: str = "get", text: bytes = b"ghcr.io"
) -> subprocess.CompletedProcess[bytes]:
    """Run a copy of the program as this user, who cannot read the checkout."""
    python = "/usr/bin/python3" if uid != os.geteuid() else sys.executable
    copy = rig.directory / "program"
    copy.write_bytes(Path(program.__file__).read_bytes())
    child = await asyncio.create_subprocess_exec(
        *(*before, python, "-ISE", str(copy), action),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"REGISTRY_AGENT_SOCKET": str(rig.socket)},
        user=uid,
    )
    output, errors = await child.communicate(text)
    return subprocess.CompletedProcess([], child.returncode or 0, output, errors)

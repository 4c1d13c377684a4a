"""The agent reads config.json as the real docker CLIs do: the same files are accepted, and the same logins are found.

A stub of the engine shows the login that `docker pull` sends.
"""

import asyncio
import base64
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from agent.model.docker_config import ConfigError, Document, Entry, find, parse_config, parse_helper_answer, store_of
from agent.model.docker_programs import numbers, own_version
from tests.model.config_corpus import corpus
from tests.model.config_file import HELPER, HOST, LOGIN, File, file
from tests.prepare.steps import DOCKER_CLIS
from tests.rig.needs import prepared
from tests.rig.waiting import PATIENCE_S
from tests.services.test_docker_versions import FETCHED, clis

CORPUS: Final = corpus()
PROGRAMS: Final = [path for path in clis() if path == clis()[0] or path.is_relative_to(FETCHED)]
"""The first one on PATH, and those of each release."""
HELPER_LOGIN: Final = b'{"ServerURL": "x", "Username": "helper", "Secret": "from the helper"}'
VERSIONS: Final = ((20, 10), (26, 1), (28, 5), (29,))
_AT_ONCE: Final = 4
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_REFUSAL: Final = "no such image"


class Engine:
    """Answers every `docker pull` with an error, and keeps the login that came with it, by image."""

    def __init__(self) -> None:
        self.logins: Final[dict[str, str]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        if not request.path.endswith("/images/create"):
            return web.Response(text="OK", headers={"Api-Version": "1.41", "Ostype": "linux"})
        image = request.query["fromImage"].rpartition("/")[2]
        self.logins[image] = request.headers.get("X-Registry-Auth", "")
        return web.json_response({"message": _REFUSAL}, status=404)


@dataclass(frozen=True, slots=True)
class Read:
    """What the CLI printed, and the header with the login that it sent. None if it sent no request."""

    stderr: bytes
    header: str | None

    @property
    def accepted(self) -> bool:
        return b"WARNING: Error" not in self.stderr

    @property
    def login(self) -> tuple[str, str, bool] | None:
        """User name, secret, and whether it is a token. The engine prefers a registry token, then an identity token."""
        login = json.loads(base64.urlsafe_b64decode(self.header or "e30="))
        token = login.get("registrytoken") or login.get("identitytoken")
        username, password = login.get("username", ""), login.get("password", "")
        return (username, token or password, bool(token)) if username or token or password else None


class Docker:
    """One docker CLI, which reaches only the stub of the engine and the helper of the tests."""

    def __init__(self, program: Path, engine: Engine, directory: Path) -> None:
        self._program: Final = program
        self._engine: Final = engine
        self._directory: Final = directory
        self._env: Final = {
            "PATH": str(directory / "bin"),
            "HOME": str(directory),
            "DOCKER_HOST": f"unix://{directory}/engine",
        }
        self._slots: Final = asyncio.Semaphore(_AT_ONCE)

    async def version(self) -> tuple[int, ...] | None:
        version = own_version((await self._run("--version")).stdout)
        return numbers(version) if version else None

    async def read(self, number: int, file: File) -> Read:
        """Pull an image of `HOST` with this file as config.json."""
        config = self._directory / str(number)
        config.mkdir()
        (config / "config.json").write_bytes(file.data)
        done = await self._run("--config", str(config), "pull", f"{HOST}/{number}")
        shutil.rmtree(config)
        return Read(done.stderr, self._engine.logins.get(str(number)))

    async def _run(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        def run() -> subprocess.CompletedProcess[bytes]:
            command: list[str | Path] = [self._program, *args]
            null = subprocess.DEVNULL
            return subprocess.run(
                command, env=self._env, stdin=null, capture_output=True, timeout=PATIENCE_S, check=False
            )

        async with self._slots:
            return await asyncio.to_thread(run)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    helper = tmp_path / "bin" / f"docker-credential-{HELPER}"
    helper.parent.mkdir()
    helper.write_text(f"#!/bin/sh\nprintf %s '{HELPER_LOGIN.decode()}'\n")
    helper.chmod(0o755)
    engine, app = Engine(), web.Application()
    app.router.add_route("*", "/{path:.*}", engine.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine")).start()
    yield engine
    await runner.cleanup()


def expected(document: Document) -> tuple[str, str, bool] | None:
    """The login that Docker uses, according to the agent. If a helper's program is missing, Docker asks the file."""
    found = find(document, HOST)
    login: Entry | None = found[1] if found else None
    if store_of(document, HOST) == HELPER:
        login = parse_helper_answer(HELPER_LOGIN)
    if login is None:
        return None
    # Bytes that are not UTF-8 cannot be in the header, which is JSON.
    username, secret = (_SURROGATES.sub("\ufffd", text) for text in (login.username, login.secret.reveal()))
    return username, secret, login.identity_token


def part() -> list[File]:
    """A fifth of the files, and all that not every version accepts."""
    disputed = [file for file in CORPUS if len({accepts(file, version) for version in VERSIONS}) > 1]
    return list(dict.fromkeys([*CORPUS[::5], *disputed]))


def accepts(file: File, version: tuple[int, ...]) -> bool:
    with suppress(ConfigError):
        parse_config(file.data, version)
        return True
    return False


def disagreement(file: File, read: Read, version: tuple[int, ...]) -> str | None:
    try:
        document = parse_config(file.data, version)
    except ConfigError as error:
        return f"{file.name}: docker accepts it, the agent: {error}" if read.accepted else None
    if not read.accepted or read.header is None:
        return f"{file.name}: the agent accepts it, docker does not: {read.stderr!r}"
    wanted = expected(document)
    return None if wanted == read.login else f"{file.name}: the agent finds {wanted}, docker sends {read.login}"


async def started(program: Path, engine: Engine, directory: Path) -> tuple[Docker, tuple[int, ...]]:
    """The CLI and its version. Skips the test if it is missing, or not Docker's own."""
    if program.is_relative_to(FETCHED):
        prepared(DOCKER_CLIS)
    docker = Docker(program, engine, directory)
    version = await docker.version()
    if version is None:
        pytest.skip(f"{program} is not Docker's own CLI")
    return docker, version


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
@pytest.mark.parametrize("files", [part(), pytest.param(CORPUS, marks=pytest.mark.torture)], ids=["part", "all"])
async def test_docker_and_the_agent_read_the_same(
    program: Path, files: list[File], engine: Engine, tmp_path: Path
) -> None:
    """They agree whether docker accepts a file, and which login it uses."""
    docker, version = await started(program, engine, tmp_path)
    files = [file for file in files if file.since <= version]
    assert len(files) > 100
    reads = await asyncio.gather(*(docker.read(number, file) for number, file in enumerate(files)))
    found = [disagreement(file, read, version) for file, read in zip(files, reads, strict=True)]
    assert [each for each in found if each] == []
    verdicts = [read.accepted for read in reads]
    assert min(verdicts.count(True), verdicts.count(False)) > 50, "the corpus has both kinds"


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
async def test_pulls_are_anonymous_if_docker_rejects_the_file(program: Path, engine: Engine, tmp_path: Path) -> None:
    """Neither a file that is not JSON nor one with a wrong type gives docker a login. So it is a fault to report."""
    docker, version = await started(program, engine, tmp_path)
    rejected = [file("cut", {"auths": {HOST: LOGIN}}), file("psFormat", {"auths": {HOST: LOGIN}, "psFormat": True})]
    rejected[0] = replace(rejected[0], data=rejected[0].data[:-1])
    for number, broken in enumerate(rejected):
        read = await docker.read(number, broken)
        assert (read.accepted, read.login) == (False, None), broken.name
        assert not accepts(broken, version)

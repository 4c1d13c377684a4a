"""The agent's own words on every fault of the table, from two runs of the agent."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

from tests.rig.agent import Agent, Status
from tests.rig.needs import need
from tests.words import names
from tests.words.cases import BROKEN_CONFIG, CASES, ECR_LOGIN, PERSONS_ENTRY, Case, Step
from tests.words.others import cleaned, tell
from tests.words.page import Told, Words, write
from tests.words.scene import Scene

Measured = dict[tuple[str, str], Told]
"""The key is the code and the heading."""

WRITING: Final = "WORDS_DOCUMENT" in os.environ
_ALL_S: Final = 40.0


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Return the result of every case. The other tools run only if the page is written."""
    need("ip", "nsenter", "setpriv", "docker", "aws", "docker-credential-ecr-login")
    measured: Measured = {}
    with ExitStack() as stack:
        scene = Scene(tmp_path_factory.mktemp("words"), stack)
        _with_programs(scene, measured)
        _without_programs(scene, measured)
    if WRITING:
        told: dict[str, list[Told]] = {}
        for (code, _), each in measured.items():
            told.setdefault(code, []).append(each)
        write(told)
    return measured


def _with_programs(scene: Scene, measured: Measured) -> None:
    scene.silent_engine()
    agent = scene.new_agent(DOCKER_HOST=scene.engine)
    config = agent.docker / "config.json"
    config.write_text(ECR_LOGIN)
    scene.give_all(agent)
    with _running(agent):
        agent.wait_logged_in(names.PERSONAL, names.ecr(names.ENDING), timeout=_ALL_S)
        scene.end_renewals()
        document = agent.docker_config()
        document["auths"][names.PERSONAL] = PERSONS_ENTRY
        config.write_text(json.dumps(document))
        _measure(scene, agent, Step.FROM_THE_START, measured)

        scene.web_identity.unlink()
        _measure(scene, agent, Step.TOKEN_FILE_GONE, measured)

        config.write_text(BROKEN_CONFIG)
        _measure(scene, agent, Step.CONFIG_BROKEN, measured)

        config.write_text("{}")
        agent.docker.chmod(0o500)
        scene.give_late(agent)
        _measure(scene, agent, Step.CONFIG_LOCKED, measured)
        agent.docker.chmod(0o700)


def _without_programs(scene: Scene, measured: Measured) -> None:
    agent = scene.new_agent(PATH="/nowhere")
    with _running(agent):
        _measure(scene, agent, Step.NO_PROGRAMS, measured)


@contextmanager
def _running(agent: Agent) -> Iterator[None]:
    agent.start()
    agent.watch_no_longer()  # these tests are about the words, and the machine is busy
    try:
        yield
    finally:
        assert agent.end() == 0, agent.log()


def _measure(scene: Scene, agent: Agent, step: Step, measured: Measured) -> None:
    """Wait for the agent's warnings on the step's cases. If the page is written, run the other tools, too."""
    cases = [case for case in CASES if case.step is step]
    agent.wait_for("all of the step", lambda status: all(_words(case, status, scene) for case in cases), _ALL_S)
    for case in cases:
        words = _words(case, agent.status(), scene)
        assert words is not None, case
        others = tuple(tell(scene, command) for command in case.commands(scene)) if WRITING else ()
        assert not any(secret in text for text in others for secret in scene.secrets), case
        measured[case.code, case.about] = Told(case.about, words, others)


def _words(case: Case, status: Status, scene: Scene) -> Words | None:
    for found in status["warnings"]:
        if (found["code"], found["subject"]) == (case.code, case.subject):
            message, hint = (cleaned(found[field], scene.home) for field in ("message", "hint"))
            return Words(message, hint, found["needs"])
    return None

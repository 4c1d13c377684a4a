"""Tests of the image in the ways that people run it."""

import time
from pathlib import Path

import pytest

from tests.image.conftest import PRIVATE, Say
from tests.image.container import ANYBODY, Containers, Home
from tests.rig.cloud import ECR, NATIVE, Cloud
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.waiting import until

pytestmark = pytest.mark.engine

LOCKED_DOWN = (
    *("--read-only", "--tmpfs=/run/registry-agent", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    f"--user={ANYBODY}",
)
SOON = "--health-interval=1s"
OTHERS_IMAGE = f"{PRIVATE}/team/hello:1"


def test_it_explains_itself(containers: Containers) -> None:
    """`docker run IMAGE --help` shows the agent's own help."""
    done = containers.run("--help")

    assert done.returncode == 0, done.stderr
    assert "keep this environment logged in" in done.stdout


def test_it_runs_healthy_without_any_argument(containers: Containers, machine: Machine, say: Say) -> None:
    """`docker run IMAGE` starts the daemon. It answers on the socket and on TCP, and Docker reports it as healthy."""
    began = time.monotonic()
    container = containers.start(options=(SOON,))
    until("an answer on TCP", lambda: machine.namespace.connectable("127.0.0.1", 8719))

    say(f"first answer {time.monotonic() - began:.2f} s after `docker run`")
    container.wait_healthy()
    status = container.status()
    assert status["condition"] == "healthy"
    assert status["tools"]["docker"]["present"]
    assert '"event": "agent.ready"' in container.log()


def test_sigterm_ends_it(containers: Containers, say: Say) -> None:
    """The agent is the first process. It gets SIGTERM itself, and exits with 0 before docker kills it."""
    container = containers.start()
    container.status()

    began = time.monotonic()
    assert container.stop() == 0, container.log()
    took = time.monotonic() - began

    say(f"`docker stop` took {took:.2f} s")
    assert '"signal": "SIGTERM"' in container.log()


@pytest.mark.usefixtures("private")
def test_anybody_without_any_right_gets_their_docker_logged_in(
    containers: Containers, engine: Engine, tmp_path: Path
) -> None:
    """The mounts are enough for a user unknown to the image, on a read-only root, without capabilities."""
    home = Home(tmp_path / "home")
    home.give("team", PRIVATE, username="alice", password="wonderland")
    container = containers.start(options=(*LOCKED_DOWN, *home.mounts, containers.trust, SOON))

    status = container.status()
    assert [(row["hostname"], row["state"]) for row in status["registries"]] == [(PRIVATE, "logged_in")], status
    assert status["condition"] == "healthy", status
    container.wait_healthy()
    engine.make_image(OTHERS_IMAGE)
    engine.must("push", OTHERS_IMAGE, config=home.docker)
    engine.must("rmi", OTHERS_IMAGE, config=home.docker)
    engine.must("pull", OTHERS_IMAGE, config=home.docker)
    assert "wonderland" not in container.log() + str(container.inspect())


@pytest.mark.usefixtures("private")
def test_a_refused_password_is_no_reason_to_call_it_unhealthy(containers: Containers, tmp_path: Path) -> None:
    """The agent runs, and its status shows what is wrong. A restart would not fix it."""
    home = Home(tmp_path / "home")
    home.give("team", PRIVATE, username="alice", password="looking glass")
    container = containers.start(options=(*LOCKED_DOWN, *home.mounts, containers.trust, SOON))

    assert {warning["code"] for warning in container.status()["warnings"]} >= {"login_rejected"}
    container.wait_healthy()
    assert container.command("status", "--strict").returncode == 2


def test_it_gets_ecr_tokens_by_the_role_of_the_machine(containers: Containers, cloud: Cloud, tmp_path: Path) -> None:
    """The AWS SDK in the image has all that it needs for the metadata service, ECR's API and the login."""
    home = Home(tmp_path / "home")
    home.give("team-ecr", ECR, **NATIVE)
    done = containers.run("run", "--once", options=(*LOCKED_DOWN, *home.mounts, containers.trust))

    assert done.returncode == 0, done.stdout
    assert cloud.aws.tokens.issued
    assert ECR in (home.docker / "config.json").read_text()


def test_what_a_profile_may_name_can_be_loaded(containers: Containers) -> None:
    """The image has the AWS services that a profile may get credentials from, as well as those that provide tokens."""
    make = (
        "import botocore.session; session = botocore.session.get_session(); "
        "[session.create_client(name, region_name='eu-west-1') "
        "for name in ('ecr', 'ecr-public', 'sts', 'sso', 'sso-oidc', 'signin')]"
    )
    done = containers.run("-I", "-c", make, options=("--entrypoint=/opt/registry-agent/libexec/python3",))

    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("private")
def test_an_unmounted_docker_configuration_is_reported(containers: Containers, tmp_path: Path) -> None:
    """On a read-only root without the mount, the agent runs and warns that it cannot write there."""
    home = Home(tmp_path / "home")
    home.give("team", PRIVATE, username="alice", password="wonderland")
    container = containers.start(options=(*LOCKED_DOWN, home.mounts[0], containers.trust))

    assert {warning["code"] for warning in container.status()["warnings"]} >= {"config_unwritable"}

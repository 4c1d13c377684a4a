"""What the logins are for: a real engine pulls, pushes and builds with them."""

from pathlib import Path

import pytest

from tests.e2e.conftest import IMAGE, PLAIN, PRIVATE, MakeAgent, password
from tests.rig.agent import logged_in
from tests.rig.cloud import ECR, NATIVE, Cloud
from tests.rig.distribution import Distribution
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.needs import need

pytestmark = pytest.mark.engine

LIFE_S = 5.0
LIVES = 3


def test_the_first_ecr_login_is_enough_to_push_and_to_pull(
    make_agent: MakeAgent, engine: Engine, cloud: Cloud, ecr_image: str
) -> None:
    """After the agent reports the login, docker pushes to and pulls from private ECR, as the instance's role."""
    agent = make_agent().start()
    agent.give("team-ecr", ECR, **NATIVE)
    agent.wait_logged_in(ECR)

    engine.must("push", ecr_image, config=agent.docker)
    engine.must("rmi", ecr_image, config=agent.docker)
    engine.must("pull", ecr_image, config=agent.docker)
    row = agent.registry(ECR)
    assert row is not None
    assert row["identity"] == cloud.aws.tokens.issued[0].principal
    assert row["stored_in"] == "config.json"


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("variables", [{"DOCKER_BUILDKIT": "0"}, {"DOCKER_BUILDKIT": "1"}], ids=["classic", "buildkit"])
def test_a_dockerfile_that_starts_from_a_private_image_builds(
    make_agent: MakeAgent, engine: Engine, ecr_image: str, tmp_path: Path, variables: dict[str, str]
) -> None:
    """`docker build` pulls its private base image by itself."""
    program = engine.builder(buildkit=variables["DOCKER_BUILDKIT"] == "1")
    agent = make_agent().start()
    agent.give("team-ecr", ECR, **NATIVE)
    agent.wait_logged_in(ECR)
    engine.must("push", ecr_image, config=agent.docker)
    engine.must("rmi", ecr_image, config=agent.docker)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {ecr_image}\nCOPY Dockerfile /from-private\n")

    engine.must("build", "--network=none", "--tag=built", context, config=agent.docker, program=program, env=variables)


def test_no_pull_fails_while_tokens_come_and_go(
    make_agent: MakeAgent, engine: Engine, cloud: Cloud, ecr_image: str
) -> None:
    """Over three token lifetimes, every pull works, and the registry never sees an expired token."""
    cloud.aws.token_life_s = LIFE_S
    agent = make_agent({"renewal": {"min_interval_s": 1}}).start()
    agent.give("team-ecr", ECR, **NATIVE)
    agent.wait_logged_in(ECR)
    engine.must("push", ecr_image, config=agent.docker)
    first = cloud.aws.tokens.issued[0]

    pulls = 0
    while (cloud.aws.now() - first.issued_at).total_seconds() < LIVES * LIFE_S:
        engine.must("rmi", ecr_image, config=agent.docker)
        engine.must("pull", ecr_image, config=agent.docker)
        pulls += 1

    assert pulls > LIVES
    assert len(cloud.aws.tokens.issued) > LIVES
    assert not cloud.registry.wrong
    assert agent.status()["condition"] == "healthy"


@pytest.mark.usefixtures("cloud", "private")
def test_two_secrets_in_a_directory_are_all_it_needs(make_agent: MakeAgent, engine: Engine, ecr_image: str) -> None:
    """One Basic and one runner-native secret, default settings, real host names: docker pulls from both registries."""
    agent = make_agent()
    agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
    agent.give("team-ecr", ECR, **NATIVE)
    agent.start()
    said = agent.command("status", "--wait", "--timeout", "20")
    assert said.returncode == 0, said.stdout + said.stderr
    assert PRIVATE in said.stdout
    assert ECR in said.stdout
    assert logged_in(agent.status(), PRIVATE, ECR)
    assert agent.status()["condition"] == "healthy"
    assert agent.command("status", "--strict").returncode == 0

    images = (ecr_image, f"{PRIVATE}/{IMAGE}")
    engine.must("tag", *images, config=agent.docker)
    for image in images:
        engine.must("push", image, config=agent.docker)
    engine.must("rmi", *images, config=agent.docker)
    nobody = agent.docker.parent / "nobody"
    nobody.mkdir()
    for image in images:
        assert engine.docker("pull", image, config=nobody).returncode != 0, "not private: this test proves nothing"
        engine.must("pull", image, config=agent.docker)


def test_an_insecure_registry_that_the_engine_allows(
    make_agent: MakeAgent, machine: Machine, engine: Engine, tmp_path: Path
) -> None:
    """The CLI refuses a registry without TLS. The engine, whose daemon.json names it, logs in. Docker pulls."""
    need("docker-registry", "htpasswd")
    host, _, port = PLAIN.partition(":")
    users = {"alice": password("alice")}
    plain = Distribution(machine.namespace, tmp_path / "plain", machine.address(host), int(port), users=users)
    try:
        agent = make_agent()
        agent.give("team-plain", PLAIN, username="alice", password=password("alice"))
        agent.start().wait_logged_in(PLAIN)
        image = f"{PLAIN}/{IMAGE}"
        engine.make_image(image)
        engine.must("push", image, config=agent.docker)
        engine.must("rmi", image, config=agent.docker)
        engine.must("pull", image, config=agent.docker)
        assert agent.status()["condition"] == "healthy"
    finally:
        plain.close()


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("program", [p for p in ("/usr/local/bin/docker", "/usr/bin/docker") if Path(p).exists()])
def test_each_docker_on_this_machine_logs_in(
    make_agent: MakeAgent, engine: Engine, tmp_path: Path, program: str
) -> None:
    """The agent uses the first docker on PATH, old or new, and names it in the status."""
    first = tmp_path / "first"
    first.mkdir()
    (first / "docker").symlink_to(program)
    agent = make_agent(PATH=f"{first}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
    status = agent.start().wait_logged_in(PRIVATE)

    docker = agent.wait_for("the engine", lambda s: s["tools"]["docker"]["engine"] == "reachable")["tools"]["docker"]
    assert docker["path"] == str(first / "docker")
    assert docker["version"] in engine.docker("--version", config=agent.docker, program=program).stdout
    assert not [w for w in status["warnings"] if w["severity"] == "error"]

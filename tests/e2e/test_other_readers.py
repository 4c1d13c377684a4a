"""Users' other programs read the same logins, and have the same identity."""

import pytest

from tests.e2e.conftest import IMAGE, PRIVATE, MakeAgent, password
from tests.fakecloud.tokens import Verdict
from tests.rig.cloud import ECR, NATIVE, REGION, Cloud
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.needs import need


@pytest.mark.engine
@pytest.mark.usefixtures("cloud", "private")
def test_podman_and_skopeo_use_what_the_agent_wrote(
    make_agent: MakeAgent, machine: Machine, engine: Engine, ecr_image: str
) -> None:
    """Podman names both users without a login of its own. Skopeo reads a private image with only config.json."""
    need("podman", "skopeo")
    agent = make_agent()
    agent.give("team-registry", PRIVATE, username="alice", password=password("alice"))
    agent.give("team-ecr", ECR, **NATIVE)
    agent.start().wait_logged_in(PRIVATE, ECR)
    engine.must("push", ecr_image, config=agent.docker)

    for hostname, user in ((PRIVATE, "alice"), (ECR, "AWS")):
        known = machine.namespace.run("podman", "login", "--get-login", hostname, env=agent.env)
        assert known.stdout.strip() == user, known.stderr
    config = agent.docker / "config.json"
    seen = machine.namespace.run("skopeo", "inspect", "--authfile", config, f"docker://{ecr_image}", env=agent.env)
    assert seen.returncode == 0, seen.stderr
    assert f'"Name": "{ECR}/{IMAGE.partition(":")[0]}"' in seen.stdout


def test_the_aws_cli_is_the_same_identity(make_agent: MakeAgent, machine: Machine, cloud: Cloud) -> None:
    """A person's own `aws ecr get-login-password` gets a token for the identity that the status shows."""
    need("aws")
    agent = make_agent()
    agent.give("team-ecr", ECR, **NATIVE)
    agent.start().wait_logged_in(ECR)
    row = agent.registry(ECR)
    assert row is not None

    token = machine.namespace.run("aws", "ecr", "get-login-password", "--region", REGION, env=agent.env)

    assert token.returncode == 0, token.stderr
    assert cloud.aws.valid("AWS", token.stdout.strip(), REGION) is Verdict.OK
    assert cloud.aws.tokens.issued[-1].principal == row["identity"]
    tools = agent.wait_for("a look at the tools", lambda s: s["tools"]["aws"]["version"])["tools"]
    assert tools["aws"]["present"] is True

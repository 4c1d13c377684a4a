"""Each identity that can get a token from AWS, at AWS's own host names."""

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.conftest import MakeAgent
from tests.rig.agent import Agent, Settings
from tests.rig.cloud import ECR, NATIVE, Cloud

ROLE: Final = "arn:aws:iam::123456789012:role/pull"
WEB_TOKEN: Final = "a-web-identity-token"


def check(agent: Agent, cloud: Cloud, identity: str) -> None:
    """Check that the agent logs in, and that AWS and the status show the expected identity."""
    agent.start().wait_logged_in(ECR)
    row = agent.registry(ECR)
    assert row is not None
    assert row["identity"].startswith(identity)
    assert [token.principal for token in cloud.aws.tokens.issued] == [row["identity"]]
    assert agent.status()["condition"] == "healthy"


def test_keys_in_the_secret(make_agent: MakeAgent, cloud: Cloud) -> None:
    """An access key ID and its secret key are enough: the agent does not call the metadata service."""
    user = cloud.aws.add_user("ada")
    agent = make_agent()
    agent.give("team-ecr", ECR, username=user.access_key_id, password=user.secret_access_key)
    check(agent, cloud, user.arn)
    assert cloud.aws.count("imds:token") == 0


def test_a_role_assumed_from_the_instance(make_agent: MakeAgent, cloud: Cloud) -> None:
    """The instance's role assumes another role, with the external ID that the other role requires."""
    cloud.aws.external_ids[ROLE] = "team-42"
    agent = make_agent()
    agent.give("team-ecr", ECR, role_arn=ROLE, external_id="team-42")
    check(agent, cloud, "arn:aws:sts::123456789012:assumed-role/pull/registry-agent-")
    assert cloud.aws.count("sts:AssumeRole") == 1


@pytest.mark.parametrize("by", ["file", "command"])
def test_a_web_identity(make_agent: MakeAgent, cloud: Cloud, tmp_path: Path, by: str) -> None:
    """A web identity token, from a file or a command's output, is exchanged for the role in the settings."""
    cloud.aws.web_identities[WEB_TOKEN] = "environment:1"
    token = tmp_path / "token"
    token.write_text(f"{WEB_TOKEN}\n")
    source = {"identity_token_file": str(token)} if by == "file" else {"identity_token_command": ["cat", str(token)]}
    settings: Settings = {"aws": {"role_arn": ROLE, **source}}
    agent = make_agent(settings)
    agent.give("team-ecr", ECR, **NATIVE)
    check(agent, cloud, "arn:aws:sts::123456789012:assumed-role/pull/registry-agent-")
    assert cloud.aws.count("imds:token") == 0
    assert cloud.aws.count("sts:AssumeRoleWithWebIdentity") == 1

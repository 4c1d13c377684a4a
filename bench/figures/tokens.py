"""How often the agent requests a token from AWS, for twenty ECR registries of two accounts under their real names."""

from typing import Final

from bench.aws_names import NAMES, aws_names
from bench.bench import Bench, scratch
from bench.figure import Figure
from bench.stage import running_agent, stage
from tests.fakecloud.aws import PretendAws
from tests.rig.machine import Machine

_PORTS: Final = range(8441, 8451)
"""An account has one registry per region. For Docker and the agent, each port counts as another registry."""
_HOSTS: Final = tuple(f"{name}:{port}" for name in NAMES for port in _PORTS)
_NATIVE: Final = {"username": "runner-native", "password": "runner-native"}
_ACTION: Final = "ecr:GetAuthorizationToken"


def measure(bench: Bench) -> list[Figure]:
    with scratch() as directory, aws_names(directory, _PORTS) as (machine, aws):
        turns = bench.turns(lambda: _calls(bench, machine, aws))
    return [Figure("GetAuthorizationToken for 20 ECR hosts", "-", "calls", 1, turns)]


def _calls(bench: Bench, machine: Machine, aws: PretendAws) -> float:
    """Return the number of calls from the agent's start until all hosts are logged in."""
    before = aws.count(_ACTION)
    secrets = [{"name": f"ecr-{n}", "hostname": host, **_NATIVE} for n, host in enumerate(_HOSTS)]
    more = {**machine.trust, "AWS_EC2_METADATA_DISABLED": "false"}
    with stage(secrets) as own, running_agent(bench, own, more, within=machine.namespace.args([])) as agent:
        own.await_logins(_HOSTS, agent)
    return aws.count(_ACTION) - before

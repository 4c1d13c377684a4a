"""What the checks of all registries share: the plan, the agent's own components, and results they wait for."""

from asyncio import Task
from collections.abc import Callable
from dataclasses import dataclass

from agent.doctor.agent_status import AgentStatus
from agent.doctor.environment import Tools
from agent.edge.aws.client import AwsClient
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_cli import DockerCli
from agent.edge.docker_config import DockerConfigFile
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.registry_requests import RegistryRequests
from agent.edge.state_file import StateFile
from agent.model.docker_config import Document
from agent.model.plan import Plan
from agent.model.sensitive import Sensitive
from agent.services.rejections import Rejections
from agent.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """What the checks of all registries use.

    Attributes:
        auth_config: the value of DOCKER_AUTH_CONFIG.
        learned: called with each secret that turns up, so that it is masked in the report.
        try_refused: send a password even if it was rejected before.
        status: that of the running agent, or None if none answers.
        document: Docker's configuration, or None if Docker could not read it either.
    """

    plan: Plan
    settings: Settings
    requests: RegistryRequests
    aws: AwsClient
    cli: DockerCli
    config: DockerConfigFile
    helpers: CredentialHelpers
    podman: PodmanAuthFiles
    state_file: StateFile
    rejections: Rejections
    auth_config: str | None
    learned: Callable[[Sensitive], None]
    try_refused: bool
    tools: Task[Tools]
    status: Task[AgentStatus | None]
    document: Task[Document | None]

"""The checks that ask the registry itself: its clock, its `/v2/` endpoint, and one image."""

import re
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from agent.doctor.check import Check, CheckRun, from_problem, passed, skipped
from agent.doctor.target import Image
from agent.edge.registry_client import RegistryClient, RegistryReply, RegistryRequest
from agent.model import azure_errors, google_errors
from agent.model.clock_skew import registry_clock_skew
from agent.model.commands import command, shown
from agent.model.credential import Credential
from agent.model.docker_errors import explain
from agent.model.docker_results import CliOutput
from agent.model.encoded_login import AZURE_USER
from agent.model.problem import Problem, ProblemError
from agent.model.problems.registry import LoginForbidden, LoginRejected, RegistryRefusedRequest
from agent.model.registry import Registry
from agent.model.text import printable

_PING_S: Final = 8.0
_PULL_S: Final = 8.0
_OK: Final = 200
_NOT_FOUND: Final = 404
_DENIED: Final = (401, 403)
_UNAUTHORIZED: Final = 401
_ACTION: Final = re.compile(r"(?:User: (?P<arn>arn:\S+) is )?not authorized to perform: (?P<action>[\w-]+:\w+)")
# The docker CLI and containerd accept the same types: multi-platform indexes and single manifests, OCI and Docker.
_ACCEPT: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*"
)


async def ping(results: CheckRun, registry: Registry, requests: RegistryClient) -> bool:
    """Request `/v2/` without a credential, and compare the registry's clock with this machine's."""
    reply = await requests.ask(registry, RegistryRequest(), _PING_S)
    results.add(_check_clock(registry, reply))
    return results.add(_check_v2(registry, reply))


def _check_clock(registry: Registry, reply: RegistryReply) -> Check:
    probe = reply.probe
    skew = registry_clock_skew(probe, registry.hostname)
    if skew is not None:
        return from_problem("clock", skew)
    if probe.server_time is None:
        return skipped("clock", "the registry's answer has no time")
    off = round(abs(probe.seen_at - probe.server_time.astimezone(UTC)).total_seconds())
    return passed("clock", f"{off} s off the registry's clock")


def _check_v2(registry: Registry, reply: RegistryReply) -> Check:
    probe = reply.probe
    # 401 is the normal answer to a request without a credential.
    if probe.registry and probe.status in (_OK, 401):
        challenge = f", challenge {printable(reply.challenge, 160)}" if reply.challenge else ", no login required"
        return passed("/v2/", f"status {probe.status}{challenge}")
    return from_problem("/v2/", explain(CliOutput("", fault=probe.fault), probe, registry.hostname, ""))


@dataclass(frozen=True, slots=True)
class PullLogin:
    """The login of a pull, and where it is from. Without a credential, the pull is anonymous.

    `stored` is whether Docker holds this login, so a pull uses it.
    """

    origin: str = ""
    credential: Credential | None = None
    stored: bool = False

    @property
    def how(self) -> str:
        return f"with {self.origin}" if self.origin else "without a login"


async def pull(registry: Registry, image: Image, login: PullLogin, requests: RegistryClient) -> Check:
    """Request the image's manifest, as a pull does.

    Raises:
        ProblemError: the registry does not return the manifest.
    """
    path, credential = f"/v2/{image.repository}/manifests/{image.reference}", login.credential
    # HEAD first: Docker Hub counts a GET of a manifest as a pull, and pulls are limited.
    reply = await requests.ask(registry, RegistryRequest(path, credential, "HEAD", _ACCEPT), _PULL_S)
    if reply.probe.status == _OK and reply.probe.registry:
        digest = reply.headers.get("Docker-Content-Digest") or "no digest given"
        return passed("pull", f"{image} exists and can be pulled {login.how}: {printable(digest, 100)}")
    # A refused password is not sent again: registries lock accounts.
    if reply.probe.status in (*_DENIED, _NOT_FOUND, 400) and not (credential and _is_refused(reply)):
        # An answer to HEAD has no body. Only the body of GET contains the reason.
        reply = await requests.ask(registry, RegistryRequest(path, credential, "GET", _ACCEPT), _PULL_S)
    raise ProblemError(_pull_problem(registry, image, reply, login))


def _pull_problem(registry: Registry, image: Image, reply: RegistryReply, login: PullLogin) -> Problem:
    probe, hostname = reply.probe, registry.hostname
    detail = f": {probe.detail}" if probe.detail else ""
    if probe.status in _DENIED:
        return _denied(registry, image, reply, login, detail)
    if probe.status == _NOT_FOUND:
        return RegistryRefusedRequest(
            hostname,
            f"{hostname} has no {image} that can be seen {login.how} (status 404){detail}",
            hint="check the repository and the tag; many registries also answer 404 if you may not pull the image",
        )
    return explain(CliOutput("", fault=probe.fault), probe, hostname, "")


def _is_refused(reply: RegistryReply) -> bool:
    """Whether the login itself is refused. A token server may also accept it, and give no right to this image: 401."""
    bearer = reply.challenge.lower().startswith("bearer")
    return reply.probe.token_expired or reply.probe.refused or (reply.probe.status == _UNAUTHORIZED and not bearer)


def _denied(registry: Registry, image: Image, reply: RegistryReply, login: PullLogin, detail: str) -> Problem:
    """The registry answered 401 or 403: without a login, or it refuses the login, or the login lacks the right."""
    hostname, action = registry.hostname, _ACTION.search(reply.probe.detail)
    log_in = command("docker login", hostname) or "docker login"
    replace = f"run `registry-agent renew HOST` if the agent has a secret for this registry, or else {log_in}"
    if login.credential is None:
        message = f"{hostname} does not let you pull {image} {login.how}{detail}"
        hint = f"add a secret for HOST, or run {log_in}: without a login, it does not show this image even if it exists"
        return LoginForbidden(hostname, message, hint=hint)
    if _is_refused(reply):
        message = f"{hostname} does not accept {login.origin}{detail}"
        return LoginRejected(hostname, message, hint=replace if login.stored else None)
    message = f"{hostname} does not allow this login to pull {image} {login.how}{detail}"
    return LoginForbidden(hostname, message, hint=_right_to_pull(registry, image, login.credential, action, detail))


def _right_to_pull(
    registry: Registry, image: Image, credential: Credential, action: re.Match[str] | None, reason: str
) -> str | None:
    """The hint which right to grant to whom. None if that depends on the registry's own software."""
    # The user name of a cloud's token shows the cloud, if the registry has a host name of its own.
    if registry.is_google or credential.username == google_errors.USER:
        return google_errors.pull_hint(credential.identity, reason)
    if registry.is_azure or credential.username == AZURE_USER:
        return azure_errors.pull_hint(credential.identity)
    # An ARN also means ECR: the registry may have a host name of its own, such as a VPC endpoint.
    if action is None and registry.ecr is None and credential.identity is None:
        return None
    who = shown((action and action["arn"]) or credential.identity or "this identity")
    missing = action["action"] if action else "ecr:BatchGetImage"
    pull_actions = "ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability"
    return f"allow {missing} on repository {image.repository} for {who}; a pull needs {pull_actions}"

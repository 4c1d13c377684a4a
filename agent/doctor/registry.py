"""The checks that ask the registry itself: its clock, its `/v2/` endpoint, and one image."""

import re
from datetime import UTC
from typing import Final

from agent.doctor.check import Check, CheckRun, from_problem, passed, skipped
from agent.doctor.target import Image
from agent.edge.registry_requests import RegistryReply, RegistryRequest, RegistryRequests
from agent.model.credential import Credential
from agent.model.docker_errors import CliOutput, clock_skew, explain
from agent.model.problem import Problem, ProblemError
from agent.model.problems.registry import LoginForbidden, RegistryRefusedRequest
from agent.model.registry import Registry
from agent.model.text import printable

_PING_S: Final = 8.0
_PULL_S: Final = 8.0
_OK: Final = 200
_NOT_FOUND: Final = 404
_DENIED: Final = (401, 403)
_ACTION: Final = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
# The docker CLI and containerd accept the same types: multi-platform indexes and single manifests, OCI and Docker.
_ACCEPT: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*"
)


async def ping(results: CheckRun, registry: Registry, requests: RegistryRequests) -> bool:
    """Request `/v2/` without a credential, and compare the registry's clock with this machine's."""
    reply = await requests.ask(registry, RegistryRequest(), _PING_S)
    results.add(_check_clock(registry, reply))
    return results.add(_check_v2(registry, reply))


def _check_clock(registry: Registry, reply: RegistryReply) -> Check:
    probe = reply.probe
    skew = clock_skew(probe, registry.hostname)
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


async def pull(registry: Registry, image: Image, credential: Credential | None, requests: RegistryRequests) -> Check:
    """Request the image's manifest, as a pull does.

    Raises:
        ProblemError: the registry does not return the manifest.
    """
    path = f"/v2/{image.repository}/manifests/{image.reference}"
    # HEAD first: Docker Hub counts a GET of a manifest as a pull, and pulls are limited.
    reply = await requests.ask(registry, RegistryRequest(path, credential, "HEAD", _ACCEPT), _PULL_S)
    if reply.probe.status == _OK and reply.probe.registry:
        digest = reply.headers.get("Docker-Content-Digest") or "no digest given"
        return passed("pull", f"{image} exists and can be pulled: {printable(digest, 100)}")
    if reply.probe.status in (*_DENIED, _NOT_FOUND, 400):
        # An answer to HEAD has no body. Only the body of GET contains the reason.
        reply = await requests.ask(registry, RegistryRequest(path, credential, "GET", _ACCEPT), _PULL_S)
    raise ProblemError(_pull_problem(registry, image, reply, credential))


def _pull_problem(registry: Registry, image: Image, reply: RegistryReply, credential: Credential | None) -> Problem:
    probe, hostname = reply.probe, registry.hostname
    detail = f": {probe.detail}" if probe.detail else ""
    if probe.status in _DENIED:
        action = _ACTION.search(probe.detail)
        arn = credential.identity if credential else None
        hint = _ecr_hint(registry, image, action[1] if action else None, arn)
        if hint is None and credential is None:
            hint = f"add a secret for {hostname}: without a login it does not show this image, even if the image exists"
        return LoginForbidden(hostname, f"{hostname} does not allow this login to pull {image}{detail}", hint=hint)
    if probe.status == _NOT_FOUND:
        return RegistryRefusedRequest(
            hostname,
            f"{hostname} has no {image} that this login can see (status 404){detail}",
            hint="check the repository and the tag; many registries also answer 404 if you may not pull the image",
        )
    return explain(CliOutput("", fault=probe.fault), probe, hostname, "")


def _ecr_hint(registry: Registry, image: Image, action: str | None, arn: str | None) -> str | None:
    """The hint for ECR: which action to allow, on which repository, for which identity. None for other registries."""
    # An ARN also means ECR: the registry may have a host name of its own, such as a VPC endpoint.
    if action is None and registry.ecr is None and arn is None:
        return None
    missing = action or "ecr:BatchGetImage"
    pull_actions = "ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability"
    return f"allow {missing} on repository {image.repository} for {arn or 'this identity'}; a pull needs {pull_actions}"

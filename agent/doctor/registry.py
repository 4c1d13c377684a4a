"""What a registry answers: at `/v2/`, by its clock, and about one image."""

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

LINKS: Final = ("clock", "/v2/")
_PING_S: Final = 8.0
_PULL_S: Final = 8.0
_OK: Final = 200
_NOT_FOUND: Final = 404
_DENIED: Final = (401, 403)
_ACTION: Final = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
# What the docker CLI and containerd ask for: lists of platforms as well as single ones, of both families.
_ACCEPT: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*"
)


async def ping(walk: CheckRun, registry: Registry, questions: RegistryRequests) -> bool:
    """Look at `/v2/` without a credential, and at the clock of whoever answers."""
    asked = await questions.ask(registry, RegistryRequest(), _PING_S)
    walk.add(_clock(registry, asked))
    return walk.add(_answer(registry, asked))


def _clock(registry: Registry, asked: RegistryReply) -> Check:
    seen = asked.probe
    skew = clock_skew(seen, registry.hostname)
    if skew is not None:
        return from_problem("clock", skew)
    if seen.server_time is None:
        return skipped("clock", "the registry told no time")
    off = round(abs(seen.seen_at - seen.server_time.astimezone(UTC)).total_seconds())
    return passed("clock", f"{off} s from the registry's")


def _answer(registry: Registry, asked: RegistryReply) -> Check:
    seen = asked.probe
    if seen.registry and seen.status in (_OK, 401):
        challenge = f", challenge {printable(asked.challenge, 160)}" if asked.challenge else ", and wants no login"
        return passed("/v2/", f"status {seen.status}{challenge}")
    return from_problem("/v2/", explain(CliOutput("", fault=seen.fault), seen, registry.hostname, ""))


async def pull(
    registry: Registry, image: Image, credential: Credential | None, questions: RegistryRequests, who: str | None
) -> Check:
    """Whether the image's manifest may be had; `who` is the ARN that ECR knows us by.

    Raises:
        ProblemError: it may not.
    """
    path = f"/v2/{image.repository}/manifests/{image.reference}"
    asked = await questions.ask(registry, RegistryRequest(path, credential, "HEAD", _ACCEPT), _PULL_S)
    if asked.probe.status == _OK and asked.probe.registry:
        digest = asked.headers.get("Docker-Content-Digest") or "a manifest"
        return passed("pull", f"{image} is there, and may be pulled: {printable(digest, 100)}")
    if asked.probe.status in (*_DENIED, _NOT_FOUND, 400):
        # The answer to HEAD has no body to tell the reason.
        asked = await questions.ask(registry, RegistryRequest(path, credential, "GET", _ACCEPT), _PULL_S)
    raise ProblemError(_refusal(registry, image, asked, who, anonymous=credential is None))


def _refusal(registry: Registry, image: Image, asked: RegistryReply, who: str | None, *, anonymous: bool) -> Problem:
    seen, hostname = asked.probe, registry.hostname
    said = f": {seen.detail}" if seen.detail else ""
    if seen.status in _DENIED:
        action = _ACTION.search(seen.detail)
        hint = _allow(registry, image, action[1] if action else None, who)
        if hint is None and anonymous:
            hint = "give the registry a secret: without a login it shows this image to nobody, if it has it at all"
        return LoginForbidden(hostname, f"{hostname} does not let this login pull {image}{said}", hint=hint)
    if seen.status == _NOT_FOUND:
        return RegistryRefusedRequest(
            hostname,
            f"{hostname} has no {image} that this login may see (status 404){said}",
            hint="check repository and tag; many registries answer so too where the right to pull is missing",
        )
    return explain(CliOutput("", fault=seen.fault), seen, hostname, "")


def _allow(registry: Registry, image: Image, action: str | None, who: str | None) -> str | None:
    """The hint on ECR: which action, on what, for whom."""
    if action is None and registry.ecr is None and who is None:
        return None
    missing = action or "ecr:BatchGetImage"
    others = "ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and ecr:BatchCheckLayerAvailability"
    return f"allow {missing} on repository {image.repository} for {who or 'this identity'}; a pull needs {others}"

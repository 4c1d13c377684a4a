"""The pretend AWS under AWS's host names, and an ECR registry in front of a real registry."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.fakecloud.aws import PretendAws
from tests.fakecloud.registries import EcrAuth, PretendRegistry
from tests.fakecloud.upstream import Upstream
from tests.rig.machine import METADATA_ADDRESS, Machine

REGION: Final = "eu-west-1"
ECR: Final = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
API: Final = (f"api.ecr.{REGION}.amazonaws.com", f"sts.{REGION}.amazonaws.com")
NATIVE: Final = {"username": "runner-native", "password": "runner-native"}
"""The fields of a secret that uses the machine's own AWS identity."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """`aws` records which identity got which token. `registry` is the one at the host name `ECR`."""

    aws: PretendAws
    registry: PretendRegistry


@contextmanager
def cloud_on(machine: Machine, upstream_url: str) -> Iterator[Cloud]:
    """Serve ECR, STS, the instance metadata service, and a private registry with the images of `upstream_url`."""
    aws = PretendAws(region=REGION, token_life_s=12 * 3600)
    with ExitStack() as stack:
        upstream = stack.enter_context(upstream_on(machine, upstream_url))
        registry = PretendRegistry(EcrAuth(aws.valid, REGION), upstream=upstream)
        stack.enter_context(machine.serving(aws.handle, *API))
        stack.enter_context(machine.listening(aws.handle, METADATA_ADDRESS, 80))
        stack.enter_context(machine.serving(registry.handle, ECR))
        yield Cloud(aws, registry)


@contextmanager
def upstream_on(machine: Machine, url: str) -> Iterator[Upstream]:
    """The registry at `url`, for registries on the machine that forward their requests to it."""
    upstream = Upstream(url)
    machine.namespace.call(upstream.__aenter__())
    try:
        yield upstream
    finally:
        machine.namespace.call(upstream.__aexit__(None, None, None))

"""The pretend AWS under AWS's real host names, in a network and mount namespace that resolves them locally.

Needs root.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.fakecloud.aws import PretendAws
from tests.fakecloud.registries import EcrAuth, PretendRegistry
from tests.rig.machine import METADATA_ADDRESS, Machine

REGION: Final = "eu-west-1"
NAMES: Final = tuple(f"{account}.dkr.ecr.{REGION}.amazonaws.com" for account in ("111111111111", "222222222222"))
"""The registries of two accounts."""
_API: Final = (f"api.ecr.{REGION}.amazonaws.com", f"sts.{REGION}.amazonaws.com")
_LIFE_S: Final = 12 * 3600.0


@contextmanager
def aws_names(directory: Path, ports: Sequence[int]) -> Iterator[tuple[Machine, PretendAws]]:
    """Start it with an instance role, and with a registry for each of `NAMES` on each of `ports`."""
    aws = PretendAws(region=REGION, token_life_s=_LIFE_S)
    machine = Machine(directory, [_API, *((name,) for name in NAMES)])
    with ExitStack() as stack:
        stack.callback(machine.close)
        stack.enter_context(machine.serving(aws.handle, *_API))
        stack.enter_context(machine.listening(aws.handle, METADATA_ADDRESS, 80))
        registry = PretendRegistry(EcrAuth(aws.valid, REGION))
        for name in NAMES:
            tls = machine.authority.context(name)
            for port in ports:
                stack.enter_context(machine.listening(registry.handle, machine.address(name), port, tls))
        yield machine, aws

"""The pretend Google and Azure under their real names, each with a registry in front of a real registry."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from agent.demo.listener import Handler
from agent.demo.registries import Auth
from tests.fakecloud import azure, google
from tests.fakecloud.azure import AzureAuth, PretendAzure
from tests.fakecloud.google import GoogleAuth, PretendGoogle
from tests.fakecloud.registries import PretendRegistry
from tests.fakecloud.upstream import Upstream
from tests.rig.machine import METADATA_ADDRESS, Machine

GAR: Final = "europe-west1-docker.pkg.dev"
ACR: Final = "acmedev.azurecr.io"
GROUPS: Final = (google.NAMES, (GAR,), azure.NAMES, (ACR,))
"""The names that a `Machine` needs for both clouds."""


@contextmanager
def google_on(machine: Machine, upstream_url: str) -> Iterator[PretendGoogle]:
    """Serve Google Cloud, the metadata server of the machine, and `GAR` with the images of `upstream_url`."""
    cloud = PretendGoogle()
    with _serving(machine, cloud.handle, google.NAMES, upstream_url, registry=GAR, auth=GoogleAuth(cloud)):
        yield cloud


@contextmanager
def azure_on(machine: Machine, upstream_url: str) -> Iterator[PretendAzure]:
    """Serve Entra ID, the metadata service of the machine, and `ACR` with the images of `upstream_url`."""
    cloud = PretendAzure()
    with _serving(machine, cloud.handle, azure.NAMES, upstream_url, registry=ACR, auth=AzureAuth(cloud)):
        yield cloud


@contextmanager
def _serving(
    machine: Machine, handle: Handler, names: tuple[str, ...], upstream_url: str, *, registry: str, auth: Auth
) -> Iterator[None]:
    with ExitStack() as stack:
        upstream = Upstream(upstream_url)
        machine.namespace.call(upstream.__aenter__())
        stack.callback(lambda: machine.namespace.call(upstream.__aexit__(None, None, None)))
        stack.enter_context(machine.serving(handle, *names))
        stack.enter_context(machine.listening(handle, METADATA_ADDRESS, 80))
        stack.enter_context(machine.serving(PretendRegistry(auth, upstream=upstream).handle, registry))
        yield

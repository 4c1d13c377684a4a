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
from tests.rig.cloud import upstream_on
from tests.rig.machine import METADATA_ADDRESS, Machine

GAR: Final = "europe-west1-docker.pkg.dev"
ACR: Final = "acmedev.azurecr.io"
GROUPS: Final = (google.NAMES, (GAR,), azure.NAMES, (ACR,))
"""The names that a `Machine` needs for both clouds."""


@contextmanager
def google_on(machine: Machine, upstream_url: str, *, metadata: bool = True) -> Iterator[PretendGoogle]:
    """Serve Google Cloud, the metadata server of the machine, and `GAR` with the images of `upstream_url`."""
    cloud = PretendGoogle()
    with ExitStack() as stack:
        stack.enter_context(_serving(machine, cloud.handle, google.NAMES, metadata=metadata))
        stack.enter_context(registry_on(machine, upstream_url, GAR, GoogleAuth(cloud)))
        yield cloud


@contextmanager
def azure_on(machine: Machine, upstream_url: str, *, metadata: bool = True) -> Iterator[PretendAzure]:
    """Serve Entra ID, the metadata service of the machine, and `ACR` with the images of `upstream_url`."""
    cloud = PretendAzure()
    with ExitStack() as stack:
        stack.enter_context(_serving(machine, cloud.handle, azure.NAMES, metadata=metadata))
        stack.enter_context(registry_on(machine, upstream_url, ACR, AzureAuth(cloud)))
        yield cloud


@contextmanager
def registry_on(machine: Machine, upstream_url: str, hostname: str, auth: Auth) -> Iterator[PretendRegistry]:
    """Serve a registry that authenticates with `auth`, with the images of `upstream_url`."""
    with upstream_on(machine, upstream_url) as upstream:
        registry = PretendRegistry(auth, upstream=upstream)
        with machine.serving(registry.handle, hostname):
            yield registry


@contextmanager
def _serving(machine: Machine, handle: Handler, names: tuple[str, ...], *, metadata: bool) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(machine.serving(handle, *names))
        if metadata:
            stack.enter_context(machine.listening(handle, METADATA_ADDRESS, 80))
        yield

"""A network in which the real names of clouds lead to simulated ones, over TLS, and a metadata server on loopback."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from agent.demo.listener import Handler, Listener
from agent.model.sensitive import Sensitive
from tests.fakecloud.tunnel import Tunnel
from tests.rig.authority import Authority


@asynccontextmanager
async def cloud_network(
    handle: Handler, names: Iterable[str], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Listener, Tunnel]]:
    """Yield the metadata server, and the proxy that `HTTPS_PROXY` names. `handle` answers for all of them."""
    names, authority = tuple(names), Authority(directory)
    async with AsyncExitStack() as stack:
        metadata = await stack.enter_async_context(Listener(handle))
        secure = await stack.enter_async_context(Listener(handle, tls=authority.context(*names)))
        tunnel = await stack.enter_async_context(Tunnel(dict.fromkeys(names, secure.port)))
        monkeypatch.setenv("HTTPS_PROXY", tunnel.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
        # A proxy that does not know the metadata server: nobody may ask it.
        monkeypatch.setenv("HTTP_PROXY", tunnel.url)
        yield metadata, tunnel


def without(learned: Iterable[Sensitive], text: str) -> str:
    """A text in which the secrets that the agent has learned are masked, and no others."""
    for secret in learned:
        text = text.replace(secret.reveal(), "***")
    return text

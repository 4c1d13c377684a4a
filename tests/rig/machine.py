"""The machine on which a test's agent runs: a namespace with a certificate authority, host names and servers."""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.demo.listener import Handler, Listener
from tests.rig.authority import Authority
from tests.rig.namespace import Namespace

METADATA_ADDRESS: Final = "169.254.169.254"


class Machine:
    """A machine that resolves any host name, even real ones. The names of a group share an address.

    The addresses are outside 127.0.0.0/8: Docker treats a registry on loopback as insecure, and falls back to http. All
    names exist from the start, because the engine reads /etc/hosts at most every 5 s.
    """

    def __init__(self, directory: Path, groups: Sequence[Sequence[str]]) -> None:
        self.authority: Final = Authority(directory)
        self._addresses: Final = {name: f"10.77.1.{n}" for n, group in enumerate(groups, 1) for name in group}
        hosts = directory / "hosts"
        lines = (f"{address} {name}\n" for name, address in self._addresses.items())
        hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))
        binds = {Path("/etc/hosts"): hosts, Path("/etc/ssl/certs/ca-certificates.crt"): self.authority.bundle}
        self.namespace: Final = Namespace("10.77.0.1/16", binds)

    @property
    def trust(self) -> dict[str, str]:
        """The environment variables that make programs trust the authority."""
        bundle = str(self.authority.bundle)
        return {"SSL_CERT_FILE": bundle, "AWS_CA_BUNDLE": bundle}

    def address(self, name: str) -> str:
        return self._addresses[name]

    @contextmanager
    def serving(self, handle: Handler, *names: str) -> Iterator[Listener]:
        """Serve the names of one group over TLS on port 443."""
        with self.listening(handle, self.address(names[0]), 443, self.authority.context(*names)) as listener:
            yield listener

    @contextmanager
    def listening(
        self, handle: Handler, address: str, port: int, tls: ssl.SSLContext | None = None
    ) -> Iterator[Listener]:
        async def open_() -> Listener:
            listener = Listener(handle, host=address, port=port, tls=tls)
            await listener.up()
            return listener

        listener = self.namespace.call(open_())
        try:
            yield listener
        finally:
            self.namespace.call(listener.close())

    @contextmanager
    def silent(self, name: str) -> Iterator[None]:
        """Accept connections to `name`, and never answer."""
        with self.namespace.listen(self.address(name), 443):
            yield

    def close(self) -> None:
        self.namespace.close()

"""The certificate of the simulated registries works for every client that logs in to them."""

import ssl

import aiohttp
import pytest
from cryptography import x509

from agent.demo.listener import Listener
from agent.demo.tls import AUTHORITY, server_context
from tests.fakecloud.registries import PretendRegistry


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
async def test_the_certificate_passes_the_strictest_check_of_python(host: str) -> None:
    """Python 3.13 uses this check by default."""
    strict = ssl.create_default_context(cadata=AUTHORITY)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    listening = "::1" if host == "::1" else "127.0.0.1"
    async with (
        Listener(PretendRegistry(None).handle, host=listening, tls=server_context()) as door,
        aiohttp.ClientSession() as client,
    ):
        name = f"[{host}]" if ":" in host else host
        async with client.get(f"https://{name}:{door.port}/v2/", ssl=strict) as answer:
            assert answer.status == 200


def test_the_certificate_outlives_this_project() -> None:
    """It is valid even if a test moves the clock by years, or if a machine's clock is far behind."""
    certificate = x509.load_pem_x509_certificate(AUTHORITY.encode())
    assert (certificate.not_valid_before_utc.year, certificate.not_valid_after_utc.year) == (2000, 2084)

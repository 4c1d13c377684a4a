"""Real clients ask for a private image, with what the agent left behind and nothing else."""

import pytest

from tests.torture.clients.clients import CLIENTS, Client
from tests.torture.clients.site import Site
from tests.torture.clients.table import Table

pytestmark = [pytest.mark.torture, pytest.mark.engine]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_uses_the_login(client: Client, site: Site, table: Table) -> None:
    """It gets the private image with the login, and not without. The list of clients says which ignore a login."""
    anonymous = site.request(client, site.nobody)
    assert anonymous.returncode != 0, f"not private: this test proves nothing\n{anonymous.stdout}{anonymous.stderr}"
    wrong = site.registry.wrong.total()  # podman's family sends an empty user name when it has no login

    done = site.request(client, site.home)

    works = done.returncode == 0
    table.note(client, site.version(client), site.login, works=works)
    assert works is (site.login.name not in client.ignores), done.stdout + done.stderr
    assert site.registry.wrong.total() == wrong, "a wrong password was sent"

"""Real clients ask for a private image, with the login that the agent keeps and nothing else."""

import pytest

from tests.torture.clients.clients import CLIENTS, Client
from tests.torture.clients.logins import BASIC, STORES
from tests.torture.clients.site import Site
from tests.torture.clients.table import Table

pytestmark = [pytest.mark.torture, pytest.mark.engine]

_each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
_each_store = pytest.mark.parametrize("site", [(BASIC, store) for store in STORES], ids=STORES, indirect=True)


@_each_client
def test_a_client_uses_the_login(client: Client, site: Site, table: Table) -> None:
    """It gets the private image with the login, and not without. The list of clients says which ignore a login."""
    anonymous = site.request(client, site.nobody)
    assert anonymous.returncode != 0, f"not private: this test proves nothing\n{anonymous.stdout}{anonymous.stderr}"
    wrong = site.registry.wrong.total()  # podman's family sends an empty user name when it has no login

    done = site.request(client, site.home)

    works = done.returncode == 0
    table.note(client, site.version(client), site.login, site.store, works=works)
    assert works is client.uses(site.login.name, site.store), done.stdout + done.stderr
    assert site.registry.wrong.total() == wrong, "a wrong password was sent"


@_each_store
@_each_client
def test_a_client_waits_for_a_slow_agent(client: Client, site: Site) -> None:
    """With logins in memory, the answer comes seconds later. With the file, no client asks the agent."""
    with site.slow():
        done = site.request(client, site.home)
    assert done.returncode == 0, done.stdout + done.stderr


@_each_store
@_each_client
def test_a_client_without_an_agent(client: Client, site: Site, table: Table) -> None:
    """The login in the file works. Without it, the client shows why, as far as it repeats what a helper says."""
    with site.gone():
        done = site.request(client, site.home)
    said = done.stdout + done.stderr
    works, has_reason = done.returncode == 0, "registry-agent is not running" in said
    table.note_without_agent(client, site.store, has_reason=has_reason)
    assert works is (site.store == "file"), said
    assert has_reason is (site.store == "helper" and not client.gives_no_reason), said

"""`docs/clients.md` lists the clients that are tested here."""

import pytest

from tests.torture.clients.clients import CLIENTS, Client
from tests.torture.clients.logins import LOGINS, STORES
from tests.torture.clients.table import NEVER, documented, header_of, reason, said


@pytest.mark.parametrize("store", STORES)
def test_each_client_has_its_row(store: str) -> None:
    """With the results that the tests expect, as far as they have run. `make clients` writes the rows."""
    header, *rows = documented(store)
    assert header == header_of(store)
    assert [row[0] for row in rows] == [client.name for client in CLIENTS], "run `make clients`"
    for client, row in zip(CLIENTS, rows, strict=True):
        pairs = zip(row[2:], _cells(client, store), strict=True)
        wrong = [cell for cell, expected in pairs if cell not in (expected, NEVER)]
        assert wrong == [], client.name


def _cells(client: Client, store: str) -> list[str]:
    last = (client.remark or "-") if store == "file" else reason(is_shown=not client.gives_no_reason)
    return [*(said(works=client.uses(login.name, store)) for login in LOGINS), last]

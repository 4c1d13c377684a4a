"""`docs/clients.md` lists the clients that are tested here."""

from tests.torture.clients.clients import CLIENTS
from tests.torture.clients.logins import LOGINS
from tests.torture.clients.table import documented, said


def test_each_client_has_its_row() -> None:
    """With the result for each kind of login that the tests expect. `make clients` writes the rows."""
    header, *rows = documented()
    assert header[2:-1] == [login.name for login in LOGINS]
    expected = [[said(works=login.name not in client.ignores) for login in LOGINS] for client in CLIENTS]
    assert [(row[0], row[2:-1]) for row in rows] == [
        (client.name, cells) for client, cells in zip(CLIENTS, expected, strict=True)
    ], "run `make clients`"
    assert [row[-1] for row in rows] == [client.remark or "-" for client in CLIENTS]

"""The results of the clients, in the form of `docs/clients.md`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.torture.clients.clients import CLIENTS, Client
from tests.torture.clients.logins import LOGINS, STORES, Login

DOCUMENT: Final = Path(__file__).parents[3] / "docs/clients.md"
_LAST: Final = {"file": "remarks", "helper": "without an agent"}
NEVER: Final = "not tried"
_TABLE: Final = re.compile(r"^\| client \|.*?(?=\n\n|\n\Z)", re.MULTILINE | re.DOTALL)


class Table:
    """Collects what the tests see."""

    def __init__(self) -> None:
        self._versions: Final[dict[str, str]] = {}
        self._cells: Final[dict[tuple[str, str, str], str]] = {}

    def note(self, client: Client, version: str, login: Login, store: str, *, works: bool) -> None:
        self._versions[client.name] = version
        self._cells[client.name, store, login.name] = said(works=works)

    def note_without_agent(self, client: Client, store: str, *, has_reason: bool) -> None:
        self._cells[client.name, store, _LAST["helper"]] = reason(is_shown=has_reason)

    def write(self) -> None:
        """Replace the tables in the document. What did not run this time keeps its former result."""
        tables = iter([self._table(store) for store in STORES])
        DOCUMENT.write_text(_TABLE.sub(lambda _: next(tables), DOCUMENT.read_text()))

    def _table(self, store: str) -> str:
        header, *before = documented(store)
        former = {row[0]: dict(zip(header, row, strict=True)) for row in before}
        rows = [header, ["---"] * len(header), *(self._row(client, store, header, former) for client in CLIENTS)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _row(self, client: Client, store: str, header: list[str], former: Mapping[str, dict[str, str]]) -> list[str]:
        known = former.get(client.name, dict.fromkeys(header, NEVER))
        seen = {
            column: cell for (name, where, column), cell in self._cells.items() if (name, where) == (client.name, store)
        }
        fixed = {"client": client.name, "version": self._versions.get(client.name, known["version"])}
        remark = {"remarks": client.remark or "-"} if store == "file" else {}
        return [({**known, **seen, **fixed, **remark})[column] for column in header]


def header_of(store: str) -> list[str]:
    return ["client", "version", *(login.name for login in LOGINS), _LAST[store]]


def said(*, works: bool) -> str:
    return "works" if works else "does not use it"


def reason(*, is_shown: bool) -> str:
    return "shows why" if is_shown else "gives no reason"


def documented(store: str) -> list[list[str]]:
    """Return the rows of the store's table in the document, with its header and without the line below it."""
    lines = _TABLE.findall(DOCUMENT.read_text())[STORES.index(store)].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]

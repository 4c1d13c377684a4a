"""The results of the clients, in the form of `docs/clients.md`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.torture.clients.clients import CLIENTS, Client
from tests.torture.clients.logins import LOGINS, Login

DOCUMENT: Final = Path(__file__).parents[3] / "docs/clients.md"
_HEADER: Final = ("client", "version", *(login.name for login in LOGINS), "remarks")
_NEVER: Final = "not tried"
_TABLE: Final = re.compile(r"^\| client \|.*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


class Table:
    """Collects what the tests see."""

    def __init__(self) -> None:
        self._versions: Final[dict[str, str]] = {}
        self._works: Final[dict[tuple[str, str], bool]] = {}

    def note(self, client: Client, version: str, login: Login, *, works: bool) -> None:
        self._versions[client.name] = version
        self._works[client.name, login.name] = works

    def write(self) -> None:
        """Replace the table in the document. What did not run this time keeps its former result."""
        before = {row[0]: row[1:-1] for row in documented()}
        rows = [_HEADER, ("---",) * len(_HEADER), *(self._row(client, before) for client in CLIENTS)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        DOCUMENT.write_text(_TABLE.sub(lambda _: table, DOCUMENT.read_text()))

    def _row(self, client: Client, before: Mapping[str, list[str]]) -> tuple[str, ...]:
        version, *cells = before.get(client.name, ["-", *(_NEVER for _ in LOGINS)])
        for number, login in enumerate(LOGINS):
            works = self._works.get((client.name, login.name))
            cells[number] = cells[number] if works is None else said(works=works)
        return (client.name, self._versions.get(client.name, version), *cells, client.remark or "-")


def said(*, works: bool) -> str:
    return "works" if works else "does not use it"


def documented() -> list[list[str]]:
    """The rows of the table in the document, with its header and without the line below it."""
    found = _TABLE.search(DOCUMENT.read_text())
    lines = found[0].splitlines() if found else []
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]

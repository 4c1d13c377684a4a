"""Reports stored logins to the board: the only reports of `login_overridden` and `login_restored`."""

from collections.abc import Callable, Iterable
from typing import Final

from agent.model.problem import Problem
from agent.services.managed_login import ManagedLogin
from agent.services.ports import Board


class StoredLoginReports:
    """Each registry has its own owner on the board. `on_news` is that of the reconciler."""

    def __init__(self, board: Board, on_news: Callable[[str], None]) -> None:
        self._board: Final = board
        self._on_news: Final = on_news

    def show(self, login: ManagedLogin, *, repeat: bool = True) -> None:
        """Report what is known about a login. `repeat` is that of `Reporter.report`."""
        self._board.set_stored_in(login.hostname, login.stored_in if login.ours and login.lost is None else None)
        self.replace(login.hostname, login.problems, repeat=repeat)
        if login.news != login.reported:
            login.reported = login.news
            self._on_news(login.hostname)

    def replace(self, hostname: str, problems: Iterable[Problem] = (), *, repeat: bool = True) -> None:
        """Report these problems, and none of those before."""
        self._board.report(f"stored:{hostname}", problems, repeat=repeat)

    def clear(self, hostname: str) -> None:
        self.replace(hostname)
        self._board.set_stored_in(hostname, None)

"""Which tests run in one worker, and which of them run first."""

from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

_SHARING: Final = frozenset({"tests/image", "tests/page", "tests/e2e"})
"""Directories whose files share fixtures that start slowly: an engine with the image, a browser, registries."""
# A slow file that starts last would keep one worker busy while the others have nothing to do.
_FIRST: Final = (
    *("tests/install", "tests/image", "tests/e2e", "tests/boot", "tests/deploy", "tests/words", "tests/page"),
    *("tests/hostile", "tests/codes", "tests/doctor", "tests/services", "tests/web_attacks"),
)


class FileScheduling(LoadScopeScheduling):
    """Gives a worker all tests of a file, or of a directory in `_SHARING`, since they share fixtures.

    Not `--dist=loadgroup`: pytest-xdist 3.8 writes the group into a private attribute that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        directory = str(Path(file).parent)
        return directory if directory in _SHARING else file


def slow_first(items: list[pytest.Item]) -> None:
    """Sort `items` by directory, those of `_FIRST` first. The order within a directory does not change."""
    ranks = {directory: rank for rank, directory in enumerate(_FIRST)}
    items.sort(key=lambda item: ranks.get(str(Path(item.nodeid.partition("::")[0]).parent), len(ranks)))

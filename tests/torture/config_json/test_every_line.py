"""A write of config.json that is killed, or disturbed by another write, before each line of its code."""

from pathlib import Path

import pytest

from tests.torture import campaign
from tests.torture.config_json.programs import MOUNTED, seen_by

_WAYS = [(layout, stranger) for layout in ("plain", "linked", "new") for stranger in ("rename", "rewrite")]
_SHORT = [("plain", "rename"), ("linked", "rewrite"), ("new", "rename")]
"""These contain each layout and each stranger."""
_ALL = 20_000


def explore(directory: Path, layout: str, stranger: str, pairs: int) -> str:
    """Explore one layout, and return the figures. Fails if anything was wrong."""
    seen = seen_by("lines", directory / "d", layout, stranger, pairs, campaign.seed(), 0, prepare="mkdir -p d/.docker")
    assert not seen["faults"], "\n".join(seen["faults"][:20])
    assert seen["kills"] >= seen["lines"]
    assert seen["left"], "no kill met a temporary file: the campaign tries nothing"
    return (
        f"{seen['lines']} lines; {seen['kills']} kills, {seen['left']} of them left a temporary file, "
        f"{seen['strangers']} strangers' writes, {seen['both']} times both; nothing lost"
    )


@pytest.mark.parametrize(("layout", "stranger"), _SHORT)
def test_a_kill_or_a_stranger_at_any_line_loses_nothing(tmp_path: Path, layout: str, stranger: str) -> None:
    """What is not ours survives, at once and after the next start, which removes temporary files. Then ours is stored.

    With both, the kill may come in the microsecond in which the stranger's version is taken out. The next start puts it
    back.
    """
    explore(tmp_path, layout, stranger, 60)


@pytest.mark.parametrize("longer", [0, 2000], ids=["growing", "shrinking"])
def test_a_kill_at_any_line_leaves_a_small_mounted_file_whole(tmp_path: Path, longer: int) -> None:
    """A write in place is not atomic. But a file of one page is valid, with all that is not ours, at every line."""
    prepare = f"mkdir d && cd d && mkdir .docker\n{MOUNTED}"
    seen = seen_by("lines", tmp_path / "d", "mounted", "none", 0, 0, longer, prepare=prepare)
    assert not seen["faults"], "\n".join(seen["faults"])
    assert seen["kills"] == seen["lines"]


@pytest.mark.torture
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("layout", "stranger"), _WAYS)
def test_all_pairs_of_a_kill_and_a_stranger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, stranger: str
) -> None:
    """The same with every pair of lines at which the two can interfere."""
    figures = explore(tmp_path, layout, stranger, campaign.times(_ALL))
    campaign.say(capsys, f"config.json, each line ({layout}, {stranger})", figures)

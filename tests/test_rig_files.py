"""Tests that look through a directory do not depend on the moment at which a program writes there."""

from pathlib import Path

from tests.rig.files import contents, read, regular_files


def test_files_that_vanish_meanwhile(tmp_path: Path) -> None:
    """A temporary file is renamed, or its directory removed, after its name was read."""
    for name in ("a", "b", "c/d"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / "link").symlink_to("a")
    assert {content for _, content in contents(tmp_path)} == {b"a", b"b", b"c/d"}

    names = {path for path, _ in regular_files(tmp_path)}
    (tmp_path / "a").unlink()
    assert {content for _, content in read(names)} == {b"b", b"c/d"}

    walk = regular_files(tmp_path)
    next(walk)
    (tmp_path / "c/d").unlink()
    (tmp_path / "c").rmdir()
    assert [*walk] == []

"""Tests of the login files that podman, skopeo and buildah use before Docker's."""

import os
from pathlib import Path

from agent.edge.podman_auth import PodmanAuthFiles


async def test_reads_the_files_in_podmans_order(tmp_path: Path) -> None:
    """Missing files, broken files and pipes are left out."""
    places = [
        tmp_path / "given.json",
        tmp_path / "run/containers/auth.json",
        tmp_path / "home/.config/containers/auth.json",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text('{"auths": {}}')
    environ = {"REGISTRY_AUTH_FILE": str(places[0]), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    files = PodmanAuthFiles(environ, tmp_path / "home")
    assert list(await files.read()) == [str(place) for place in places]
    before = await files.signature()
    places[0].write_text("{")
    places[1].unlink()
    os.mkfifo(places[1])
    assert list(await files.read()) == [str(places[2])]
    assert await files.signature() != before

"""What the page requests in addition to the status: the timeline and its rights. Also: the package has the page."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent.settings import StatusSettings
from tests.web.serving import serving

ROOT = Path(__file__).parents[2]
RIGHT = {"Authorization": "Bearer s3cret"}


async def test_the_timeline_is_protected_like_the_log() -> None:
    """It is JSON lines, the newest last, and requires the token if one is set."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.timeline.note("info", {"event": "clock.jumped", "seconds": 3.0})
        answer = await tcp.get("/v1/timeline")
        assert answer.content_type == "application/x-ndjson"
        entry = {"time": "2026-01-01T00:00:00Z", "level": "info", "event": "clock.jumped", "seconds": 3.0}
        assert [json.loads(line) for line in (await answer.text()).splitlines()] == [entry]
        rig.status = StatusSettings(listen="127.0.0.1:0", token_file=rig.use_token("s3cret"))
        assert (await tcp.get("/v1/timeline")).status == 401
        assert (await tcp.get("/v1/timeline", headers=RIGHT)).status == 200
        assert (await tcp.get("/v1/timeline", headers={"Host": "evil.example"})).status == 403


async def test_the_rights_match_what_renew_allows() -> None:
    """Renewing is allowed on the socket and with the token, but not over TCP if none is set, as in POST /v1/renew."""
    async with serving() as rig, rig.on_tcp() as tcp, rig.on_socket() as unix:
        rig.log_in()
        for session, headers, token, may in (
            (unix, {}, False, True),
            (tcp, {}, False, False),
            (tcp, RIGHT, False, False),
            (tcp, RIGHT, True, True),
            (unix, {}, True, True),
        ):
            file = rig.use_token("s3cret") if token else None
            rig.status = StatusSettings(listen="127.0.0.1:0", token_file=file)
            rights = await (await session.get("/v1/rights", headers=headers)).json()
            done = await session.post("/v1/renew", headers=headers, json={"hostname": "ghcr.io"})
            assert (rights, done.status) == ({"renew": may}, 202 if may else 403)
        assert (await tcp.get("/v1/rights")).status == 401


def test_the_package_has_the_page(tmp_path: Path) -> None:
    """All its files are in the wheel, which the image and the installer unpack."""
    for name in ("agent", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, tmp_path / name, ignore=skip) if source.is_dir() else shutil.copy(source, tmp_path)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        inside = {name for name in packed.namelist() if name.startswith("agent/web/page/")}
    assert inside == {f"agent/web/page/{file.name}" for file in (ROOT / "agent/web/page").iterdir()}
    assert inside


@pytest.mark.parametrize("name", ["page.html", "card.html"])
def test_each_shell_has_a_place_for_style_and_script(name: str) -> None:
    """There is exactly one of each, so that nothing is inserted twice, or not at all."""
    text = (ROOT / "agent/web/page" / name).read_text()
    assert (text.count("<style></style>"), text.count('<script type="module"></script>')) == (1, 1)

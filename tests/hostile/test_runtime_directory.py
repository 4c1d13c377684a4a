"""Other users of the machine can write to the runtime directory, as to /tmp."""

import contextlib
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.codes.world import PASSWORD, World
from tests.fakecloud.faults import Broken
from tests.hostile.conftest import STRANGER
from tests.rig.files import contents
from tests.rig.waiting import until

pytestmark = pytest.mark.usefixtures("screens")

Plant = Callable[[Path, Path], None]


def _link(stranger: Path, name: Path) -> None:
    name.symlink_to(stranger)
    os.lchown(name, STRANGER, STRANGER)


def _theirs(_stranger: Path, name: Path) -> None:
    name.mkdir()
    name.chmod(0o777)
    os.chown(name, STRANGER, STRANGER)


def _file(_stranger: Path, name: Path) -> None:
    name.write_text("")
    os.chown(name, STRANGER, STRANGER)


def _pipe(_stranger: Path, name: Path) -> None:
    os.mkfifo(name)
    os.chown(name, STRANGER, STRANGER)


class Thief:
    """Watches a directory, notes every entry, and replaces it with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.loot: set[str] = set()
        self._directory = directory
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._steal, daemon=True)
        self._thread.start()

    def stop(self) -> set[str]:
        self._stopped.set()
        self._thread.join()
        return self.loot

    def _steal(self) -> None:
        while not self._stopped.is_set():
            for path in self._directory.iterdir() if self._directory.is_dir() else ():
                self.loot.add(path.name)
                with contextlib.suppress(OSError):
                    path.rename(path.with_name("taken"))
                    path.mkdir(mode=0o777)
                    path.chmod(0o777)


@pytest.fixture
def shared(world: World) -> Path:
    """Return the runtime directory, with the mode of /tmp or of a tmpfs that an image mounts for any user."""
    world.agent.runtime.chmod(0o1777)
    os.chown(world.agent.runtime, STRANGER + 1, STRANGER + 1)
    return world.agent.runtime


@pytest.mark.parametrize("plant", [_link, _theirs, _file, _pipe])
def test_a_planted_place_for_logins(world: World, shared: Path, stranger: Path, plant: Plant) -> None:
    """No login runs in it, where a stranger could steal it. Logins still work, and leave no password behind."""
    name = shared / "logins"
    plant(stranger, name)
    thief = Thief(stranger if plant is _link else name)
    world.start()
    world.nothing_stopped()
    assert thief.stop() == set()
    assert [path for path, content in contents(shared) if PASSWORD.encode() in content] == []
    assert world.agent.docker_config()["auths"].keys() == {world.good.hostname}


def test_what_a_killed_agent_left_is_found_again(world: World, shared: Path, stranger: Path) -> None:
    """The next start removes it, even if a stranger has put a directory next to it."""
    _theirs(stranger, shared / "logins")
    door = world.registry("silent")
    door.registry.fault = Broken.SILENT
    world.start()
    until("a login that hangs", lambda: [*shared.glob("logins-*/config.json")])
    world.agent.end(signal.SIGKILL)
    left = [*shared.glob("logins-*/config.json")]
    assert left
    door.registry.fault = None
    world.start()
    world.agent.wait_logged_in(door.hostname)
    assert [path for path in left if path.exists()] == []


def _alive(_stranger: Path, name: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(name))
        listener.listen()
        os.chown(name, STRANGER, STRANGER)
        _KEPT_OPEN.append(listener.dup())


_KEPT_OPEN: Final[list[socket.socket]] = []


@pytest.fixture
def _close_sockets() -> Iterator[None]:
    yield
    while _KEPT_OPEN:
        _KEPT_OPEN.pop().close()


@pytest.mark.usefixtures("_close_sockets")
@pytest.mark.parametrize("plant", [pytest.param(_link, marks=pytest.mark.torture), _alive])
def test_a_planted_status_socket(world: World, shared: Path, stranger: Path, plant: Plant) -> None:
    """It is neither followed nor removed. Logins go on, TCP shows the warning, and the socket opens once it is gone."""
    name = shared / "agent.sock"
    plant(stranger, name)
    found = _kept(name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    starter = threading.Thread(target=world.start, args=({"status": {"listen": f"127.0.0.1:{port}"}},))
    starter.start()
    try:
        until("a login", lambda: _told(port, "1 of 1 registries logged in"))
        assert _told(port, "status_listen_failed")
        assert _kept(name) == found
    finally:
        name.rmdir() if name.is_dir() and not name.is_symlink() else name.unlink()
        starter.join()
    assert [*stranger.iterdir()] == []
    world.cleared("status_listen_failed", str(name))


def _kept(path: Path) -> tuple[int, ...]:
    """Its identity, mode, owner and last change. To look at the socket may set its access time."""
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, found.st_ctime_ns


def _told(port: int, text: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/status", timeout=5) as reply:
        return text in reply.read().decode()
    return False

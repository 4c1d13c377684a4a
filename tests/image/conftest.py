"""The image, and a machine with registries, on which the image runs."""

import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.image.container import Containers
from tests.prepare.image import ARCHIVE
from tests.prepare.steps import DEBIAN_12
from tests.prepare.steps import IMAGE as BUILT_IMAGE
from tests.rig.cloud import API, ECR, Cloud, cloud_on
from tests.rig.distribution import Distribution
from tests.rig.engine import Engine
from tests.rig.image import IMAGE, import_debian
from tests.rig.machine import Machine
from tests.rig.needs import need, prepared

PRIVATE: Final = "registry.example.test"
OLDER: Final = "older-debian:1"

Say: TypeAlias = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Shows a figure on the terminal, in spite of pytest's capture."""

    def say(figure: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n    {figure}\n")

    return say


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need("ip", "nsenter", "docker")
    machine = Machine(tmp_path_factory.mktemp("machine"), [(PRIVATE,), API, (ECR,)])
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def engine(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has the image, but no access to the Internet."""
    need("dockerd")
    archive = prepared(BUILT_IMAGE) / ARCHIVE
    scratch = tmp_path_factory.mktemp("engine")
    engine = Engine(machine.namespace, scratch / "run")
    engine.must("load", "--input", archive, config=scratch, timeout=600)
    yield engine
    engine.close()
    shutil.rmtree(scratch)


@pytest.fixture(scope="session")
def files(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> list[tarfile.TarInfo]:
    """All files in the image."""
    scratch = tmp_path_factory.mktemp("files")
    created = engine.must("create", "--name=files", IMAGE, config=scratch).strip()
    engine.must("export", "--output", scratch / "files.tar", created, config=scratch)
    engine.must("rm", created, config=scratch)
    with tarfile.open(scratch / "files.tar") as archive:
        found = archive.getmembers()
    (scratch / "files.tar").unlink()
    return found


@pytest.fixture
def containers(machine: Machine, engine: Engine, tmp_path: Path) -> Iterator[Containers]:
    """Starts containers. They are removed at the end."""
    containers = Containers(engine, machine, tmp_path)
    yield containers
    containers.remove()


@pytest.fixture(scope="session")
def private(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real registry with TLS and a user alice at `PRIVATE`."""
    need("docker-registry", "htpasswd")
    directory = tmp_path_factory.mktemp("private") / "run"
    tls, users = machine.authority.files(PRIVATE), {"alice": "wonderland"}
    distribution = Distribution(machine.namespace, directory, machine.address(PRIVATE), 443, tls=tls, users=users)
    yield
    distribution.close()


@pytest.fixture
def cloud(machine: Machine, tmp_path: Path) -> Iterator[Cloud]:
    """A pretend AWS, whose metadata service provides the machine's role, and an ECR registry."""
    need("docker-registry")
    images = Distribution(machine.namespace, tmp_path / "images", "127.0.0.1", 5000)
    with cloud_on(machine, "http://127.0.0.1:5000") as cloud:
        yield cloud
    images.close()


@pytest.fixture(scope="session")
def older_debian(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of the Debian release before the tree's. It has an older C library, and no Python."""
    import_debian(engine, prepared(DEBIAN_12), OLDER, tmp_path_factory.mktemp("older"), {})
    return OLDER

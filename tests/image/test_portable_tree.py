"""The image as a source of files: its directory works after a copy into images without Python."""

from pathlib import Path
from typing import Final

import pytest

from tests.image.conftest import PRIVATE
from tests.image.container import Containers, Home
from tests.rig.image import IMAGE
from tests.rig.machine import Machine
from tests.rig.waiting import until

pytestmark = pytest.mark.engine

AGENT: Final = "/opt/registry-agent/bin/registry-agent"
PYTHON: Final = "/opt/registry-agent/libexec/python3"
COPY: Final = f"COPY --from={IMAGE} /opt/registry-agent /opt/registry-agent\n"
DOCKER: Final = f"COPY --from={IMAGE} /usr/bin/docker /usr/bin/docker\n"
C_LIBRARY: Final = f"COPY --from={IMAGE} /lib /lib\nCOPY --from={IMAGE} /lib64 /lib64\n"
EMPTY: Final = "an empty image"
DEBIAN: Final = "an older Debian without Python"
ASK: Final = (
    "import ssl; print(len(ssl.create_default_context().get_ca_certs()), ssl.get_default_verify_paths().cafile)"
)


@pytest.fixture(params=[EMPTY, DEBIAN])
def environment(request: pytest.FixtureRequest, containers: Containers) -> str:
    """An environment's image with the directory and a docker CLI."""
    if request.param == EMPTY:
        return containers.build("FROM scratch\n" + COPY + DOCKER + C_LIBRARY)
    return containers.build(f"FROM {request.getfixturevalue('older_debian')}\n" + COPY + DOCKER)


def test_it_runs_where_there_is_no_python(containers: Containers, environment: str) -> None:
    """The directory is enough. It needs no interpreter, no matching C library, and no shell."""
    done = containers.run(AGENT, "--version", image=environment)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("registry-agent ")


@pytest.mark.usefixtures("private")
def test_it_logs_in_there(containers: Containers, environment: str, tmp_path: Path) -> None:
    """`run --once` finds the registry by name, trusts its certificate, and logs in."""
    home = Home(tmp_path / "home")
    home.give("team", PRIVATE, username="alice", password="wonderland")
    done = containers.run(AGENT, "run", "--once", image=environment, options=_as_root(containers, home))

    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert PRIVATE in (home.docker / "config.json").read_text()


@pytest.mark.usefixtures("private")
def test_it_says_its_status_there(containers: Containers, environment: str, tmp_path: Path) -> None:
    """The daemon answers, logs in with the docker CLI, and checks the engine with the SDK in a child process."""
    home = Home(tmp_path / "home")
    home.give("team", PRIVATE, username="alice", password="wonderland")
    engine = "--volume=/run/docker.sock:/var/run/docker.sock"
    container = containers.start(AGENT, "run", image=environment, options=(*_as_root(containers, home), engine))

    status = container.status()
    assert [row["state"] for row in status["registries"]] == ["logged_in"], container.log()
    until("a reachable engine", lambda: container.status()["tools"]["docker"]["engine"] == "reachable")
    assert container.stop() == 0


def test_variables_for_other_programs_do_not_reach_it(containers: Containers, older_debian: str) -> None:
    """A person's search paths for their own Python and libraries have no effect."""
    image = containers.build(f"FROM {older_debian}\n" + COPY)
    others = ("PYTHONHOME=/nowhere", "PYTHONPATH=/nowhere", "LD_LIBRARY_PATH=/lib/x86_64-linux-gnu", "PYTHONSTARTUP=/x")
    done = containers.run(AGENT, "check-config", image=image, options=tuple(f"--env={pair}" for pair in others))

    assert done.returncode == 0, done.stderr


def test_an_image_without_authorities_gets_the_directory_s_own(containers: Containers) -> None:
    """So the agent can also trust public registries in an empty image."""
    assert _trust(containers, "FROM scratch\n" + COPY).endswith("certifi/cacert.pem")


def test_an_image_s_own_authorities_come_first(containers: Containers, older_debian: str) -> None:
    """If the image has authorities, only those count. So a company's own, added there, are trusted."""
    assert "certifi" not in _trust(containers, f"FROM {older_debian}\n" + COPY)


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("place", ["/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"], ids=["alpine", "fedora"])
def test_authorities_are_found_where_other_systems_keep_them(
    containers: Containers, machine: Machine, place: str
) -> None:
    """The agent looks where docker looks, so a company's authority in Alpine's or Fedora's file is trusted."""
    image = containers.build("FROM scratch\n" + COPY)
    connect = (
        f"import socket, ssl; ssl.create_default_context().wrap_socket("
        f"socket.create_connection(('{PRIVATE}', 443)), server_hostname='{PRIVATE}')"
    )
    ask = (PYTHON, "-I", "-c", connect)

    trusting = containers.run(*ask, image=image, options=(f"--volume={machine.authority.bundle}:{place}:ro",))
    assert trusting.returncode == 0, trusting.stderr
    assert "CERTIFICATE_VERIFY_FAILED" in containers.run(*ask, image=image).stderr


def test_a_named_file_of_authorities_is_the_only_one(containers: Containers, machine: Machine) -> None:
    """If SSL_CERT_FILE is set, only those authorities count. No others are added."""
    bundle = f"--volume={machine.authority.bundle}:/ca.pem:ro"

    assert _trust(containers, "FROM scratch\n" + COPY, bundle, "--env=SSL_CERT_FILE=/ca.pem", least=1) == "/ca.pem"


def _trust(containers: Containers, dockerfile: str, *options: str, least: int = 100) -> str:
    """Return the authorities file in use. It must have exactly 1 authority if `least` is 1, else at least `least`."""
    done = containers.run(PYTHON, "-I", "-c", ASK, image=containers.build(dockerfile), options=options)
    assert done.returncode == 0, done.stderr
    count, file = done.stdout.split()
    assert int(count) == least if least == 1 else int(count) >= least, done.stdout
    return file


def _as_root(containers: Containers, home: Home) -> tuple[str, ...]:
    """Return the options of an environment's image: a home, and a company's authority where Debian keeps them."""
    return (
        *("--env=HOME=/home/agent", "--env=PATH=/usr/bin:/bin"),
        *home.mounts,
        containers.trust,
    )

"""The clients: where each comes from, and a request of it that needs a login."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.prepare.step import Step
from tests.prepare.steps import DEBIAN_12_CLIENTS, DEBIAN_13_CLIENTS, DOCKER_CLIS

_CLIS: Final = DOCKER_CLIS.result
_STORAGE: Final = {"STORAGE_DRIVER": "vfs"}  # works on any file system


@dataclass(frozen=True, slots=True)
class Client:
    """One program in one version.

    Attributes:
        name: the name in the table.
        tree: the Debian in which it runs.
        version: the command that prints its version.
        command: the request. `{image}`, `{repository}` and `{tag}` stand for the private image.
        stdin: what the command reads, with the same placeholders.
        env: its variables, apart from HOME and PATH.
        after: what has to be there as well.
        ignores: the kinds of login that it does not use.
        remark: what a reader of the table needs to know.
    """

    name: str
    tree: Step
    version: tuple[str, ...]
    command: tuple[str, ...]
    stdin: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    after: tuple[Step, ...] = ()
    ignores: frozenset[str] = frozenset()
    remark: str = ""


def _docker(suite: str, release: str) -> Client:
    program = f"{_CLIS}/{suite}/docker"
    return Client(
        f"docker, {release}",
        DEBIAN_13_CLIENTS,
        (program, "--version"),
        (program, "pull", "{image}"),
        after=(DOCKER_CLIS,),
    )


def _podman_family(tree: Step, release: str) -> tuple[Client, ...]:
    requests = {
        "podman": ("pull", "{image}"),
        "buildah": ("pull", "{image}"),
        "skopeo": ("inspect", "docker://{image}"),
    }
    return tuple(
        Client(f"{program}, {release}", tree, (program, "--version"), (program, *request), env=_STORAGE)
        for program, request in requests.items()
    )


CLIENTS: Final = (
    _docker("bookworm", "Debian 12"),
    _docker("trixie", "Debian 13"),
    _docker("sid", "Debian sid"),
    *_podman_family(DEBIAN_12_CLIENTS, "Debian 12"),
    *_podman_family(DEBIAN_13_CLIENTS, "Debian 13"),
)

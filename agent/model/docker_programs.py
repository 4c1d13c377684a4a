"""Identifies the program called docker by the output of `docker --version`."""

import re
from pathlib import Path
from typing import Final

_DOCKER: Final = re.compile(r"Docker version ([\w.+~-]+)", re.ASCII)
# podman prints the name that it was started as. Linked as docker, it prints "docker version 4.3.1", in lower case.
_PODMAN: Final = re.compile(r"(?:podman|docker) version (\d[\w.+~-]*)", re.ASCII)
_OTHER: Final = re.compile(r"(?!Docker )([A-Za-z][\w.+-]{0,30}) version (v?\d[\w.+~-]{0,30})", re.ASCII)


def own_version(output: bytes) -> str | None:
    """Return the version if Docker's own CLI printed `output`, otherwise None."""
    found = _DOCKER.match(_text(output))
    return found[1] if found else None


def podman_version(output: bytes) -> str | None:
    """Return the version if podman printed `output`, under whatever name it was started, otherwise None."""
    found = _PODMAN.match(_text(output))
    return found[1] if found else None


def is_snap(program: Path) -> bool:
    """Whether this path is one of snap's, such as /snap/bin/docker or /var/lib/snapd/snap/bin/docker."""
    return program.parts[-3:-1] == ("snap", "bin")


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the start of a version, such as (28, 2, 2)."""
    found = re.match(r"\d{1,9}(?:\.\d{1,9})*", version, re.ASCII)
    return tuple(map(int, found[0].split("."))) if found else ()


def foreign_program(output: bytes) -> str | None:
    """Return the name and version of another program that printed `output`, such as "nerdctl 1.7.6", or None."""
    other = _OTHER.match(_text(output))
    return None if other is None else f"{other[1]} {other[2]}"


def _text(output: bytes) -> str:
    return output.decode(errors="replace").lstrip()

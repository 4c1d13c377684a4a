"""Identifies the program called docker by the output of `docker --version`."""

import re
from pathlib import Path
from typing import Final

# Wrappers may print lines of their own before the version.
_LINE: Final = re.ASCII | re.MULTILINE
_DOCKER: Final = re.compile(r"^[ \t]*Docker version ([\w.+~-]+)", _LINE)
# podman prints the name that it was started as. Linked as docker, it prints "docker version 4.3.1", in lower case.
_PODMAN: Final = re.compile(r"^[ \t]*(?:podman|docker) version (\d[\w.+~-]*)", _LINE)
_OTHER: Final = re.compile(r"^[ \t]*(?!Docker )([A-Za-z][\w.+-]{0,30}) version (v?\d[\w.+~-]{0,30})", _LINE)


def own_version(output: bytes) -> str | None:
    """Return the version if Docker's own CLI printed `output`, otherwise None."""
    found = _DOCKER.search(_text(output))
    return found[1] if found else None


def podman_version(output: bytes) -> str | None:
    """Return the version if podman printed `output`, under whatever name it was started, otherwise None."""
    found = _PODMAN.search(_text(output))
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
    other = _OTHER.search(_text(output))
    return None if other is None else f"{other[1]} {other[2]}"


def _text(output: bytes) -> str:
    return output.decode(errors="replace")

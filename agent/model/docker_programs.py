"""What `docker --version` says about the program that is called docker."""

import re
from typing import Final

_OWN: Final = re.compile(r"Docker version ([\w.+~-]+)", re.ASCII)
# podman prints the name that it was started under: linked as docker, "docker version 4.3.1" in lower case.
_PODMAN: Final = re.compile(r"(?:podman|docker) version (\d[\w.+~-]*)", re.ASCII)
_OTHER: Final = re.compile(r"(?!Docker )([A-Za-z][\w.+-]{0,30}) version (v?\d[\w.+~-]{0,30})", re.ASCII)


def own_version(output: bytes) -> str | None:
    """The version, where Docker's own CLI printed `output`."""
    found = _OWN.match(_text(output))
    return found[1] if found else None


def foreign_program(output: bytes) -> str | None:
    """The name and version of the program that printed `output`, such as "podman 4.3.1"; None where it names none."""
    text = _text(output)
    podman = _PODMAN.match(text)
    if podman is not None:
        return f"podman {podman[1]}"
    other = _OTHER.match(text)
    return None if other is None else f"{other[1]} {other[2]}"


def _text(output: bytes) -> str:
    return output.decode(errors="replace").lstrip()

"""A package index in a directory, with wheels that contain only metadata and at most one script."""

import hashlib
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_EXTRA: Final = re.compile(r"""extra == ["']([\w.-]+)""")
_WHEEL: Final = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class Index:
    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory: Final = directory

    def add(self, name: str, version: str, requires: Iterable[str] = (), *, program: str | None = None) -> str:
        """Add a wheel, with `program` as a shell script of the same name. Return the lock file line that pins it."""
        path = self.directory / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        requires = list(requires)
        extras = {extra for text in requires for extra in _EXTRA.findall(text)}
        metadata = [
            *("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"),
            *(f"Provides-Extra: {extra}" for extra in sorted(extras)),
            *(f"Requires-Dist: {text}" for text in requires),
        ]
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n\n")
            wheel.writestr(f"{info}/WHEEL", _WHEEL)
            if program is not None:
                script = zipfile.ZipInfo(f"{info.removesuffix('.dist-info')}.data/scripts/{name}")
                script.external_attr = 0o100755 << 16  # a regular file
                wheel.writestr(script, f"#!/bin/sh\n{program}\n")
            wheel.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

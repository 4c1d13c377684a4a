"""Small programs instead of real ones."""

from pathlib import Path


def script(path: Path, *lines: str) -> None:
    """Write a shell script atomically. It replaces an existing file."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    unfinished.chmod(0o755)
    unfinished.replace(path)

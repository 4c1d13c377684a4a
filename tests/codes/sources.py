"""Creates the secrets of a world. Each is a canary, which the search for leaked secrets finds in any encoding."""

from pathlib import Path
from typing import Final

from tests.hunt.canary import SPECIAL, Canary

LOGIN_CANARY: Final = Canary.make("password")
PERSON_CANARY: Final = Canary.make("a person's own password")
PLAIN: Final = "+/"
"""The middle part of a secret that goes into an HTTP header, or belongs to AWS."""


class Sources:
    """`directory` holds files with a secret, and programs that return or store one."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory: Final = directory
        self.canaries: Final = [LOGIN_CANARY, PERSON_CANARY]

    def secret(self, name: str, special: str = SPECIAL) -> str:
        """A new secret. No part of it may be found elsewhere."""
        self.canaries.append(Canary.make(name, special))
        return self.canaries[-1].value

    def file(self, name: str) -> Path:
        """A file with a new token."""
        path = self.directory / name
        path.write_text(self.secret(name, PLAIN))
        return path

"""Where the secrets of a world come from. Each is a canary, so that the hunt knows it in whatever form it turns up."""

from pathlib import Path
from typing import Final

from tests.hunt.canary import SPECIAL, Canary

LOGIN_CANARY: Final = Canary.make("password")
PERSON_CANARY: Final = Canary.make("a person's own password")
PLAIN: Final = "+/"
"""What stands in the middle of a secret that must fit into a header, or is one of AWS's."""


class Sources:
    """`directory` is for files that hold a secret, and for programs that give or keep one."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory: Final = directory
        self.canaries: Final = [LOGIN_CANARY, PERSON_CANARY]

    def secret(self, name: str, special: str = SPECIAL) -> str:
        """A value of which nothing may be found elsewhere."""
        self.canaries.append(Canary.make(name, special))
        return self.canaries[-1].value

    def file(self, name: str) -> Path:
        """A file that holds a token of its own."""
        path = self.directory / name
        path.write_text(self.secret(name, PLAIN))
        return path

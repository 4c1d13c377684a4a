"""The first file of a bundle: its contents, what is missing, what was redacted, and which personal data remains."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent import __version__
from agent.model.status import rfc3339
from agent.model.text import printable

PERSONAL_DATA = (
    "The bundle names registries, secrets (by name, not by value), AWS accounts, roles and regions, the environment, "
    "and this machine with its users, files and addresses, because support needs them. Passwords, tokens, keys, user "
    "names in Docker's configuration and e-mail addresses are removed if this command knows them or recognises their "
    "form."
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The list of contents. Sizes are in bytes, by file. Counts are by kind. It contains no secret values."""

    name: str
    user: str
    made_at: datetime
    sizes: Mapping[str, int]
    origins: Mapping[str, str]
    missing: Mapping[str, str]
    known: Mapping[str, int]
    unread: Mapping[str, str]
    found: Counter[str]
    already: int

    @property
    def redacted(self) -> int:
        return self.found.total()

    def text(self) -> str:
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        yield self.name
        user = printable(self.user, 100)
        yield f"made {rfc3339(self.made_at)} by registry-agent {__version__} for the agent of user {user}"
        width = max(map(len, self.origins))
        contents = (f"{file:{width}}  {size:>9,} bytes  {self.origins[file]}" for file, size in self.sizes.items())
        yield from _section("CONTENTS", contents)
        missing = [f"{file:{width}}  {why}" for file, why in self.missing.items()]
        yield from _section("MISSING", missing or ["nothing"])
        found = [f"{count:>6} times  {kind}" for kind, count in self.found.most_common()]
        already = [f"{self.already:>6} times  already redacted by the agent"] if self.already else []
        yield from _section(
            "REDACTED: replaced with [redacted]", [*(found or ["nothing: no secret was found"]), *already]
        )
        known = [f"{count:>6} values  {source}" for source, count in self.known.items()]
        yield from _section("SECRETS REDACTED BY VALUE", known or ["none: no secret was found in the sources"])
        if self.unread:
            unread = (f"{source}: {why}" for source, why in self.unread.items())
            yield from _section("SECRETS THAT COULD NOT BE READ: redacted by pattern only", unread)
        yield from ("", "PERSONAL DATA", "", PERSONAL_DATA, "Read the bundle before you share it.")


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield from ("", title, "")
    yield from (f"  {line}" for line in lines)

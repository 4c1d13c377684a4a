"""The list that a bundle begins with: what is in it, what is not, what was redacted, what it tells of whom."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent import __version__
from agent.model.status import rfc3339
from agent.model.text import printable

PERSONAL_DATA = (
    "It names registries, secrets (by their names, not their values), AWS accounts, roles and regions, the "
    "environment, this machine, its users, files and addresses: support needs them. Passwords, tokens, keys, user "
    "names in Docker's configuration and e-mail addresses are taken out, where this command knows them or their form "
    "gives them away."
)
_LOOK = "Look through it before you give it to somebody whom that is not for."


@dataclass(frozen=True, slots=True)
class Manifest:
    """What became of each part, by its file; sizes in bytes. Counts are by kind, and no value is in it."""

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
        yield f"made {rfc3339(self.made_at)} by registry-agent {__version__} about the agent of {user}"
        yield from ("", "WHAT IS IN IT", "")
        width = max(map(len, self.origins))
        for file, size in self.sizes.items():
            yield f"  {file.ljust(width)}  {size:>9,} bytes  {self.origins[file]}"
        yield from ("", "WHAT COULD NOT BE HAD", "")
        yield from (f"  {file.ljust(width)}  {why}" for file, why in self.missing.items())
        yield from [] if self.missing else ["  nothing"]
        yield from ("", "WHAT WAS REDACTED: [redacted] stands in its place", "")
        yield from (f"  {count:>6} times  {kind}" for kind, count in self.found.most_common())
        yield from [] if self.found else ["  nothing: no secret was found"]
        if self.already:
            yield f"  {self.already:>6} times  it was there already: the agent had redacted it"
        yield from ("", "SECRETS THAT WERE LOOKED FOR BY THEIR VALUE", "")
        yield from (f"  {count:>6} values  {source}" for source, count in self.known.items())
        yield from [] if self.known else ["  none: there were none to be read"]
        if self.unread:
            yield from ("", "SECRETS THAT COULD NOT BE READ, and were looked for by their form alone", "")
            yield from (f"  {source}: {why}" for source, why in self.unread.items())
        yield from (
            "",
            "WHAT IT TELLS",
            "",
            PERSONAL_DATA,
            "Look through it before you give it to somebody whom that is not for.",
        )

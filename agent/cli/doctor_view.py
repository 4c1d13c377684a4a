"""The doctor's report on a terminal: failed checks stand out, and the last line shows what to do first."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any, Final

from agent.cli.status_view import counted, text

_NARROWEST: Final = 60
_OUTCOME: Final = 7
_NAME: Final = 14
_GAP: Final = 2
_RED, _GREEN, _BOLD, _DIM = 31, 32, 1, 2
_SHOWN: Final[Mapping[str, tuple[str, int]]] = {
    "ok": ("ok", _GREEN),
    "broken": ("BROKEN", _RED),
    "not reached": ("-", _DIM),
    "skipped": ("skipped", _DIM),
}
_OWNERS: Final = {"user": "you", "admin": "an admin"}

Document = Mapping[str, Any]


class View:
    """Formats a `registry-agent/doctor/v1` document as lines of at most `width` columns."""

    def __init__(self, width: int, *, colours: bool = False) -> None:
        self._width: Final = max(width, _NARROWEST)
        self._colours: Final = colours

    def lines(self, document: Document) -> Iterator[str]:
        """Return the report's lines: this machine first, then each registry, in the order of the checks."""
        environment = document["environment"]
        yield from self._wrapped(
            f"registry-agent doctor, user {text(environment['user'])} on {text(environment['host'])}, "
            f"Docker's configuration {text(document['docker_config'])}",
            "",
        )
        yield from self._chain("this machine", document["links"])
        for registry in document["registries"]:
            image = f"  {text(registry['image'])}" if registry["image"] else ""
            yield from self._chain(f"{text(registry['hostname'])}{image}", registry["links"])
        yield ""
        yield from self._verdict(document)

    def _chain(self, title: str, links: Sequence[Document]) -> Iterator[str]:
        yield ""
        for line in self._wrapped(title, ""):
            yield self._painted(line, _BOLD)
        for _, alike in groupby(links, key=_merge_key):
            yield from self._merged(list(alike))

    def _merged(self, links: list[Document]) -> Iterator[str]:
        """Show checks that were not reached for the same reason on one line: each one alone would say little."""
        if len(links) == 1:
            yield from self._link(links[0])
            return
        word, colour = _SHOWN[links[0]["outcome"]]
        before = f"  {self._painted(word.ljust(_OUTCOME), colour)}{' ' * _GAP}"
        state = "not reached: " if links[0]["outcome"] == "not reached" else ""
        names = ", ".join(text(link["name"]) for link in links)
        first, *more = self._wrapped(f"{names}: {state}{text(links[0]['seen'])}", " " * (2 + _OUTCOME + _GAP))
        yield f"{before}{first.strip()}"
        yield from more

    def _link(self, link: Document) -> Iterator[str]:
        word, colour = _SHOWN.get(link["outcome"], (text(link["outcome"]), _DIM))
        before = f"  {self._painted(word.ljust(_OUTCOME), colour)}{' ' * _GAP}{text(link['name']).ljust(_NAME)}"
        indent = " " * (2 + _OUTCOME + _GAP + _NAME)
        seen = f"not reached: {text(link['seen'])}" if link["outcome"] == "not reached" else text(link["seen"])
        first, *more = self._wrapped(seen, indent)
        yield f"{before}{first.strip()}"
        yield from more
        if link["fix"]:
            yield from self._wrapped(f"→ {text(link['fix'])}{_code_and_owner(link)}", f"{indent}  ", first=indent)

    def _verdict(self, document: Document) -> Iterator[str]:
        first = document["first"]
        if first is None:
            yield from self._nothing_failed(document)
            return
        where = f"{text(first['hostname'])}: {text(first['name'])}" if first["hostname"] else text(first["name"])
        number = document["broken"]
        begin = f"{counted(number, 'check')} failed."
        do = f"{begin} Start with {where}: {text(first['fix'])}"
        head, *more = self._wrapped(do, "")
        yield head.replace(begin, self._painted(begin, _RED), 1)
        yield from more

    def _nothing_failed(self, document: Document) -> Iterator[str]:
        """Show the verdict when no check failed.

        People run the doctor because something does not work. So this also looks for what no check can show: the
        agent reports a failure, or there is no secret.
        """
        doubts = [each["hostname"] for each in document["registries"] for link in each["links"] if _contradicts(link)]
        if doubts:
            hosts = ", ".join(map(text, doubts))
            yield from self._wrapped(
                f"no check failed, but the agent reports a problem with {hosts}: see the check `agent` above", ""
            )
        elif not document["registries"]:
            yield from self._wrapped("no check failed, but there is no registry secret, so there is no login", "")
        else:
            yield self._painted("all is well: no check failed", _GREEN)

    def _wrapped(self, line: str, indent: str, *, first: str | None = None) -> list[str]:
        return wrap(
            line,
            self._width,
            initial_indent=indent if first is None else first,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ) or [""]

    def _painted(self, words: str, colour: int) -> str:
        return f"\x1b[{colour}m{words}\x1b[0m" if self._colours else words


def _contradicts(link: Document) -> bool:
    """Return whether the agent reports a failed login although the doctor's own checks pass."""
    return bool(link["name"] == "agent" and link["outcome"] == "ok" and link["fix"])


def _merge_key(link: Document) -> object:
    """Return a key that is equal for checks that may share a line. A check with an own result gets a unique key."""
    quiet = link["outcome"] in ("not reached", "skipped") and not link["fix"]
    return (link["outcome"], link["seen"]) if quiet else id(link)


def _code_and_owner(link: Document) -> str:
    facts = [text(link["code"])] if link["code"] else []
    if link["needs"] in _OWNERS:
        facts.append(f"needs {_OWNERS[link['needs']]}")
    return f" ({', '.join(facts)})" if facts else ""

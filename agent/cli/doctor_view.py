"""The doctor's report on a terminal: what is broken stands out, and the last line says what to do first."""

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
_WHOSE: Final = {"user": "you", "admin": "an admin"}

Document = Mapping[str, Any]


class View:
    """Lines of at most `width` columns of a document `registry-agent/doctor/v1`."""

    def __init__(self, width: int, *, colours: bool = False) -> None:
        self._width: Final = max(width, _NARROWEST)
        self._colours: Final = colours

    def lines(self, document: Document) -> Iterator[str]:
        """The report, top to bottom in the order of the chain."""
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
        for _, alike in groupby(links, key=_likeness):
            yield from self._together(list(alike))

    def _together(self, links: list[Document]) -> Iterator[str]:
        """Those that nobody reached for one reason share a line: they tell nothing by themselves."""
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
            yield from self._wrapped(f"→ {text(link['fix'])}{_who(link)}", f"{indent}  ", first=indent)

    def _verdict(self, document: Document) -> Iterator[str]:
        first = document["first"]
        if first is None:
            yield from self._no_link(document)
            return
        where = f"{text(first['hostname'])}: {text(first['name'])}" if first["hostname"] else text(first["name"])
        number = document["broken"]
        verb = "is" if number == 1 else "are"
        begin = f"{counted(number, 'link')} {verb} broken."
        do = f"{begin} Begin with {where}: {text(first['fix'])}"
        head, *more = self._wrapped(do, "")
        yield head.replace(begin, self._painted(begin, _RED), 1)
        yield from more

    def _no_link(self, document: Document) -> Iterator[str]:
        """That no link is broken is not yet all: somebody asks because something does not work."""
        doubts = [each["hostname"] for each in document["registries"] for link in each["links"] if _doubted(link)]
        if doubts:
            hosts = ", ".join(map(text, doubts))
            yield from self._wrapped(
                f"no link is broken, but the agent says otherwise of {hosts}: see its link `agent` above", ""
            )
        elif not document["registries"]:
            yield from self._wrapped("no link is broken, but there is no secret for a registry: nothing logs in", "")
        else:
            yield self._painted("all is well: no link is broken", _GREEN)

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


def _doubted(link: Document) -> bool:
    """Whether it is what the agent says of a login that fails there, and not here."""
    return bool(link["name"] == "agent" and link["outcome"] == "ok" and link["fix"])


def _likeness(link: Document) -> object:
    """Equal for links that may share a line; a link that tells something is like no other."""
    quiet = link["outcome"] in ("not reached", "skipped") and not link["fix"]
    return (link["outcome"], link["seen"]) if quiet else id(link)


def _who(link: Document) -> str:
    facts = [text(link["code"])] if link["code"] else []
    if link["needs"] in _WHOSE:
        facts.append(f"needs {_WHOSE[link['needs']]}")
    return f" ({', '.join(facts)})" if facts else ""

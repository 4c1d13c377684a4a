"""The doctor's report on a terminal: failed checks stand out, and the last line shows what to do first."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any, Final

from agent.cli.terminal import BOLD, DIM, GREEN, RED, Terminal, counted, text
from agent.model.problem import fault_key

_BEFORE_NAME: Final = 11
_NAME: Final = 14
_AGENT: Final = "agent"
"""The name of the checks that repeat what a running agent reports."""
_SHOWN: Final[Mapping[str, tuple[str, int]]] = {
    "ok": ("ok", GREEN),
    "broken": ("BROKEN", RED),
    "not reached": ("-", DIM),
    "skipped": ("skipped", DIM),
}
_OWNERS: Final = {"user": "you", "admin": "an admin"}

Document = Mapping[str, Any]


def report_lines(terminal: Terminal, document: Document) -> Iterator[str]:
    """Format a `registry-agent/doctor/v1` document: this machine, then each registry, in the order of the checks."""
    environment = document["environment"]
    yield from _wrapped(
        terminal,
        f"registry-agent doctor, user {text(environment['user'])} on {text(environment['host'])}, "
        f"Docker's configuration {text(document['docker_config'])}",
    )
    shared = document["links"]
    yield from _chain(terminal, "this machine", _without_repetition(shared))
    seen: dict[object, str] = {}
    for registry in document["registries"]:
        image = f"  {text(registry['image'])}" if registry["image"] else ""
        own = _without_repetition(registry["links"], shared)
        links = [_shown_once(link, registry["hostname"], seen) for link in own]
        yield from _chain(terminal, f"{text(registry['hostname'])}{image}", links)
    yield ""
    yield from _verdict(terminal, document)


def _wrapped(terminal: Terminal, words: str, indent: str = "", first: str | None = None) -> list[str]:
    # Identities, challenges and paths can be longer than a line. In a fix they stay whole, because people copy them.
    return terminal.wrapped(words, indent, first=first, break_words=True)


def _fault(link: Document, hostname: str) -> object:
    """Return a key that is equal for the same fault of several registries."""
    return fault_key(hostname, *(str(link[name] or "") for name in ("name", "code", "seen", "fix")))


def _without_repetition(links: Sequence[Document], shared: Sequence[Document] = ()) -> list[Document]:
    """Return the checks without the texts and fixes that `shared` ones, or the agent's reports among them, show."""
    reports = [link for link in (*shared, *(link for link in links if link["name"] == _AGENT)) if _is_broken(link)]
    return [_referring(link, reports) if _is_broken(link) else link for link in links]


def _referring(link: Document, reports: Sequence[Document]) -> Document:
    """Return the check with its fix only if it is the first with that fix, and a reference instead of a known text."""
    alike = [report for report in reports if (report["code"], report["fix"]) == (link["code"], link["fix"])]
    if not alike or link is alike[0]:
        return link
    seen = str(link["seen"])
    for report in takewhile(lambda report: report is not link, alike):
        known = str(report["seen"])
        if known.endswith(seen) or seen.endswith(known):
            who = "the agent reports" if report["name"] == _AGENT else f"the check {report['name']}"
            return {**link, "seen": f"the same as {who}", "fix": None}
    return {**link, "fix": None}


def _shown_once(link: Document, hostname: str, seen: dict[object, str]) -> Document:
    """Return the check, without its text and fix if an earlier registry shows the same fault."""
    if link["outcome"] != "broken":
        return link
    first = seen.setdefault(_fault(link, hostname), hostname)
    return link if first == hostname else {**link, "seen": f"the same as for {first}", "fix": None}


def _others(document: Document) -> list[str]:
    """Return the other registries with the fault to start with."""
    first = document["first"]["hostname"]
    faults = {
        registry["hostname"]: {_fault(link, registry["hostname"]) for link in registry["links"] if _is_broken(link)}
        for registry in document["registries"]
    }
    links = (link for registry in document["registries"] if registry["hostname"] == first for link in registry["links"])
    start = next((_fault(link, first) for link in links if _is_start(link, document["first"])), None)
    return [hostname for hostname, found in faults.items() if hostname != first and start in found]


def _is_broken(link: Document) -> bool:
    return bool(link["outcome"] == "broken")


def _is_start(link: Document, first: Document) -> bool:
    return _is_broken(link) and (link["name"], link["fix"]) == (first["name"], first["fix"])


def _chain(terminal: Terminal, title: str, links: Sequence[Document]) -> Iterator[str]:
    yield ""
    for line in _wrapped(terminal, title):
        yield terminal.painted(line, BOLD)
    for _, alike in groupby(links, key=_merge_key):
        yield from _link(terminal, list(alike))


def _link(terminal: Terminal, links: Sequence[Document]) -> Iterator[str]:
    """Show one check, or several that were skipped or not reached for the same reason: each alone would mean little."""
    link = links[0]
    word, colour = _SHOWN.get(link["outcome"], (text(link["outcome"]), DIM))
    seen = f"{'not reached: ' if link['outcome'] == 'not reached' else ''}{text(link['seen'])}"
    indent = " " * _BEFORE_NAME
    name = ""
    if len(links) > 1:
        seen = f"{', '.join(text(each['name']) for each in links)}: {seen}"
    else:
        name = text(link["name"]).ljust(_NAME - 1) + " "
        indent += " " * _NAME
    first, *more = _wrapped(terminal, seen, indent, f"  {word.ljust(_BEFORE_NAME - 2)}{name}")
    yield first.replace(word, terminal.painted(word, colour), 1)
    yield from more
    if link["fix"]:
        yield from terminal.wrapped(f"→ {text(link['fix'])}{_code_and_owner(link)}", f"{indent}  ", first=indent)


def _merge_key(link: Document) -> object:
    """Return a key that is equal for checks that may share a line. A check with an own result gets a unique key."""
    quiet = link["outcome"] in ("not reached", "skipped") and not link["fix"]
    return (link["outcome"], link["seen"]) if quiet else id(link)


def _code_and_owner(link: Document) -> str:
    facts = [text(link["code"])] if link["code"] else []
    if link["needs"] in _OWNERS:
        facts.append(f"needs {_OWNERS[link['needs']]}")
    return f" ({', '.join(facts)})" if facts else ""


def _verdict(terminal: Terminal, document: Document) -> Iterator[str]:
    first = document["first"]
    if first is not None:
        where = f"{text(first['hostname'])}: {text(first['name'])}" if first["hostname"] else text(first["name"])
        failed = f"{counted(document['broken'], 'check')} failed."
        others = [text(hostname) for hostname in _others(document)]
        same = f" (the same for {', '.join(others)})" if others else ""
        head, *more = terminal.wrapped(f"{failed} Start with {where}: {text(first['fix'])}{same}")
        yield head.replace(failed, terminal.painted(failed, RED), 1)
        yield from more
    elif not document["registries"]:
        # People run the doctor because something does not work.
        yield from _wrapped(terminal, "no check failed, but there is no registry secret, so there is no login")
    else:
        yield terminal.painted("all is well: no check failed", GREEN)

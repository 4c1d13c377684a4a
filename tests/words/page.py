"""The part of `docs/warnings.md` on each fault: what the agent reports, and what other tools print."""

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCUMENT: Final = Path(__file__).parents[2] / "docs/warnings.md"
_BEGIN: Final = "<!-- written by make words -->"
_END: Final = "<!-- end -->"
_BLOCK: Final = re.compile(rf"\n{_BEGIN}\n.*?\n{_END}\n", re.DOTALL)
_SECTION: Final = re.compile(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_TOLD: Final = re.compile(r"^What each tool prints: ([^\n]+)\.\n\n```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_OURS: Final = "registry-agent reports:"
_OTHERS: Final = re.compile(r"\n\n(?=\$ )")
_WIDTH: Final = 120


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one warning of the agent."""

    message: str
    hint: str
    needs: str

    @property
    def text(self) -> str:
        return "\n".join([_OURS, self.message, f"hint: {self.hint}", f"needs: {self.needs}"])


@dataclass(frozen=True, slots=True)
class Told:
    """One fault, as the agent and other tools report it. `others` has one text for each command."""

    about: str
    agent: Words
    others: tuple[str, ...]

    @property
    def markdown(self) -> str:
        texts = "\n\n".join(map(_folded, [*self.others, self.agent.text]))
        return f"What each tool prints: {self.about}.\n\n```text\n{texts}\n```"


def shown() -> dict[str, dict[str, str]]:
    """Return the texts on the page, by code and heading."""
    return {code: dict(_TOLD.findall(body)) for code, body in _SECTION.findall(DOCUMENT.read_text())}


def agents_words(text: str) -> str:
    """Return the agent's part of a text from `shown`, unfolded."""
    return _unfolded(text[text.index(_OURS) :])


def write(told: Mapping[str, Iterable[Told]]) -> None:
    """Put each code's faults at the end of its section. They replace the ones from earlier runs."""
    text = _BLOCK.sub("", DOCUMENT.read_text())

    def with_block(found: re.Match[str]) -> str:
        of_code = [each.markdown for each in told.get(found[1], ())]
        block = "\n\n".join([_BEGIN, *of_code, _END]) if of_code else ""
        return found[0].rstrip("\n") + (f"\n\n{block}" if block else "") + "\n\n"

    DOCUMENT.write_text(_SECTION.sub(with_block, text).rstrip("\n") + "\n")


def _folded(text: str) -> str:
    """Continue long lines on the next line, indented."""
    fold = textwrap.TextWrapper(_WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(fold.fill(line) for line in text.splitlines())


def _unfolded(text: str) -> str:
    return text.replace("\n    ", " ")

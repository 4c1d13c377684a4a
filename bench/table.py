"""Formats the figures for a terminal and for docs/performance.md."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.figure import Figure

_BEGIN: Final = "<!-- figures: written by make bench -->"
_END: Final = "<!-- end of figures -->"


def for_terminal(figures: Iterable[Figure]) -> str:
    """Return a table for 80 columns. It marks missed targets."""
    lines = [f"{'figure':<48} {'median':>9} {'target':>9}", "-" * 68]
    for figure in figures:
        mark = "" if figure.reached else "  MISSED"
        lines.append(f"{figure.name:<48.48} {number(figure.value):>9} {figure.bound:>9}{mark}")
        lines.append(f"    {_sides(figure)}")
    return "\n".join(lines)


def for_document(figures: Iterable[Figure], machine: Mapping[str, str]) -> str:
    rows = [
        "| figure | compared with | median | target | agent | comparison | runs |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        value = number(figure.value) if figure.reached else f"**{number(figure.value)}**"
        theirs = "-" if figure.theirs is None else f"{number(figure.theirs)} {figure.unit}"
        ours = f"{number(figure.ours)} {figure.unit}"
        beside = figure.beside.replace("|", r"\|")
        rows.append(
            f"| {figure.name} | {beside} | {value} | {figure.bound} | {ours} | {theirs} | {len(figure.turns)} |"
        )
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
    return "\n".join([*rows, "", f"Machine: {told}.", "", *_notes(figures)])


def write_into(document: Path, text: str) -> None:
    """Replace the text between the two marks of the document.

    Raises:
        ValueError: the document does not contain the marks.
    """
    before = document.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    if not pattern.search(before):
        raise ValueError(f"{document} has no place for the figures: {_BEGIN} … {_END}")
    document.write_text(pattern.sub(lambda _: f"{_BEGIN}\n{text}\n{_END}", before), encoding="utf-8")


def number(value: float) -> str:
    """Format with three significant digits, and without decimals from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _sides(figure: Figure) -> str:
    ours = f"agent {number(figure.ours)} {figure.unit}"
    return ours if figure.theirs is None else f"{ours} · {figure.beside} {number(figure.theirs)} {figure.unit}"


def _notes(figures: Iterable[Figure]) -> Sequence[str]:
    return [f"- {figure.name}: {note}" for figure in figures for note in figure.notes]

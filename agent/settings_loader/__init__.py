"""From a file, variables and flags to `Settings`: never raises, and names every fault."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.model.loopback import is_loopback
from agent.model.problems.environment import SettingsInvalid
from agent.settings import Settings
from agent.settings_loader.sources import (
    Document,
    Given,
    given_by_file,
    given_by_flags,
    given_by_variables,
    read_document,
)
from agent.settings_loader.table import SECTIONS, defaults, home, kinds
from agent.settings_loader.values import Fault, Kind

__all__ = ["Loaded", "load_settings", "parse_assignments"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that can be used, and everything that was wrong on the way to them.

    `file` is the settings file, None where there is none; `file_failed` where nothing of it could be used.
    `file_faults` are those of the problems that would not be there without the file.
    """

    settings: Settings
    problems: tuple[SettingsInvalid, ...] = ()
    file: Path | None = None
    file_failed: bool = False
    file_faults: tuple[SettingsInvalid, ...] = ()


def load_settings(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> Loaded:
    """Flags beat environment beats file beats default; a wrong value leaves its key at the default.

    Args:
        file: the settings file; None for $REGISTRY_AGENT_CONFIG, else the default one, which may be missing.
        environ: the process's environment; lists in it are JSON.
        flags: value by `section.key`, as `parse_assignments` gives them.
    """
    document = read_document(file, environ)
    loading = _loaded(document, environ, flags)
    problems = tuple(loading.problems)
    standing = {problem.message for problem in _loaded(Document(), environ, flags).problems} if problems else set()
    return Loaded(
        loading.settings(),
        problems,
        document.path,
        file_failed=document.problem is not None,
        file_faults=tuple(problem for problem in problems if problem.message not in standing),
    )


def _loaded(document: Document, environ: Mapping[str, str], flags: Mapping[str, str]) -> "_Loading":
    table = kinds(home(environ))
    loading = _Loading(defaults(environ), table)
    if document.problem is not None:
        loading.problems.append(document.problem)
    loading.take(
        chain(
            given_by_file(document, table.keys()),
            given_by_variables(environ, table.keys()),
            given_by_flags(flags, table.keys()),
        )
    )
    loading.check_together()
    return loading


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Value by key, from `SECTION.KEY=VALUE` texts; the last one counts.

    Raises:
        ValueError: one has another form; the text says which form is wanted, and not its value.
    """
    flags: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or "." not in key:
            raise ValueError("--set wants SECTION.KEY=VALUE, such as --set log.level=debug")
        flags[key.strip().lower()] = value
    return flags


class _Loading:
    """The values so far, by `section.key`."""

    def __init__(self, default: Settings, table: Mapping[str, Kind]) -> None:
        self._default = default
        self._table = table
        self._given: dict[str, Given] = {}
        self._values: dict[str, Any] = {key: self._default_of(key) for key in table}
        self.problems: list[SettingsInvalid] = []

    def take(self, found: Iterable[tuple[str, Given] | SettingsInvalid]) -> None:
        """Keep the last that was given for each key, then check those."""
        for each in found:
            if isinstance(each, SettingsInvalid):
                self.problems.append(each)
            else:
                self._given[each[0]] = each[1]
        for key, given in self._given.items():
            kind = self._table[key]
            try:
                value = given.value if given.typed else kind.from_text(str(given.value))
                value = kind.check(value)
            except Fault as fault:
                self._fall_back(key, str(fault), fault.hint)
            else:
                self._values[key] = self._default_of(key) if value is None else value

    def check_together(self) -> None:
        """What is wrong only beside another key's value."""
        if self._values["retry.first_wait_s"] > self._values["retry.max_wait_s"]:
            self._reconcile_waits("retry.first_wait_s", "retry.max_wait_s")
        listen = self._values["status.listen"]
        if listen and not self._values["status.token_file"] and not is_loopback(listen.rpartition(":")[0]):
            self._fall_back(
                "status.listen",
                "is refused: an address that is not loopback needs status.token_file",
                "set status.token_file, or listen on 127.0.0.1; the socket answers meanwhile",
            )
            self._values["status.listen"] = ""
        report = urlsplit(self._values["report.url"] or "")
        if report.scheme == "http" and self._values["report.token_file"] and not is_loopback(report.hostname or ""):
            self._fall_back(
                "report.url",
                "must be https (http only to loopback), since report.token_file's token goes there",
                "write https://…",
            )

    def _reconcile_waits(self, first: str, longest: str) -> None:
        """Where only one of them was set, the other's default makes room for it."""
        if first not in self._given:
            self._values[first] = self._values[longest]
        elif longest not in self._given:
            self._values[longest] = self._values[first]
        else:
            for key, fault in ((first, f"is greater than {longest}"), (longest, f"is less than {first}")):
                self._fall_back(key, fault, f"make {longest} the greater one")

    def settings(self) -> Settings:
        sections = {}
        for section in SECTIONS:
            values = {key: self._values[f"{section}.{key}"] for key in self._keys_of(section)}
            sections[section] = replace(getattr(self._default, section), **values)
        return replace(self._default, **sections)

    def _fall_back(self, key: str, fault: str, hint: str) -> None:
        where = self._given[key].where if key in self._given else "the default"
        self.problems.append(SettingsInvalid(key, f"{key} {fault} ({where})", hint=hint))
        self._values[key] = self._default_of(key)

    def _default_of(self, key: str) -> Any:
        section, _, name = key.partition(".")
        return getattr(getattr(self._default, section), name)

    def _keys_of(self, section: str) -> list[str]:
        return [key.partition(".")[2] for key in self._table if key.startswith(f"{section}.")]

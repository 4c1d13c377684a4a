"""Loads `Settings` from a file, variables and flags. Never raises: each fault becomes a problem."""

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
    """Usable settings, and all faults that were found while loading them.

    `file` is the settings file, or None if there is none. `file_failed` is True if nothing in the file could be used.
    `file_faults` are the problems that would not exist without the file.
    """

    settings: Settings
    problems: tuple[SettingsInvalid, ...] = ()
    file: Path | None = None
    file_failed: bool = False
    file_faults: tuple[SettingsInvalid, ...] = ()


def load_settings(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> Loaded:
    """Load the settings. Flags override the environment, which overrides the file, which overrides the defaults.

    A key with a wrong value keeps its default.

    Args:
        file: the settings file; None for $REGISTRY_AGENT_CONFIG, or else the default file, which may be missing.
        environ: the process's environment; lists in it are JSON.
        flags: values by `section.key`, as returned by `parse_assignments`.
    """
    document = read_document(file, environ)
    loading = _loaded(document, environ, flags)
    problems = tuple(loading.problems)
    # Load again without the file to find out which faults the file causes.
    other_faults = {problem.message for problem in _loaded(Document(), environ, flags).problems} if problems else set()
    return Loaded(
        loading.settings(),
        problems,
        document.path,
        file_failed=document.problem is not None,
        file_faults=tuple(problem for problem in problems if problem.message not in other_faults),
    )


def _loaded(document: Document, environ: Mapping[str, str], flags: Mapping[str, str]) -> "_Loading":
    table = kinds(home(environ))
    loading = _Loading(defaults(environ), table)
    if document.problem is not None:
        loading.problems.append(document.problem)
    loading.take(
        chain(
            # The strongest source comes last.
            given_by_file(document, table.keys()),
            given_by_variables(environ, table.keys()),
            given_by_flags(flags, table.keys()),
        )
    )
    loading.check_together()
    return loading


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Return values by key from `SECTION.KEY=VALUE` arguments. For a repeated key, the last one counts.

    Raises:
        ValueError: an argument has another form. The message shows the right form, and not the value.
    """
    flags: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or "." not in key:
            raise ValueError("--set wants SECTION.KEY=VALUE, such as --set log.level=debug")
        flags[key.strip().lower()] = value
    return flags


class _Loading:
    """Collects the values by `section.key`, and checks them."""

    def __init__(self, default: Settings, table: Mapping[str, Kind]) -> None:
        self._default = default
        self._table = table
        self._given: dict[str, Given] = {}
        self._values: dict[str, Any] = {key: self._default_of(key) for key in table}
        self.problems: list[SettingsInvalid] = []

    def take(self, found: Iterable[tuple[str, Given] | SettingsInvalid]) -> None:
        """Keep the last value for each key, then check these values. The caller passes the strongest source last."""
        for each in found:
            if isinstance(each, SettingsInvalid):
                self.problems.append(each)
            else:
                self._given[each[0]] = each[1]
        # A wrong value does no harm if a stronger source overrides it.
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
        """Check values that are wrong only in combination with another key."""
        if self._values["retry.first_wait_s"] > self._values["retry.max_wait_s"]:
            self._reconcile_waits("retry.first_wait_s", "retry.max_wait_s")
        listen = self._values["status.listen"]
        if listen and not self._values["status.token_file"] and not is_loopback(listen.rpartition(":")[0]):
            self._fall_back(
                "status.listen",
                "is refused: an address that is not loopback needs status.token_file",
                "set status.token_file, or listen on 127.0.0.1; the Unix socket still works",
            )
            # Not the default either: an address that nobody asked for would be confusing.
            self._values["status.listen"] = ""
        report = urlsplit(self._values["report.url"] or "")
        if report.scheme == "http" and self._values["report.token_file"] and not is_loopback(report.hostname or ""):
            self._fall_back(
                "report.url",
                "must be https (http only to loopback), because the token in report.token_file is sent there",
                "write https://…",
            )

    def _reconcile_waits(self, first: str, longest: str) -> None:
        """If only one of the two is set, adjust the other's default to it. If both are set, report both."""
        if first not in self._given:
            self._values[first] = self._values[longest]
        elif longest not in self._given:
            self._values[longest] = self._values[first]
        else:
            for key, fault in ((first, f"is greater than {longest}"), (longest, f"is less than {first}")):
                self._fall_back(key, fault, f"set {longest} to a greater value")

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

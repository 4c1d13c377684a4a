"""Loads `Settings` from a file, variables and flags. Never raises: each fault becomes a problem."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from agent.edge.paths import home
from agent.model.docker_programs import is_snap
from agent.model.loopback import is_loopback
from agent.model.problems.environment import SettingsInvalid
from agent.model.setting_rules import SettingFault
from agent.model.text import printable
from agent.settings import DockerSettings, EnvironmentSettings, Settings
from agent.settings_loader.convert import convert
from agent.settings_loader.sources import SECTIONS, Document, Given, read_document, read_given

__all__ = ["FIELDS", "Loaded", "default_settings", "load_settings", "parse_assignments"]

# All settings by `section.key`, in the order of docs/settings.md.
FIELDS: Final = {
    f"{section.name}.{each.name}": each
    for section in fields(Settings)
    for each in fields(section.type)  # type: ignore[arg-type]  # each is a dataclass
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Usable settings, and all faults that were found while loading them.

    `file` is the settings file, or None if there is none.
    `file_faults` are the problems that would not exist without the file. `places` are the sources of the values that
    were set, by key. `unread`: the file did not answer yet, and its settings are missing.
    """

    settings: Settings
    problems: tuple[SettingsInvalid, ...] = ()
    file: Path | None = None
    file_faults: tuple[SettingsInvalid, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    unread: bool = False


def load_settings(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> Loaded:
    """Load the settings. Flags override the environment, which overrides the file, which overrides the defaults.

    A key with a wrong value keeps its default. Without `file`, $REGISTRY_AGENT_CONFIG names the file, or else it is the
    default one, which may be missing. `flags` are values by `section.key`, as `parse_assignments` returns them.
    """
    document = read_document(file, environ)
    loading = _Loading(document, environ, flags)
    problems = tuple(loading.problems)
    # Load again without the file to find out which faults the file causes.
    other_faults = {problem.message for problem in _Loading(Document(), environ, flags).problems} if problems else set()
    return Loaded(
        loading.settings(),
        problems,
        document.path,
        file_faults=tuple(problem for problem in problems if problem.message not in other_faults),
        places={key: given.where for key, given in loading.given.items()},
    )


def load_without_file(environ: Mapping[str, str], flags: Mapping[str, str], problem: SettingsInvalid) -> Loaded:
    """Load the settings of all other sources, because of a `problem` with the file."""
    # Without PATH, which is searched for a docker from snap: its directories may hang too.
    loading = _Loading(Document(problem=problem), {**environ, "PATH": ""}, flags)
    settings = loading.settings()
    # The file may turn TCP off, or demand a token.
    return Loaded(replace(settings, status=replace(settings.status, listen="")), tuple(loading.problems), unread=True)


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Return values by key from `SECTION.KEY=VALUE` arguments. For a repeated key, the last one counts."""
    flags: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or "." not in key:
            # The message does not show the value, because it may be a secret.
            raise ValueError("--set wants SECTION.KEY=VALUE, such as --set log.level=debug")
        flags[key.strip().lower()] = value
    return flags


def default_settings(environ: Mapping[str, str]) -> Settings:
    names = (environ.get(variable, "").strip() for variable in ("GITPOD_WORKSPACE_ID", "CODESPACE_NAME"))
    platform_name = next(filter(None, names), os.uname().nodename)
    config = Path(environ.get("DOCKER_CONFIG") or "")
    return Settings(
        environment=EnvironmentSettings(id=printable(platform_name)),
        docker=DockerSettings(config_dir=config if config.is_absolute() else _docker_config(environ)),
    )


def _docker_config(environ: Mapping[str, str]) -> Path:
    """Return where the first docker on PATH keeps its configuration. One from snap has a home directory of its own."""
    own_home = home(environ)
    directories = environ.get("PATH", "").split(os.pathsep)
    snaps = (index for index, directory in enumerate(directories) if is_snap(Path(directory, "docker")))
    # Only a PATH with a directory of snap is searched: any other directory could hang.
    for directory in directories[: next(snaps, -1) + 1]:
        docker = Path(directory, "docker")
        if os.access(docker, os.X_OK):
            return own_home / ("snap/docker/current/.docker" if is_snap(docker) else ".docker")
    return own_home / ".docker"


class _Loading:
    """Collects the values by `section.key`, and checks them."""

    def __init__(self, document: Document, environ: Mapping[str, str], flags: Mapping[str, str]) -> None:
        self._default: Final = default_settings(environ)
        self._values: Final[dict[str, Any]] = {key: attrgetter(key)(self._default) for key in FIELDS}
        self.problems: Final = [document.problem] if document.problem else []
        self.given: Final[dict[str, Given]] = {}
        for given in read_given(document, environ, flags):
            if given.key not in FIELDS:
                self.problems.append(_unknown(given))
            elif given.counts:
                self.given[given.key] = given
        # Only now: a wrong value does no harm if a stronger source overrides it.
        for key, given in self.given.items():
            try:
                self._values[key] = convert(FIELDS[key], given, attrgetter(key)(self._default), home(environ))
            except SettingFault as fault:
                self._fall_back(key, str(fault), fault.hint)
        self._check_docker_config(environ)
        self._check_together()

    def settings(self) -> Settings:
        sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for key, value in self._values.items():
            section, _, name = key.partition(".")
            sections[section][name] = value
        return replace(
            self._default, **{name: replace(getattr(self._default, name), **sections[name]) for name in SECTIONS}
        )

    def _check_docker_config(self, environ: Mapping[str, str]) -> None:
        """Report a variable with a relative path, which leads each docker to another directory. `~` is one too."""
        name = "DOCKER_CONFIG" if environ.get("DOCKER_CONFIG") else "HOME"
        if "docker.config_dir" in self.given or Path(environ.get(name) or "/").is_absolute():
            return
        default = printable(str(self._default.docker.config_dir))
        message = f"{name} is not an absolute path: {printable(environ[name])}; the agent uses {default}"
        hint = f"set {name} to an absolute path (without ~) for docker and the agent, and restart the agent"
        self.problems.append(SettingsInvalid("docker.config_dir", message, hint=hint))

    def _check_together(self) -> None:
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
        # A value that was wrong has its default now, as if it was not set.
        usable = self.given.keys() - {problem.subject for problem in self.problems}
        if first not in usable:
            self._values[first] = self._values[longest]
        elif longest not in usable:
            self._values[longest] = self._values[first]
        else:
            for key, fault in ((first, f"is greater than {longest}"), (longest, f"is less than {first}")):
                self._fall_back(key, fault, f"set {longest} to a greater value")

    def _fall_back(self, key: str, fault: str, hint: str) -> None:
        where = self.given[key].where if key in self.given else "the default"
        self.problems.append(SettingsInvalid(key, f"{key} {fault} ({where})", hint=hint))
        self._values[key] = attrgetter(key)(self._default)


def _unknown(given: Given) -> SettingsInvalid:
    key, where = given.key, given.where
    if given.typed and key in SECTIONS:
        return SettingsInvalid(key, f"{key} must be a section ({where})", hint=f"write [{key}] on a separate line")
    from difflib import get_close_matches  # noqa: PLC0415 - only a misspelled key needs it

    candidates = [*SECTIONS, *FIELDS] if given.typed else list(FIELDS)
    # First a similar name, otherwise the same key in another section.
    same_name = [each for each in candidates if each.endswith(f".{key.rpartition('.')[2]}")]
    near = get_close_matches(key, candidates, n=1, cutoff=0.5) or same_name
    hint = f"did you mean {near[0]}?" if near else "remove it; docs/settings.md lists all keys"
    return SettingsInvalid(key, f"{key} is not a setting ({where})", hint=hint)

"""Reads settings from a TOML file, variables and flags."""

import errno
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from agent.edge.regular_file import read_regular
from agent.model.problems.environment import SettingsInvalid
from agent.settings import Settings

SECTIONS: Final = tuple(section.name for section in fields(Settings))
DEFAULT_FILE: Final = Path("/etc/registry-agent/config.toml")
VARIABLE_PREFIX: Final = "REGISTRY_AGENT_"
_NO_SETTINGS: Final = frozenset({"REGISTRY_AGENT_CONFIG", "REGISTRY_AGENT_SECRETS"})
_MAY_BE_EMPTY: Final = "status.listen"
_LARGEST: Final = 1024 * 1024
# Each unknown key becomes a warning of its own.
_MOST_KEYS: Final = 500
# Python's parser takes quadratic time for a key of many parts (a.a.a).
_MOST_DOTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Given:
    """A value that was set. `where` describes the source. `typed` is True for TOML, whose values have types."""

    key: str
    value: object
    where: str
    typed: bool = False

    @property
    def counts(self) -> bool:
        """Whether this is a value. An empty text counts as not set. Only for `status.listen`, it means off."""
        return self.key == _MAY_BE_EMPTY or not isinstance(self.value, str) or bool(self.value.strip())


@dataclass(frozen=True, slots=True)
class Document:
    """The settings file. `path` is None if there is no file. `problem` is set if the file cannot be used."""

    path: Path | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    problem: SettingsInvalid | None = None


def path_of(file: Path | None, environ: Mapping[str, str]) -> Path:
    return file or Path(_named(environ) or DEFAULT_FILE)


def _named(environ: Mapping[str, str]) -> str:
    return environ.get("REGISTRY_AGENT_CONFIG", "").strip()


def read_document(file: Path | None, environ: Mapping[str, str]) -> Document:
    """Read `file`, else the file in $REGISTRY_AGENT_CONFIG, else the default one. Only the default may be missing."""
    named = file is not None or bool(_named(environ))
    path = path_of(file, environ)
    try:
        # Editors on Windows add a byte order mark, which `utf-8-sig` removes.
        text = _read(path).decode("utf-8-sig")
        if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
            return _refused(path, "has a line with too many dots", "split the line")
        content = tomllib.loads(text)
        if len(content) + sum(len(section) for section in content.values() if isinstance(section, dict)) > _MOST_KEYS:
            return _refused(path, f"has more than {_MOST_KEYS} keys", "use only lines of the form section.key = value")
        return Document(path, content)
    except (FileNotFoundError, NotADirectoryError):
        if not named:
            return Document()
        fault, hint = "there is no such file", "check the path in --config or REGISTRY_AGENT_CONFIG"
    except OSError as error:
        fault, hint = f"cannot be used: {error.strerror}", "let the agent's user read this file"
    except UnicodeDecodeError as error:
        fault, hint = f"is not UTF-8 (byte {error.start})", "save the file as UTF-8"
    except tomllib.TOMLDecodeError as error:
        fault, hint = f"is not TOML: {error}", "fix the line; put strings in quotes"
    except (ValueError, RecursionError):
        fault, hint = "is not TOML: nested too deeply, or a number too long", "use only section.key = value"
    return _refused(path, fault, hint)


def _refused(path: Path, fault: str, hint: str) -> Document:
    return Document(path, problem=SettingsInvalid(str(path), f"{path}: {fault}; the whole file is ignored", hint=hint))


def _read(path: Path) -> bytes:
    content = read_regular(path, _LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(errno.EFBIG, "it is larger than 1 MiB")
    return content


def read_given(document: Document, environ: Mapping[str, str], flags: Mapping[str, str]) -> Iterator[Given]:
    """Yield every value that was set, the strongest source last. Its key may be unknown."""
    where = str(document.path)
    for section, content in document.content.items():
        if section in SECTIONS and isinstance(content, dict):
            for name, value in content.items():
                yield Given(f"{section}.{name}", value, where, typed=True)
        else:
            yield Given(section, content, where, typed=True)
    for variable, value in environ.items():
        section, _, name = variable.removeprefix(VARIABLE_PREFIX).lower().partition("_")
        if variable.startswith(VARIABLE_PREFIX) and section in SECTIONS and variable not in _NO_SETTINGS:
            # Without `rstrip`, a variable that only names a section would be reported as "log.".
            given = Given(f"{section}.{name}".rstrip("."), value, f"variable {variable}")
            if given.counts:  # compose files pass on unset variables with an empty value, also unknown ones
                yield given
    for key, value in flags.items():
        yield Given(key, value, "flag --set")

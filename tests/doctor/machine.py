"""Runs the doctor command, and checks what every report must fulfil."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.codes.world import World
from tests.rig.waiting import PATIENCE_S

Link = dict[str, Any]

CHAIN: Final = (
    *("secret", "agent", "store", "in use", "dns", "tcp", "proxy", "tls", "clock", "/v2/"),
    *("aws identity", "token", "token life", "login", "pull"),
)
COMMON: Final = ("settings", "secrets", "docker cli", "aws cli", "engine", "agent", "configuration")
_IDENTITY: Final = re.compile(r"(?:google|azure) identity")
_OUTCOMES: Final = {"ok", "broken", "not reached", "skipped"}


@dataclass(frozen=True, slots=True)
class Told:
    """One report, with the exit code."""

    code: int
    document: dict[str, Any]

    def links(self, name: str, hostname: str | None = None) -> list[Link]:
        """The checks of this name: those of a registry, or the shared ones if `hostname` is None."""
        return [link for link in self._chain(hostname) if link["name"] == name]

    def link(self, name: str, hostname: str | None = None) -> Link:
        (link,) = self.links(name, hostname)
        return link

    def outcomes(self, hostname: str | None = None) -> dict[str, str]:
        return {link["name"]: link["outcome"] for link in self._chain(hostname)}

    @property
    def first(self) -> tuple[str | None, str] | None:
        """The registry and the check to start with."""
        first = self.document["first"]
        return (first["hostname"], first["name"]) if first else None

    def _chain(self, hostname: str | None) -> list[Link]:
        if hostname is None:
            chain: list[Link] = self.document["links"]
            return chain
        (links,) = (each["links"] for each in self.document["registries"] if each["hostname"] == hostname)
        return list(links)

    def all_links(self) -> Iterator[Link]:
        yield from self.document["links"]
        for registry in self.document["registries"]:
            yield from registry["links"]


class Doctor:
    """The command, in a world in which the agent may or may not run."""

    def __init__(self, world: World) -> None:
        self._world: Final = world

    def __call__(self, *args: str, timeout: float = PATIENCE_S) -> Told:
        done = self._world.agent.command(
            "doctor", "--config", str(self._world.settings_file), "--json", *args, timeout=timeout
        )
        assert done.stderr == "", done.stderr
        report = Told(done.returncode, json.loads(done.stdout))
        _verify(report)
        return report

    def words(self, *args: str, **env: str) -> str:
        """The output for a terminal of 80 columns."""
        self._world.agent.env.update({"COLUMNS": "80", **env})
        return self._world.agent.command("doctor", "--config", str(self._world.settings_file), *args).stdout


def _verify(report: Told) -> None:
    """Every check is in its place, every failed check has a fix, and the exit code matches."""
    document = report.document
    assert document["schema"] == "registry-agent/doctor/v1"
    assert tuple(dict.fromkeys(link["name"] for link in document["links"])) == COMMON
    for registry in document["registries"]:
        names = dict.fromkeys(_IDENTITY.sub("aws identity", link["name"]) for link in registry["links"])
        assert tuple(names) == CHAIN
    links = list(report.all_links())
    assert all(link["seen"] and link["outcome"] in _OUTCOMES for link in links), links
    broken = [link for link in links if link["outcome"] == "broken"]
    assert all(link["fix"] and link["needs"] for link in broken), broken
    assert document["broken"] == len(broken)
    assert document["outcome"] == ("broken" if broken else "ok")
    assert report.code == (2 if broken else 0)


def blamed(doctor: Doctor, host: str, name: str, code: str, *, common: bool = False) -> Link:
    """The check `name`. It must be broken with `code`, and be the one that the report starts with."""
    report = doctor(host)
    hostname = None if common else host.partition("/")[0]
    (link,) = [each for each in report.links(name, hostname) if each["outcome"] == "broken"]
    assert link["code"] == code, report.document
    assert report.first == (hostname, name), report.document
    return link

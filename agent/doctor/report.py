"""What the doctor found, as values and as the document `registry-agent/doctor/v1`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agent import __version__
from agent.doctor.check import Check, first_broken, rank
from agent.model.status import rfc3339

SCHEMA: Final = "registry-agent/doctor/v1"


@dataclass(frozen=True, slots=True)
class RegistryReport:
    """The chain of one registry; `image` is what was asked about, `secret` and `kind` those of the plan's login."""

    hostname: str
    checks: tuple[Check, ...]
    image: str | None = None
    secret: str | None = None
    kind: str | None = None

    def as_json(self, scrub: Callable[[str], str]) -> dict[str, Any]:
        return {
            "hostname": self.hostname,
            "image": self.image,
            "secret": self.secret,
            "kind": self.kind,
            "links": [link.as_json(scrub) for link in self.checks],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """`links` are those that all registries share. Times are aware and in UTC."""

    now: datetime
    took_s: float
    environment: str
    user: str
    host: str
    docker_config: str
    checks: tuple[Check, ...]
    registries: tuple[RegistryReport, ...]

    @property
    def broken(self) -> int:
        chains = (self.checks, *(registry.checks for registry in self.registries))
        return sum(link.broken for links in chains for link in links)

    @property
    def first(self) -> tuple[str | None, Check] | None:
        """The broken link to begin with, and the registry that it belongs to."""
        chains = [(None, self.checks), *((registry.hostname, registry.checks) for registry in self.registries)]
        found = [(hostname, link) for hostname, links in chains if (link := first_broken(links)) is not None]
        # What has no code may come of what another chain tells by its code.
        return min(found, key=lambda pair: rank(pair[1]), default=None)

    def as_json(self, scrub: Callable[[str], str]) -> dict[str, Any]:
        """The document; `scrub` masks secrets that somebody repeated."""
        first = self.first
        return {
            "schema": SCHEMA,
            "version": __version__,
            "now": rfc3339(self.now),
            "took_s": round(self.took_s, 1),
            "environment": {"id": self.environment, "user": self.user, "host": self.host},
            "docker_config": self.docker_config,
            "outcome": "broken" if self.broken else "ok",
            "broken": self.broken,
            "first": None
            if first is None
            else {"hostname": first[0], "name": first[1].name, "fix": scrub(first[1].fix) if first[1].fix else None},
            "links": [link.as_json(scrub) for link in self.checks],
            "registries": [registry.as_json(scrub) for registry in self.registries],
        }

"""The doctor's report, as values and as the document `registry-agent/doctor/v1`."""

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
    """The checks of one registry. `image` is the one in HOST; `secret` and `kind` come from the plan's login."""

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
            "links": [check.as_json(scrub) for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """`checks` are those that all registries share. Times are aware and in UTC."""

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
        return sum(check.broken for checks in chains for check in checks)

    @property
    def first(self) -> tuple[str | None, Check] | None:
        """The failed check to fix first, with its registry (None for a shared check)."""
        chains = [(None, self.checks), *((registry.hostname, registry.checks) for registry in self.registries)]
        failed = [(hostname, check) for hostname, checks in chains if (check := first_broken(checks)) is not None]
        # A failed check without a code may be the consequence of one with a code in another chain.
        return min(failed, key=lambda pair: rank(pair[1]), default=None)

    def as_json(self, scrub: Callable[[str], str]) -> dict[str, Any]:
        """The document. `scrub` masks secrets that another program repeated."""
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
            "links": [check.as_json(scrub) for check in self.checks],
            "registries": [registry.as_json(scrub) for registry in self.registries],
        }

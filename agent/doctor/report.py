"""The doctor's report: the document `registry-agent/doctor/v1`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent import __version__
from agent.doctor.check import Check, rank

SCHEMA: Final = "registry-agent/doctor/v1"


@dataclass(frozen=True, slots=True)
class RegistryReport:
    """The checks of one registry. `image` is the one in HOST; `secret` and `kind` come from the plan's login."""

    hostname: str
    checks: Sequence[Check]
    image: str | None = None
    secret: str | None = None
    kind: str | None = None


def report(
    about: Mapping[str, Any],
    shared: Sequence[Check],
    registries: Sequence[RegistryReport],
    scrub: Callable[[str], str],
) -> dict[str, Any]:
    """Return the document. `about` is its head; `scrub` masks secrets that another program repeated."""

    def links(checks: Sequence[Check]) -> list[dict[str, Any]]:
        return [check.as_json(scrub) for check in checks]

    chains = [(None, shared), *((registry.hostname, registry.checks) for registry in registries)]
    # All chains together: the cause of a failed login is often a shared check, such as a missing docker CLI.
    broken = [(hostname, check) for hostname, checks in chains for check in checks if check.broken]
    hostname, first = min(broken, key=lambda pair: rank(pair[1]), default=(None, None))
    return {
        "schema": SCHEMA,
        "version": __version__,
        **about,
        "outcome": "broken" if broken else "ok",
        "broken": len(broken),
        "first": first and {"hostname": hostname, "name": first.name, "fix": scrub(first.fix or "") or None},
        "links": links(shared),
        "registries": [
            {
                "hostname": registry.hostname,
                "image": registry.image,
                "secret": registry.secret,
                "kind": registry.kind,
                "links": links(registry.checks),
            }
            for registry in registries
        ],
    }

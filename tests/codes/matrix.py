"""The fault matrix: the results of the tests in this directory, in the form of `docs/faults.md`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DOCUMENT: Final = Path(__file__).parents[2] / "docs/faults.md"
AREAS: Final[Mapping[str, str]] = {
    "test_secrets": "Secrets and their sources",
    "test_settings": "Settings and the status endpoint",
    "test_tools": "Programs and the engine",
    "test_docker_is_podman": "Another program as docker",
    "test_registry": "Registries",
    "test_wire": "Registries, on the wire",
    "test_network_settings": "Proxies, certificates and insecure registries",
    "test_aws": "AWS",
    "test_aws_profiles": "AWS profiles",
    "test_clouds": "Google and Azure",
    "test_passwords": "Commands, files and helpers that give a password",
    "test_renewal": "Renewal",
    "test_docker_config": "Docker's configuration",
    "test_clock": "The clock",
    "test_process": "The process and its machine",
    "test_report": "The push",
}
_AREAS_OF: Final[Mapping[str, str]] = {
    "test_cloud_identity": "test_clouds",
    "test_cloud_federation": "test_clouds",
    "test_aws_identity": "test_aws",
    "test_aws_variables": "test_aws_profiles",
    "test_secret_forms": "test_secrets",
    "test_secrets_start": "test_secrets",
    "test_docker_disk": "test_docker_config",
    "test_helper_unavailable": "test_docker_config",
    "test_stored_login": "test_docker_config",
}
_SHORTEST_S: Final = 0.1
_TABLE: Final = "| fault | code | reported after | recovered after |\n|---|---|---|---|\n"
_ROW: Final = re.compile(r"^\| ([^|`]+) \| ([^|]*) \| [^|]* \| [^|]* \|$", re.MULTILINE)


@dataclass(slots=True)
class Seen:
    """Seconds until a code appeared, and until it and the consequences of its fault were gone. None: never."""

    raised_s: float | None = None
    cleared_s: float | None = None


@dataclass(slots=True)
class Fault:
    """One test of the matrix."""

    area: str
    name: str
    codes: dict[str, Seen] = field(default_factory=dict)


def fault_name(node_id: str) -> tuple[str, str]:
    """The area and the name of a fault, from `…/test_area.py::test_a_thing[detail]`."""
    path, _, test = node_id.partition("::")
    words, _, detail = test.removeprefix("test_").removesuffix("]").partition("[")
    name = words.replace("_", " ") + (f": {detail.strip('_').replace('_', ' ')}" if detail else "")
    stem = Path(path).stem
    return _AREAS_OF.get(stem, stem), name.replace("|", "/")


def documented() -> list[tuple[str, str]]:
    """The faults in the document: each name, and its codes as text."""
    return [(name, codes) for name, codes in _ROW.findall(DOCUMENT.read_text()) if name not in ("fault", "---")]


def write(faults: Iterable[Fault]) -> None:
    """Write the tables into the document, after its introduction."""
    tables = []
    for area, title in AREAS.items():
        rows = [_row(fault) for fault in faults if fault.area == area]
        if rows:
            tables.append(f"## {title}\n\n{_TABLE}{''.join(rows).rstrip()}")
    words = DOCUMENT.read_text().partition("\n## ")[0].rstrip("\n")
    DOCUMENT.write_text("\n\n".join([words, *tables]) + "\n")


def _row(fault: Fault) -> str:
    raised = max((seen.raised_s for seen in fault.codes.values() if seen.raised_s is not None), default=None)
    cleared = max((seen.cleared_s for seen in fault.codes.values() if seen.cleared_s is not None), default=None)
    codes = ", ".join(f"`{code}`" for code in sorted(fault.codes) if code)
    return f"| {fault.name} | {codes or '-'} | {_seconds(raised)} | {_seconds(cleared)} |\n"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} s" if value >= _SHORTEST_S else f"< {_SHORTEST_S} s"

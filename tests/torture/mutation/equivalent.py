"""Mutants that change nothing that anybody could notice: for each function, the lines that they write, and why."""

from collections.abc import Mapping
from typing import Final

EQUIVALENT: Final[Mapping[str, Mapping[str, str]]] = {
    "agent.model.registry.parse_hostname": {
        'rest = re.split(r"[/?#]", rest, maxsplit=2)[0].strip()': "only the first part is used",
    },
    "agent.model.plan._first_usable": {
        'first_failure: Skipped | None = ""': "both are false, and neither is returned",
    },
}

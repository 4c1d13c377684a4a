"""Mutants that change nothing observable: for each function, the lines that they write, and the reason."""

from collections.abc import Mapping
from typing import Final

_TASK: Final = "the name of a task appears only in a debugger"
_FALSE: Final = "it is only tested for truth"
_FIRST: Final = "the first result is published in any case, and sets it"

EQUIVALENT: Final[Mapping[str, Mapping[str, str]]] = {
    "agent.model.registry.parse_hostname": {
        'rest = re.split(r"[/?#]", rest, maxsplit=2)[0].strip()': "only the first part is used",
    },
    "agent.services.secrets.Secrets.__init__": {
        "self._published = None": _FALSE,
        "self._published_complete = None": _FIRST,
        "self._published_complete = True": _FIRST,
        "self._published_ok = None": _FIRST,
        "self._published_ok = True": _FIRST,
        "self._reread = None": _FALSE,
    },
    "agent.services.secrets.Secrets.run": {
        f"group.create_task(self._follow_{each}(), {name})": _TASK
        for each in ("directories", "url")
        for name in ("", "name=None", f'name="XXsecrets.{each}XX"', f'name="SECRETS.{each.upper()}"')
    },
    "agent.services.secrets.Secrets._masked": {
        "if sum(map(len, values)) < _QUICK:": "the limit only decides where the same work is done",
    },
}

"""The settings in effect, with the source of each. Contains no token, and no key in a URL."""

from pathlib import Path
from typing import Any

from agent.edge.secret_url import without_secrets
from agent.settings_loader import FIELDS, Loaded


def shown_settings(loaded: Loaded) -> dict[str, Any]:
    """Every key with its value and source, and every error."""
    refused = {problem.subject for problem in loaded.problems}
    return {
        "file": str(loaded.file) if loaded.file else None,
        "faults": [problem.message for problem in loaded.problems],
        "settings": {
            key: {
                "value": _shown(key, _value(loaded, key)),
                "from": f"default, because the value from {loaded.places[key]} is invalid"
                if key in refused & loaded.places.keys()
                else loaded.places.get(key, "default"),
            }
            for key in FIELDS
        },
    }


def _value(loaded: Loaded, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(loaded.settings, section), name)


def _shown(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key.endswith(".identity_token_command"):
        # An argument may be a secret. Support only needs to know the program.
        return [*value[:1], *([f"and {len(value) - 1} arguments"] if len(value) > 1 else [])]
    if key.endswith(".url") and not value.startswith("unix:"):
        return _address(value)
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _address(url: str) -> str:
    """Scheme, host and port only: even the path of a webhook may be a key."""
    scheme, _, rest = without_secrets(url).partition("://")
    host, _, path = rest.partition("/")
    more = "/…" if path.strip("/") or "?" in url else ""
    return f"{scheme}://{host}{more}"

"""An access token of Entra ID, and what is known about it."""

from dataclasses import dataclass

from agent.model.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class AzureToken:
    """A token for the registries' audience. `place` describes where the identity comes from, `principal` who it is."""

    secret: Sensitive
    place: str
    principal: str | None = None

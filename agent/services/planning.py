"""Makes a new plan whenever the secrets or the settings change."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from agent.model.plan import AwsDefaults, Plan, SecretSet, make_plan
from agent.settings import Settings


class Planning:
    """Keeps the last secrets. `default_region` is the AWS region from the environment."""

    def __init__(
        self, settings: Callable[[], Settings], default_region: str | None, follow: Callable[[Plan], None]
    ) -> None:
        self._settings: Final = settings
        self._default_region: Final = default_region
        self._follow: Final = follow
        self._found: SecretSet | None = None

    def take(self, found: SecretSet) -> None:
        self._found = found
        self.replan()

    def replan(self) -> None:
        """Plan again after the settings changed. Does nothing before the secrets were read for the first time."""
        if self._found is not None:
            self._follow(self.plan(self._found))

    def plan(self, found: SecretSet) -> Plan:
        settings = self._settings()
        defaults = AwsDefaults(settings.aws.region or self._default_region, settings.aws.role_arn)
        plan = make_plan(
            found.secrets, settings.secrets.exclude, defaults, allow_commands=settings.secrets.allow_commands
        )
        return replace(plan, complete=found.complete, all_sources_ok=found.all_sources_ok)

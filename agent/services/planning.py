"""Makes the plan anew whenever the secrets or the settings change."""

from collections.abc import Callable
from typing import Final

from agent.model.plan import AwsDefaults, Plan, make_plan
from agent.model.secret import RegistrySecret
from agent.settings import Settings


class Planning:
    """Remembers the secrets that were found last; `default_region` is what the environment says of AWS."""

    def __init__(
        self, settings: Callable[[], Settings], default_region: str | None, follow: Callable[[Plan], None]
    ) -> None:
        self._settings: Final = settings
        self._default_region: Final = default_region
        self._follow: Final = follow
        self._secrets: tuple[RegistrySecret, ...] | None = None

    def take(self, found: tuple[RegistrySecret, ...]) -> None:
        self._secrets = found
        self.again()

    def again(self) -> None:
        """After other settings; before the first reading of the secrets there is nothing to plan."""
        if self._secrets is not None:
            self._follow(self.plan(self._secrets))

    def plan(self, found: tuple[RegistrySecret, ...]) -> Plan:
        settings = self._settings()
        defaults = AwsDefaults(settings.aws.region or self._default_region, settings.aws.role_arn)
        return make_plan(found, settings.secrets.exclude, defaults)

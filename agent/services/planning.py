"""Makes a new plan whenever the secrets or the settings change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.model.login_source import AwsDefaults
from agent.model.plan import Plan, SecretSet, make_plan
from agent.model.secret import RegistrySecret
from agent.settings import Settings


def plan_logins(secrets: Sequence[RegistrySecret], settings: Settings, environ: Mapping[str, str]) -> Plan:
    """Make the plan for these secrets. If the settings name no AWS region, the one in the environment counts."""
    region = settings.aws.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    defaults = AwsDefaults(region, settings.aws.role_arn)
    return make_plan(secrets, settings.secrets.exclude, defaults, allow_commands=settings.secrets.allow_commands)


class Planning:
    """Keeps the last secrets. `follow` gets each plan."""

    def __init__(
        self, settings: Callable[[], Settings], environ: Mapping[str, str], follow: Callable[[Plan], None]
    ) -> None:
        self._settings: Final = settings
        self._environ: Final = environ
        self._follow: Final = follow
        self._found: SecretSet | None = None

    def use(self, found: SecretSet) -> None:
        self._found = found
        self.replan()

    def replan(self) -> None:
        """Plan again after the settings changed. Does nothing before the secrets were read for the first time."""
        if self._found is not None:
            self._follow(self.plan(self._found))

    def plan(self, found: SecretSet) -> Plan:
        plan = plan_logins(found.secrets, self._settings(), self._environ)
        return replace(plan, complete=found.complete, all_sources_ok=found.all_sources_ok)

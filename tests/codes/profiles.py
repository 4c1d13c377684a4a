"""The `~/.aws` of a world, with profiles that need a person, and the actions of that person."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from agent.demo.listener import Listener
from tests.codes.programs import script
from tests.codes.sources import PLAIN
from tests.codes.world import REGION, World
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.sso import SsoPortal

ROLE: Final = "arn:aws:iam::123456789012:role/behind-mfa"
OUTER_ROLE: Final = "arn:aws:iam::123456789012:role/pull"
DEVICE: Final = "arn:aws:iam::123456789012:mfa/ada"
START_URL: Final = "https://example.awsapps.com/start"
SSO_SESSION: Final = "company"


class Profiles:
    """Writes the profile `name`. Each method sets it up differently, always based on a user of the pretend AWS."""

    def __init__(self, world: World, aws: PretendAws, name: str = "team") -> None:
        self._world: Final = world
        self._aws: Final = aws
        self.name: Final = name
        self._home: Final = world.home / ".aws"
        self._home.mkdir(exist_ok=True)
        user = aws.add_user("ada")
        self._keys: Final = (
            f"aws_access_key_id = {user.access_key_id}\naws_secret_access_key = {user.secret_access_key}"
        )

    def keys(self) -> None:
        """A profile with keys only."""
        self.write(self._keys)

    def program(self, name: str) -> Path:
        """A profile whose keys come from a program, which is not there yet. `write_program` writes it."""
        path = self._home / name
        self.write(f"credential_process = {path}")
        return path

    def write_program(self, path: Path) -> None:
        user = self._aws.add_user("program")
        keys = {"Version": 1, "AccessKeyId": user.access_key_id, "SecretAccessKey": user.secret_access_key}
        script(path, f"echo '{json.dumps(keys)}'")

    def teams(self, *names: str) -> None:
        """A profile for each team, each with the keys of its own user."""
        for name in names:
            user = self._aws.add_user(name)
            keys = f"aws_access_key_id = {user.access_key_id}\naws_secret_access_key = {user.secret_access_key}"
            with (self._home / "credentials").open("a") as file:
                file.write(f"[{name}]\n{keys}\n")

    def mfa(self) -> None:
        """A role that requires an MFA code."""
        self.write(*self._mfa_role(), "[profile ada]", self._keys)

    def nested_mfa(self) -> None:
        """A role that is assumed by the session of a role that requires an MFA code."""
        outer = (f"role_arn = {OUTER_ROLE}", "source_profile = base")
        self.write(*outer, "[profile base]", *self._mfa_role(), "[profile ada]", self._keys)

    def sso(self) -> None:
        self.write(*self._account(), f"sso_session = {SSO_SESSION}", *self._sso_session())

    def legacy_sso(self) -> None:
        self.write(*self._account(), *self._start())

    def nested_sso(self) -> None:
        """A role that is assumed with credentials from SSO."""
        outer = (f"role_arn = {OUTER_ROLE}", "source_profile = base")
        inner = (*self._account(), f"sso_session = {SSO_SESSION}")
        self.write(*outer, "[profile base]", *inner, *self._sso_session())

    def console_login(self) -> None:
        """The profile that `aws login` creates."""
        self.write("login_session = arn:aws:iam::123456789012:user/ada")

    def write(self, *lines: str) -> None:
        """Write the profile with these lines. They can add other sections."""
        (self._home / "config").write_text("\n".join([f"[profile {self.name}]", *lines, ""]))

    def portal(self) -> tuple[Listener, SsoPortal]:
        """Serve the SSO portal that issues keys."""
        session = self._aws.principals.session(ROLE, "ada", datetime.now(UTC) + timedelta(hours=1))
        portal = SsoPortal(session, lambda name: self._world.sources.secret(name, PLAIN))
        listener = self._world.serve(portal.handle)
        self._world.env.update(dict.fromkeys(("AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC"), listener.url))
        return listener, portal

    @property
    def sso_cache(self) -> Path:
        return self._home / "sso/cache"

    def log_in(self, portal: SsoPortal, life: timedelta = timedelta(hours=8), *, refreshable: bool = False) -> None:
        """Write the token file that `aws sso login` creates."""
        login = portal.login(life)
        if not refreshable:
            login.pop("refreshToken")
        self.sso_cache.mkdir(parents=True, exist_ok=True)
        for name in (SSO_SESSION, START_URL):
            key = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
            (self.sso_cache / f"{key}.json").write_text(json.dumps(login))

    def _mfa_role(self) -> tuple[str, ...]:
        return (f"role_arn = {ROLE}", f"mfa_serial = {DEVICE}", "source_profile = ada")

    def _account(self) -> tuple[str, ...]:
        return ("sso_account_id = 123456789012", "sso_role_name = dev")

    def _start(self) -> tuple[str, ...]:
        return (f"sso_start_url = {START_URL}", f"sso_region = {REGION}")

    def _sso_session(self) -> tuple[str, ...]:
        return (f"[sso-session {SSO_SESSION}]", *self._start())

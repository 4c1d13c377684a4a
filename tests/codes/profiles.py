"""The `~/.aws` of a world, with profiles that need a person, and the actions of that person."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import web

from agent.demo.listener import Listener
from tests.codes.programs import script
from tests.codes.sources import PLAIN
from tests.codes.world import REGION, World
from tests.fakecloud.aws import PretendAws

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

    def portal(self) -> tuple[Listener, str]:
        """Serve the SSO portal that issues keys. Also returns the token that it accepts."""
        token = self._world.sources.secret("the SSO token", PLAIN)
        ends = datetime.now(UTC) + timedelta(hours=1)
        session = self._aws.principals.session(ROLE, "ada", ends)
        keys = {
            "accessKeyId": session.access_key_id,
            "secretAccessKey": session.secret_access_key,
            "sessionToken": session.session_token,
            "expiration": int(ends.timestamp() * 1000),
        }

        async def give(request: web.BaseRequest) -> web.StreamResponse:
            if request.headers.get("x-amz-sso_bearer_token") != token:
                headers = {"x-amzn-ErrorType": "UnauthorizedException"}
                return web.json_response({"message": "Session token not found or invalid"}, status=401, headers=headers)
            return web.json_response({"roleCredentials": keys})

        listener = self._world.serve(give)
        self._world.env["AWS_ENDPOINT_URL_SSO"] = listener.url
        return listener, token

    def keep_sso_token(self, token: str, life: timedelta = timedelta(hours=8)) -> None:
        """Write the token file that `aws sso login` creates."""
        document = {"accessToken": token, "expiresAt": f"{datetime.now(UTC) + life:%Y-%m-%dT%H:%M:%SZ}"}
        cache = self._home / "sso/cache"
        cache.mkdir(parents=True, exist_ok=True)
        for name in (SSO_SESSION, START_URL):
            key = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
            (cache / f"{key}.json").write_text(json.dumps(document))

    def _mfa_role(self) -> tuple[str, ...]:
        return (f"role_arn = {ROLE}", f"mfa_serial = {DEVICE}", "source_profile = ada")

    def _account(self) -> tuple[str, ...]:
        return ("sso_account_id = 123456789012", "sso_role_name = dev")

    def _start(self) -> tuple[str, ...]:
        return (f"sso_start_url = {START_URL}", f"sso_region = {REGION}")

    def _sso_session(self) -> tuple[str, ...]:
        return (f"[sso-session {SSO_SESSION}]", *self._start())

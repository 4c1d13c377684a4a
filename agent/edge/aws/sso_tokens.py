"""The SSO logins in ~/.aws/sso/cache, and the newer tokens that the agent has got for them.

The SDK renews an expired access token with the refresh token of the login (`_refresher` in aiobotocore/tokens.py). It
saves the new token in that directory, and fails if it cannot (`JSONFileCache` in botocore/utils.py). But in its systemd
service and in a container, the agent may only read there. So it keeps the new token in memory, and saves it if it can.
"""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any, Final

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge.atomic_file import FileChanged, replace_version
from agent.edge.aws.interactive_login import cached_documents
from agent.edge.file_version import read_version
from agent.model.sensitive import Sensitive

SSO_CACHE: Final = "~/.aws/sso/cache"
_SECRETS: Final = ("accessToken", "refreshToken", "clientSecret")
_SAVES: Final = BlockingCalls("aws-sso-cache")

Login = Mapping[str, Any]
"""What a file in the directory contains: a token, when it ends, and what is needed to renew it."""


def sso_logins() -> dict[str, Login]:
    """Return the SSO logins that the aws CLI has cached, by the SDK's cache key. Blocks."""
    return {key: login for key, login in cached_documents(SSO_CACHE).items() if isinstance(login, dict)}


@dataclass(frozen=True, slots=True)
class _Renewed:
    """A login with a new token. It counts as long as the file holds one of the logins in `replaces`, or this one."""

    login: Login
    replaces: tuple[Login, ...]

    def counts(self, in_file: Login | None) -> bool:
        return in_file in (self.login, *self.replaces)


class SsoTokens:
    """The cache that the SDK gets instead of its `JSONFileCache`. It never fails to save, and blocks nothing.

    It outlives the SDK's sessions: AWS may accept a refresh token only once. `learned` is called with each secret.

    Attributes:
        locks: by SSO session. With one lock, profiles of the same session renew the token once, not each.
    """

    def __init__(self, learned: Callable[[Sensitive], object]) -> None:
        self.locks: Final[defaultdict[object, asyncio.Lock]] = defaultdict(asyncio.Lock)
        self._learned: Final = learned
        self._files: Mapping[str, Login] = {}
        self._renewed: dict[str, _Renewed] = {}
        self._given: dict[str, tuple[Login, Login]] = {}

    def update(self, files: Mapping[str, Login]) -> None:
        """Use what the files contain now. A file that a person's login or logout has changed is right.

        Not even a renewed token that ends later is better: it may belong to another user, or be revoked.
        """
        self._files = files
        self._renewed = {key: renewed for key, renewed in self._renewed.items() if renewed.counts(files.get(key))}
        for login in (*files.values(), *(renewed.login for renewed in self._renewed.values())):
            self._learn(login)

    def __contains__(self, key: str) -> bool:
        return key in self._files

    def __getitem__(self, key: str) -> Login:
        in_file, renewed = self._files[key], self._renewed.get(key)
        login = renewed.login if renewed is not None and renewed.counts(in_file) else in_file
        self._given[key] = (in_file, login)
        return login

    def __setitem__(self, key: str, token: Login) -> None:
        """Keep the token that the SDK has renewed, and save it soon. The SDK calls this in the event loop."""
        # The SDK parses this text again. Its own cache writes the same format (`_serialize_utc_timestamp`).
        login = {**token, "expiresAt": f"{token['expiresAt'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        self._learn(login)
        # Not the file of now: a person may have logged in again since the SDK got the token that it has renewed.
        renewed = self._renewed[key] = _Renewed(login, self._given[key])
        # The aws CLI uses the same file. If AWS has replaced the refresh token, the former one may be worth nothing.
        path = Path(SSO_CACHE).expanduser() / f"{key}.json"
        with contextlib.suppress(NoThreadError):
            _SAVES.submit(path, partial(_save, path, renewed))

    def _learn(self, login: Login) -> None:
        for name in _SECRETS:
            if isinstance(login.get(name), str):
                self._learned(Sensitive(login[name]))


def _save(path: Path, renewed: _Renewed) -> None:
    """Write the login into its file, unless another program has changed the file, or the agent may only read it."""
    with contextlib.suppress(OSError, ValueError, FileChanged):
        path = path.resolve()
        former = read_version(path)
        if former is not None and json.loads(former.data) in renewed.replaces:
            replace_version(path, former, json.dumps(renewed.login).encode())

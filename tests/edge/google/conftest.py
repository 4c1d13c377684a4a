"""A client in a network with a simulated Google Cloud."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.google.client import GoogleClient
from agent.edge.http import HttpClient
from agent.model.credential import GoogleIdentity, Token
from agent.model.sensitive import Sensitive
from agent.settings import GoogleSettings
from tests.edge.cloud_network import cloud_network, without
from tests.fakecloud import jwt
from tests.fakecloud.google import AUDIENCE, NAMES, PretendGoogle
from tests.fakecloud.tunnel import Tunnel

EXTERNAL: dict[str, Any] = {
    "type": "external_account",
    "audience": AUDIENCE,
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
}
PERSON = {
    "type": "authorized_user",
    "client_id": "1.apps",
    "client_secret": "s3cret-of-client",
    "refresh_token": "1//r",
}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Bench:
    """A client in a network with a simulated Google Cloud, and the user's home."""

    google: PretendGoogle
    tunnel: Tunnel
    metadata: str
    home: Path
    learned: list[Sensitive] = field(default_factory=list)

    async def fetch(self, settings: GoogleSettings | None = None, account: str | None = None, **env: str) -> Token:
        client = self.client(env)
        return await client.fetch_token(GoogleIdentity(account), settings or GoogleSettings())

    def client(
        self, env: Mapping[str, str] | None = None, *, timeout_s: float = 5, now: Callable[[], datetime] = _now
    ) -> GoogleClient:
        return GoogleClient(
            http=HttpClient(),
            environ={"HOME": str(self.home), "GCE_METADATA_HOST": self.metadata, **(env or {})},
            now=now,
            learned=self.learned.append,
            timeout_s=timeout_s,
            scrub=lambda text: without(self.learned, text),
            metadata_start=timedelta(seconds=30),
        )

    def file(self, content: dict[str, Any] | str, name: str = "file.json") -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def subject(self, name: str = "environment-1") -> tuple[str, Path]:
        """An identity token that Google accepts, and its file."""
        token = jwt.make({"sub": name, "aud": "x"})
        self.google.subjects[token] = name
        return token, self.file(f"{token}\n", "token")


def impersonation_url(account: str) -> str:
    return f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    google = PretendGoogle()
    async with cloud_network(google.handle, NAMES, tmp_path, monkeypatch) as (metadata, tunnel):
        yield Bench(google, tunnel, metadata.address, tmp_path)

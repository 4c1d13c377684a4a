"""A small fake AWS on loopback: ECR, STS, the metadata service and the container endpoint. It records all calls."""

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.edge.aws.sdk import AwsSdk
from agent.model.credential import AwsIdentity, AwsKeys, Token
from agent.model.sensitive import Sensitive
from agent.observe.redaction import LearnedSecrets, Scrubber, secrets_of_environment
from agent.settings import AwsSettings

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/pull"
KEYS = AwsKeys("AKIAOFTHESECRET00", Sensitive("the-secrets-own-secret-key"))
EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"

Answer = Callable[[], web.StreamResponse]


@dataclass(frozen=True)
class RecordedCall:
    """One recorded call: action, access key id (None if unsigned), region and parameters."""

    action: str
    key: str | None
    region: str | None
    parameters: dict[str, Any]
    session_token: str | None = None


@dataclass
class AwsServer:
    """A fake AWS. `answers` replaces the normal answer of an action. `date` is the time of its clock."""

    url: str = ""
    calls: list[RecordedCall] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    metadata: list[str] = field(default_factory=list)
    instance_role: str | None = None
    date: datetime | None = None
    password: str = "the-token"

    def actions(self) -> list[str]:
        return [call.action for call in self.calls if call.action != "GetCallerIdentity"]

    def only(self, action: str) -> RecordedCall:
        [call] = [call for call in self.calls if call.action == action]
        return call

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        target = request.headers.get("X-Amz-Target", "")
        parameters = json.loads(body or "{}") if target else dict(parse_qsl(body))
        action = target.rpartition(".")[2] or parameters.get("Action", "")
        signed = re.search(r"Credential=(\w+)/\d+/([\w-]+)/", request.headers.get("Authorization", ""))
        self.calls.append(
            RecordedCall(
                action,
                signed[1] if signed else None,
                signed[2] if signed else None,
                parameters,
                request.headers.get("X-Amz-Security-Token"),
            )
        )
        if action in self.silent:
            await asyncio.sleep(3600)
        response = (self.answers.get(action) or (lambda: self._good(target, action)))()
        if self.date is not None:
            response.headers["Date"] = format_datetime(self.date, usegmt=True)
        return response

    def _good(self, target: str, action: str) -> web.Response:
        if action == "GetAuthorizationToken":
            return self.token(public=target.startswith("SpencerFrontendService"))
        if action == "GetCallerIdentity":
            arn = "arn:aws:sts::123456789012:assumed-role/env/i-0abc"
            return _xml(action, f"<Arn>{arn}</Arn><UserId>x</UserId><Account>123456789012</Account>")
        return _xml(
            action,
            "<Credentials><AccessKeyId>ASIAOFTHEROLE0000</AccessKeyId><SecretAccessKey>role-key</SecretAccessKey>"
            "<SessionToken>role-session</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration></Credentials>"
            "<AssumedRoleUser><AssumedRoleId>x</AssumedRoleId>"
            "<Arn>arn:aws:sts::123456789012:assumed-role/pull/registry-agent-vscode</Arn></AssumedRoleUser>",
        )

    def token(self, *, public: bool = False, **changes: Any) -> web.Response:
        token = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        data = {"authorizationToken": token, "expiresAt": EXPIRES.timestamp(), "proxyEndpoint": "https://evil.example"}
        data = {name: value for name, value in {**data, **changes}.items() if value is not None}
        return ecr(200, {"authorizationData": data if public else [data]})

    async def metadata_token(self, request: web.Request) -> web.StreamResponse:
        self.metadata.append(f"PUT {request.path}")
        if "metadata" in self.silent:
            await asyncio.sleep(3600)
        return web.Response(text="imds-token") if self.instance_role else web.Response(status=404)

    async def metadata_role(self, request: web.Request) -> web.StreamResponse:
        self.metadata.append(f"GET {request.path}")
        if "metadata" in self.silent:
            await asyncio.sleep(3600)
        if not self.instance_role:
            return web.Response(status=404)
        if request.headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return web.Response(status=401)
        if not request.match_info["role"]:
            return web.Response(text=self.instance_role)
        return web.json_response(_metadata_credentials("ASIAOFTHEINSTANCE"))

    async def container(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "container-token":
            return web.Response(status=403, text="who are you, container-token-not")
        return web.json_response(_metadata_credentials("ASIAOFTHECONTAINER"))


def _metadata_credentials(key: str) -> dict[str, str]:
    expiration = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "Code": "Success",
        "AccessKeyId": key,
        "SecretAccessKey": "instance-key",
        "Token": "instance-session",
        "Expiration": expiration,
    }


def ecr(status: int, document: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status, text=json.dumps(document), content_type="application/x-amz-json-1.1", headers=headers
    )


def ecr_error(code: str, message: str = "", status: int = 400) -> Answer:
    return lambda: ecr(status, {"__type": f"com.amazonaws.ecr#{code}", "message": message})


def sts_error(code: str, message: str = "", status: int = 400) -> Answer:
    text = f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>"
    body = f'<ErrorResponse xmlns="{_STS}"><Error>{text}</Error><RequestId>1</RequestId></ErrorResponse>'
    return lambda: web.Response(status=status, text=body, content_type="text/xml")


def _xml(action: str, result: str) -> web.Response:
    body = f'<{action}Response xmlns="{_STS}"><{action}Result>{result}</{action}Result></{action}Response>'
    return web.Response(text=body, content_type="text/xml")


@asynccontextmanager
async def serve() -> AsyncIterator[AwsServer]:
    server = AwsServer()
    app = web.Application()
    app.router.add_post("/", server.handle)
    app.router.add_put("/latest/api/token", server.metadata_token)
    app.router.add_get("/latest/meta-data/iam/security-credentials/{role:.*}", server.metadata_role)
    app.router.add_get("/container", server.container)
    async with TestServer(app) as running:
        server.url = str(running.make_url("")).rstrip("/")
        yield server


def clear_environment(monkeypatch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    """Remove this machine's AWS settings from the environment, and every way to a real metadata service."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SSL_CERT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)


def identity(
    *,
    keys: AwsKeys | None = KEYS,
    role_arn: str | None = None,
    external_id: str | None = None,
    public: bool = False,
    region: str = REGION,
) -> AwsIdentity:
    return AwsIdentity(region, public, keys, role_arn, external_id)


async def fetch(who: AwsIdentity, settings: AwsSettings | None = None, *, user: str = "vscode") -> Token:
    scrubber = Scrubber()
    scrubber.protect(secrets_of_environment(os.environ), owner="environment")
    learned = LearnedSecrets(scrubber)
    aws = AwsSdk(user=user, environ=os.environ, now=lambda: datetime.now(UTC), learned=learned, scrub=scrubber.scrub)
    return await aws.fetch_token(who, settings or AwsSettings(call_timeout_s=5))

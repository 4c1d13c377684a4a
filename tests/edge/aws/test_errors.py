"""What AWS refuses, and what keeps its answer away: each by its own code, with what a person needs to know."""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.model import hints
from agent.model.credential import AwsKeys
from agent.model.problem import Problem, RetryClass
from agent.model.problems.aws import (
    AwsAccessDenied,
    AwsError,
    AwsIdentityRejected,
    AwsThrottled,
    AwsUnreachable,
    ClockSkew,
)
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings
from tests.edge.aws.aws_server import (
    ROLE,
    Answer,
    AwsServer,
    clear_environment,
    ecr,
    ecr_error,
    fetch,
    identity,
    serve,
    sts_error,
)
from tests.problems import raises_problem

ARN = "arn:aws:iam::123456789012:user/puller"
SOON = AwsSettings(call_timeout_s=2.5)


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[AwsServer]:
    async with serve() as server:
        clear_environment(monkeypatch, tmp_path, server.url)
        yield server


def denial(action: str) -> str:
    return f"User: {ARN} is not authorized to perform: {action} on resource: * because no policy allows the action"


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (
            ecr_error("AccessDeniedException", denial("ecr:GetAuthorizationToken")),
            AwsAccessDenied,
            [ARN, "ecr:GetAuth"],
        ),
        (ecr_error("AccessDeniedException"), AwsAccessDenied, ["ecr:GetAuthorizationToken", "ET00"]),
        (ecr_error("UnrecognizedClientException", "invalid token"), AwsAccessDenied, ["does not know the access key"]),
        (ecr_error("ExpiredTokenException", "expired"), AwsAccessDenied, ["session of the keys has expired"]),
        (ecr_error("ThrottlingException", "Rate exceeded"), AwsThrottled, ["ThrottlingException"]),
        (ecr_error("ServerException", "oops", 500), AwsError, ["ServerException", "oops"]),
        (ecr_error("InvalidParameterException", "odd"), AwsError, ["InvalidParameterException"]),
        (ecr_error("RequestExpired"), ClockSkew, ["clock"]),
        (
            ecr_error(
                "InvalidSignatureException",
                "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)",
            ),
            ClockSkew,
            ["15 min behind"],
        ),
        (
            ecr_error("InvalidSignatureException", "The request signature we calculated does not match the signature"),
            AwsAccessDenied,
            ["secret access key is wrong"],
        ),
        (
            lambda: ecr(400, {"message": "no"}, {"x-amzn-errortype": "AccessDeniedException:http://x/"}),
            AwsAccessDenied,
            ["ecr:GetAuthorizationToken"],
        ),
    ],
)
async def test_a_refused_token_is_told_by_its_code(
    cloud: AwsServer, answer: Answer, expected: type[Problem], words: list[str]
) -> None:
    """Not by its status: AWS throttles and denies with 400 alike."""
    cloud.answers["GetAuthorizationToken"] = answer
    with raises_problem(Problem) as caught:
        await fetch(identity())
    assert isinstance(caught.value, expected)
    assert all(word in caught.value.message for word in words), caught.value.message


@pytest.mark.parametrize(
    ("code", "expected", "retry_class"),
    [
        ("AccessDenied", AwsIdentityRejected, RetryClass.REJECTED),
        ("IDPRejectedClaim", AwsIdentityRejected, RetryClass.REJECTED),
        ("InvalidIdentityToken", AwsIdentityRejected, RetryClass.SOON),
        ("ExpiredTokenException", AwsIdentityRejected, RetryClass.SOON),
        ("IDPCommunicationError", AwsIdentityRejected, RetryClass.SOON),
        ("Throttling", AwsThrottled, RetryClass.SOON),
    ],
)
async def test_a_refused_web_identity_is_told_from_a_missing_permission(
    cloud: AwsServer, tmp_path: Path, code: str, expected: type[Problem], retry_class: RetryClass
) -> None:
    """AccessDenied included: here it is the trust policy that says no, not a policy of the caller's."""
    cloud.answers["AssumeRoleWithWebIdentity"] = sts_error(code, "it says eyJhbGciOi", 403)
    token_file = tmp_path / "token"
    token_file.write_text("eyJhbGciOi")
    with raises_problem(Problem) as caught:
        await fetch(identity(keys=None, role_arn=ROLE), AwsSettings(identity_token_file=token_file))
    assert isinstance(caught.value, expected)
    assert caught.value.retry_class is retry_class
    assert "eyJhbGciOi" not in caught.value.message, "AWS's words may quote the token"


@pytest.mark.parametrize(
    ("code", "message", "expected", "word"),
    [
        ("AccessDenied", denial("sts:AssumeRole"), AwsAccessDenied, "sts:AssumeRole"),
        ("InvalidClientTokenId", "The security token included is invalid", AwsAccessDenied, "does not know"),
        ("SignatureDoesNotMatch", "The Canonical String was x-amz-security-token:SESSION", AwsAccessDenied, "wrong"),
        ("SignatureDoesNotMatch", "Signature not yet current: 20260101T030000Z is", ClockSkew, "clock"),
        ("ExpiredToken", "expired", AwsAccessDenied, "expired"),
    ],
)
async def test_a_refused_role_is_told_by_its_code(
    cloud: AwsServer, code: str, message: str, expected: type[Problem], word: str
) -> None:
    """What STS says when the base identity may not be the role, or is none; it may quote the signed headers."""
    cloud.answers["AssumeRole"] = sts_error(code, message, 403)
    keys = AwsKeys("ASIAOFTHESECRET00", Sensitive("k"), Sensitive("SESSION"))
    with raises_problem(Problem) as caught:
        await fetch(identity(keys=keys, role_arn=ROLE))
    assert isinstance(caught.value, expected)
    assert word in caught.value.message
    assert "SESSION" not in caught.value.message


async def test_a_wrong_clock_is_told_by_how_much(cloud: AwsServer) -> None:
    """Where AWS's words do not tell it, the Date of its reply does."""
    cloud.answers["GetAuthorizationToken"] = ecr_error("InvalidSignatureException", "Signature expired")
    cloud.date = datetime.now(UTC) + timedelta(hours=3)
    with raises_problem(ClockSkew, match="180 min behind"):
        await fetch(identity())


async def test_a_silent_aws_ends_at_the_deadline(cloud: AwsServer) -> None:
    """`aws.call_timeout_s` bounds each call."""
    cloud.silent.add("GetAuthorizationToken")
    with raises_problem(AwsUnreachable, match=r"did not answer ecr:GetAuthorizationToken within 2.5 s"):
        await fetch(identity(), SOON)


async def test_a_connection_that_is_never_made_names_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As behind a firewall that drops: told from an answer that is slow."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = f"127.0.0.1:{full.getsockname()[1]}"
        clear_environment(monkeypatch, tmp_path, f"http://{address}")
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        with raises_problem(AwsUnreachable, match=f"did not reach {address}: no connection in time"):
            await fetch(identity(), SOON)


async def test_a_refused_connection_names_the_address(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the system's own word for it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with raises_problem(AwsUnreachable, match=rf"127.0.0.1:{port}: no connection: Connect"):
            await fetch(identity())
    assert cloud.asked == []


async def test_a_name_that_does_not_resolve_is_said(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A VPC without the endpoint, most often."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://ecr.invalid")
    with raises_problem(AwsUnreachable, match=r"did not reach ecr.invalid: no connection"):
        await fetch(identity())
    assert cloud.asked == []


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\r\n\r\n", b""])
async def test_something_that_is_not_http_is_no_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reply: bytes
) -> None:
    """Any service may listen there."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        clear_environment(monkeypatch, tmp_path, f"http://127.0.0.1:{port}")
        with raises_problem(AwsError, AwsUnreachable, match="GetAuthorizationToken"):
            await fetch(identity())


class TestTls:
    """Whose certificates are believed."""

    @pytest.fixture
    async def authority(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[tuple[AwsServer, Path]]:
        ca = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        server = AwsServer()
        app = web.Application()
        app.router.add_post("/", server.handle)
        running = TestServer(app, scheme="https")
        await running.start_server(ssl=context)
        clear_environment(monkeypatch, tmp_path, str(running.make_url("")).rstrip("/"))
        bundle = tmp_path / "ca.pem"
        ca.cert_pem.write_to_path(str(bundle))
        yield server, bundle
        await running.close()

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE"])
    async def test_a_private_ca_is_believed_where_the_environment_names_it(
        self, authority: tuple[AwsServer, Path], monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        """As the interface says for every outside call."""
        monkeypatch.setenv(variable, str(authority[1]))
        assert (await fetch(identity())).username == "AWS"

    async def test_an_unknown_ca_is_named_with_what_to_do(self, authority: tuple[AwsServer, Path]) -> None:
        """A proxy that opens TLS is the usual cause."""
        with raises_problem(AwsUnreachable, match=r"certificate was not accepted: .*certificate") as caught:
            await fetch(identity())
        assert "SSL_CERT_FILE" in caught.value.hint
        assert authority[0].asked == []

    async def test_a_ca_bundle_that_is_not_there_is_said(
        self, authority: tuple[AwsServer, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not taken for a fault of AWS."""
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority[1]) + ".gone")
        with raises_problem(AwsUnreachable, match="No such file"):
            await fetch(identity())


class TestProxy:
    """The environment's proxy, and its password."""

    @pytest.fixture
    async def seen(self, cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
        """Authorizations that a proxy saw; it lets the right password through, and answers in AWS's place."""
        seen: list[str] = []

        async def relay(request: web.Request) -> web.StreamResponse:
            seen.append(request.headers.get("Proxy-Authorization", ""))
            if "right" not in base64.b64decode(seen[-1].removeprefix("Basic ")).decode():
                return web.Response(status=407, text="wrong%21pass")
            return cloud.token()

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", relay)
        async with TestServer(app) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws.example")
            monkeypatch.setenv("HTTP_PROXY", f"http://user:right%21pass@127.0.0.1:{proxy.port}")
            monkeypatch.setenv("http_proxy", f"http://user:right%21pass@127.0.0.1:{proxy.port}")
            yield seen

    async def test_calls_go_through_it_with_its_password(self, seen: list[str]) -> None:
        """Percent-encoded in the URL, plain in the header."""
        assert (await fetch(identity())).username == "AWS"
        assert base64.b64decode(seen[0].removeprefix("Basic ")).decode() == "user:right!pass"

    async def test_no_proxy_is_obeyed(self, seen: list[str], cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A VPC endpoint is asked directly."""
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
        assert (await fetch(identity())).username == "AWS"
        assert seen == []

    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize(
        "value", ["http://user:p#ss@h:9", "user:p#ss@h:9", "http://user:pass@h:notaport", "http://"]
    )
    async def test_one_that_is_no_url_is_said(
        self, cloud: AwsServer, monkeypatch: pytest.MonkeyPatch, scheme: str, value: str
    ) -> None:
        """By the variable's name, without its value, which holds a password; it is no fault of AWS."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{scheme}://aws.example")
        monkeypatch.setenv(f"{scheme}_proxy", value)
        with raises_problem(AwsUnreachable, match=f"{scheme.upper()}_PROXY is not (a|the) URL") as caught:
            await fetch(identity())
        assert caught.value.hint == hints.PROXY
        for part in ("user", "p#ss", "pass@", "notaport"):
            assert part not in caught.value.message
        assert cloud.asked == []

    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize(
        ("address", "word"),
        [("proxy.invalid:3128", "Name or service not known"), ("127.0.0.1:9", "Connection refused")],
    )
    async def test_one_that_cannot_be_reached_is_named(
        self, cloud: AwsServer, monkeypatch: pytest.MonkeyPatch, scheme: str, address: str, word: str
    ) -> None:
        """Instead of AWS, whose name may be well; what the URL holds besides is a secret."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{scheme}://aws.example")
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:pass@{address}")
        with raises_problem(AwsUnreachable, match=f"the proxy {address} cannot be reached: {word}") as caught:
            await fetch(identity())
        assert caught.value.hint == hints.PROXY
        assert "pass" not in caught.value.message
        assert cloud.asked == []

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_a_refusal_shows_no_password(
        self, seen: list[str], monkeypatch: pytest.MonkeyPatch, scheme: str
    ) -> None:
        """Neither as it stands in the URL, nor decoded, nor as the header has it."""
        address = os.environ["HTTP_PROXY"].rpartition("@")[2]
        for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(variable, f"http://user:wrong%21pass@{address}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{scheme}://aws.example")
        with raises_problem(AwsError, AwsUnreachable) as caught:
            await fetch(identity())
        header = base64.b64encode(b"user:wrong!pass").decode()
        assert f"Basic {header}" in seen or scheme == "https"
        for form in ("wrong%21pass", "wrong!pass", header):
            assert form not in caught.value.message

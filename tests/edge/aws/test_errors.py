"""Tests of AWS errors: each refusal and each connection failure has its own code and a useful message."""

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
from agent.model.problem import Needs, Problem, RetryClass
from agent.model.problems.aws import (
    AwsAccessDenied,
    AwsBlockedBySettings,
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
async def test_recognises_a_refused_token_by_its_error_code(
    cloud: AwsServer, answer: Answer, expected: type[Problem], words: list[str]
) -> None:
    """The HTTP status does not help: AWS uses 400 for throttling and for denial."""
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
async def test_distinguishes_a_rejected_web_identity_from_a_missing_permission(
    cloud: AwsServer, tmp_path: Path, code: str, expected: type[Problem], retry_class: RetryClass
) -> None:
    """This includes AccessDenied: here the trust policy refuses, and not a policy of the caller."""
    cloud.answers["AssumeRoleWithWebIdentity"] = sts_error(code, "it says eyJhbGciOi", 403)
    token_file = tmp_path / "token"
    token_file.write_text("eyJhbGciOi")
    with raises_problem(Problem) as caught:
        await fetch(identity(keys=None, role_arn=ROLE), AwsSettings(identity_token_file=token_file))
    assert isinstance(caught.value, expected)
    assert caught.value.retry_class is retry_class
    assert "eyJhbGciOi" not in caught.value.message, "the text from AWS may quote the token"


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
async def test_recognises_a_refused_role_by_its_error_code(
    cloud: AwsServer, code: str, message: str, expected: type[Problem], word: str
) -> None:
    """STS refuses if the base identity is invalid or may not assume the role. Its text may quote signed headers."""
    cloud.answers["AssumeRole"] = sts_error(code, message, 403)
    keys = AwsKeys("ASIAOFTHESECRET00", Sensitive("k"), Sensitive("SESSION"))
    with raises_problem(Problem) as caught:
        await fetch(identity(keys=keys, role_arn=ROLE))
    assert isinstance(caught.value, expected)
    assert word in caught.value.message
    assert "SESSION" not in caught.value.message


async def test_reports_how_far_the_clock_is_off(cloud: AwsServer) -> None:
    """If the text from AWS does not contain it, the Date header does."""
    cloud.answers["GetAuthorizationToken"] = ecr_error("InvalidSignatureException", "Signature expired")
    cloud.date = datetime.now(UTC) + timedelta(hours=3)
    with raises_problem(ClockSkew, match="180 min behind"):
        await fetch(identity())


async def test_a_silent_aws_ends_at_the_deadline(cloud: AwsServer) -> None:
    """`aws.call_timeout_s` limits each call."""
    cloud.silent.add("GetAuthorizationToken")
    with raises_problem(AwsUnreachable, match=r"did not answer ecr:GetAuthorizationToken within 2.5 s"):
        await fetch(identity(), SOON)


async def test_a_connection_timeout_names_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A firewall that drops packets causes it. The message differs from that of a slow answer."""
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
        with raises_problem(AwsUnreachable, match=f"did not reach {address}: connecting timed out"):
            await fetch(identity(), SOON)


async def test_a_refused_connection_names_the_address(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message also has the text of the system error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with raises_problem(AwsUnreachable, match=rf"127.0.0.1:{port}: connection refused"):
            await fetch(identity())
    assert cloud.calls == []


async def test_reports_a_name_that_does_not_resolve(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most common cause is a VPC without the endpoint."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://ecr.invalid")
    with raises_problem(AwsUnreachable, match=r"did not reach ecr.invalid: its name does not resolve"):
        await fetch(identity())
    assert cloud.calls == []


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH\r\n\r\n", b""])
async def test_an_answer_that_is_not_http_does_not_crash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reply: bytes
) -> None:
    """Any service may listen at the address."""

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
    """Which certificates are trusted."""

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
    async def test_trusts_a_private_ca_named_in_the_environment(
        self, authority: tuple[AwsServer, Path], monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        """The interface promises this for every outside call."""
        monkeypatch.setenv(variable, str(authority[1]))
        assert (await fetch(identity())).username == "AWS"

    async def test_reports_an_unknown_ca_and_what_to_do(self, authority: tuple[AwsServer, Path]) -> None:
        """The usual cause is a proxy that intercepts TLS."""
        with raises_problem(AwsUnreachable, match=r"no secure connection: .*certificate") as caught:
            await fetch(identity())
        assert "SSL_CERT_FILE" in caught.value.hint
        assert authority[0].calls == []

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
    @pytest.mark.parametrize("text", [None, "no certificate"], ids=["missing", "garbage"])
    async def test_names_a_variable_with_an_unusable_ca_file(
        self, authority: tuple[AwsServer, Path], monkeypatch: pytest.MonkeyPatch, variable: str, text: str | None
    ) -> None:
        """The message blames neither AWS nor the network: the variable is the user's."""
        path = authority[1].with_suffix(".moved")
        if text is not None:
            path.write_text(text)
        monkeypatch.setenv(variable, str(path))
        with raises_problem(AwsBlockedBySettings, match=f"{variable} names the CA file {path}, which") as caught:
            await fetch(identity())
        assert (caught.value.needs, caught.value.hint) == (Needs.USER, hints.CA_VARIABLE)


class TestProxy:
    """The environment's proxy, and its password."""

    @pytest.fixture
    async def proxied(self, cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
        """The authorizations that a proxy received. With the right password, the proxy answers instead of AWS."""
        received: list[str] = []

        async def relay(request: web.Request) -> web.StreamResponse:
            received.append(request.headers.get("Proxy-Authorization", ""))
            if "right" not in base64.b64decode(received[-1].removeprefix("Basic ")).decode():
                return web.Response(status=407, text="wrong%21pass")
            return cloud.token()

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", relay)
        async with TestServer(app) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://aws.example")
            monkeypatch.setenv("HTTP_PROXY", f"http://user:right%21pass@127.0.0.1:{proxy.port}")
            monkeypatch.setenv("http_proxy", f"http://user:right%21pass@127.0.0.1:{proxy.port}")
            yield received

    async def test_calls_go_through_it_with_its_password(self, proxied: list[str]) -> None:
        """The password is percent-encoded in the URL and plain in the header."""
        assert (await fetch(identity())).username == "AWS"
        assert base64.b64decode(proxied[0].removeprefix("Basic ")).decode() == "user:right!pass"

    async def test_obeys_no_proxy(self, proxied: list[str], cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Requests to a VPC endpoint go there directly."""
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
        assert (await fetch(identity())).username == "AWS"
        assert proxied == []

    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize(
        "value", ["http://user:p#ss@h:9", "user:p#ss@h:9", "http://user:pass@h:notaport", "http://"]
    )
    async def test_reports_a_proxy_that_is_not_a_url(
        self, cloud: AwsServer, monkeypatch: pytest.MonkeyPatch, scheme: str, value: str
    ) -> None:
        """The message names the variable, but not its value, which holds a password. It does not blame AWS."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{scheme}://aws.example")
        monkeypatch.setenv(f"{scheme}_proxy", value)
        with raises_problem(AwsUnreachable, match=f"{scheme}_proxy is not (a|the) URL") as caught:
            await fetch(identity())
        assert caught.value.hint == hints.PROXY
        for part in ("user", "p#ss", "pass@", "notaport"):
            assert part not in caught.value.message
        assert cloud.calls == []

    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize(
        ("address", "word"),
        [("proxy.invalid:3128", "its name does not resolve"), ("127.0.0.1:9", "connection refused")],
    )
    async def test_names_a_proxy_that_cannot_be_reached(
        self, cloud: AwsServer, monkeypatch: pytest.MonkeyPatch, scheme: str, address: str, word: str
    ) -> None:
        """It blames the proxy and not AWS. It hides the rest of the URL, which is secret."""
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{scheme}://aws.example")
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:pass@{address}")
        with raises_problem(AwsUnreachable, match=f"the proxy {address} cannot be reached: {word}") as caught:
            await fetch(identity())
        assert caught.value.hint == hints.PROXY
        assert "pass" not in caught.value.message
        assert cloud.calls == []

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_a_refusal_shows_no_password(
        self, proxied: list[str], monkeypatch: pytest.MonkeyPatch, scheme: str
    ) -> None:
        """It shows the password neither as in the URL, nor decoded, nor as in the header."""
        address = os.environ["HTTP_PROXY"].rpartition("@")[2]
        for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(variable, f"http://user:wrong%21pass@{address}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"{scheme}://aws.example")
        with raises_problem(AwsError, AwsUnreachable) as caught:
            await fetch(identity())
        header = base64.b64encode(b"user:wrong!pass").decode()
        assert f"Basic {header}" in proxied or scheme == "https"
        for form in ("wrong%21pass", "wrong!pass", header):
            assert form not in caught.value.message

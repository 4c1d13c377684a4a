"""Output of programs and servers: docker's stderr, a registry, AWS, a credential helper, a web identity token."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from botocore.exceptions import ClientError
from botocore.loaders import create_loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from multidict import CIMultiDict, CIMultiDictProxy

from agent.edge.aws.errors import AwsCall, problem_from
from agent.edge.aws.replies import parse_role_session, parse_token
from agent.edge.credential_helper import CredentialHelpers
from agent.edge.http import HttpClient, Reply
from agent.edge.identity_token import IdentityTokenError, parse_identity_token
from agent.edge.process import Finished
from agent.edge.registry_client import RegistryClient
from agent.edge.secret_command import how_it_failed
from agent.model.clock_skew import registry_clock_skew
from agent.model.credential import Credential
from agent.model.docker_errors import explain
from agent.model.docker_output import read_stderr
from agent.model.docker_results import Fault, ProbeResult
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsIdentityUnavailable
from agent.model.problems.stored_login import CredentialStoreFailed
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.observe.redaction import Scrubber
from tests.fuzz.target import CANARY, Target, assert_printable, assert_tellable, heap, secret_in

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_HOST: Final = "ghcr.io"
_LONGEST_WAIT: Final = timedelta(hours=12)
_SCRUBBER: Final = Scrubber()
_SCRUBBER.protect([CANARY])

_STDERR: Final = (
    b'Error response from daemon: Get "https://ghcr.io/v2/": unauthorized: incorrect username or password',
    b"time=x level=warning\nlogin attempt to https://ghcr.io/v2/ failed with status: 401 Unauthorized",
    b"login attempt to https://ghcr.io/v2/ failed with status: 429 Too Many Requests",
    b'Get "https://ghcr.io/v2/": dial tcp 10.0.0.1:443: connect: connection refused',
    b'Get "https://ghcr.io/v2/": dial tcp: lookup ghcr.io on 10.0.0.1:53: no such host',
    b'Get "https://ghcr.io/v2/": tls: failed to verify certificate: x509: certificate has expired',
    b'Get "https://ghcr.io/v2/": context deadline exceeded',
    b'Get "https://ghcr.io/v2/": proxyconnect tcp: EOF',
    b"Error saving credentials: error storing credentials - err: exit status 1, out: `not implemented`",
    b"write /run/x: no space left on device",
)
_STDERR_WORDS: Final = (
    b"failed with status",
    b"unexpected HTTP status: ",
    b" 503 ",
    b"lookup ",
    b"lookup a",
    b"unauthorized",
    b"denied",
    b"timeout",
    b"x509",
    b"EOF",
    b"Error: ",
    b"Get https://",
    b"malformed HTTP",
    b"a",
    b" ",
    b"\n",
    b"12",
)


def check_stderr(data: bytes) -> None:
    said = read_stderr(data)
    assert_printable(said.text)
    assert said.status is None or 0 <= said.status <= 999
    for seen in _SEEN:
        assert_tellable(explain(said, seen, _HOST, "team"))


_SEEN: Final = (
    None,
    ProbeResult(NOW, status=401),
    ProbeResult(NOW, status=403, detail="Your authorization token has expired. Reauthenticate and try again."),
    ProbeResult(NOW, status=200, registry=False),
    ProbeResult(NOW, fault=Fault.DNS, detail="lookup other.example: no such host"),
    ProbeResult(NOW, status=503, retry_after=timedelta(seconds=5), server_time=NOW - timedelta(hours=1)),
)

_REPLIES: Final = (
    b'401\nWWW-Authenticate: Basic realm="x"\nDocker-Distribution-Api-Version: registry/2.0\n\n{}',
    b'401\nWWW-Authenticate: Bearer realm="https://auth.example/token",service="r",scope="repository:a:pull"\n\n',
    b"429\nRetry-After: 30\nDate: Thu, 01 Jan 2026 00:00:00 GMT\n\ntoo many",
    b"429\nRetry-After: Thu, 01 Jan 2026 00:10:00 +0200\n\n",
    b"302\nLocation: https://login.example/\nContent-Type: text/html; charset=utf-8\n\n<html>",
    b"403\nDate: Thu, 01 Jan 2026 00:00:00 -0000\n\nYour authorization token has expired.",
    b"200\nContent-Type: TEXT/HTML\n\n\x1b[2J",
)
_REPLY_WORDS: Final = (
    b"WWW-Authenticate: Bearer ",
    b'realm="https://[::1"',
    b'realm="http://127.0.0.1/',
    b'service="',
    b'a="',
    b"a",
    b"a=",
    b'="",',
    b"Retry-After: ",
    b"Date: ",
    b"Location: //",
    b"\n",
    b"Thu, 01 Jan ",
    b"9999 23:59:59 -2359",
    b"0001 00:00:00 +1400",
    b"xn--",
    b"\xe2\x84\xaa",
)


class CannedProbe(RegistryClient):
    """A registry client with a given reply instead of a connection."""

    def __init__(self) -> None:
        super().__init__(HttpClient(), lambda: NOW)
        self.reply = Reply(200, CIMultiDictProxy(CIMultiDict()), b"")

    async def _get(
        self,
        registry: Registry,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",  # noqa: ARG002 - the signature of the base class
    ) -> Reply:
        assert registry.hostname == _HOST
        assert url.startswith(("https://", "http://")), url
        secret = (headers or {}).get("Authorization")
        assert secret is None or url.startswith("https://") or "://127." in url or "://localhost" in url or "[" in url
        assert timeout
        return self.reply


class _Probe:
    def __init__(self) -> None:
        self._probe: Final = CannedProbe()
        self._registry: Final = parse_hostname(_HOST)
        self._credential: Final = Credential("bob", Sensitive(CANARY))

    def check(self, data: bytes) -> None:
        """Check a status, a header per line, an empty line and a body. Headers are cut to aiohttp's limit."""
        head, _, body = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        status = int(first[:3]) if first[:3].isdigit() else 200
        headers: CIMultiDict[str] = CIMultiDict()
        for line in lines:
            name, _, value = line.partition(b":")
            headers.add(name.decode("latin-1").strip(), value[:8190].decode("utf-8", "surrogateescape").strip())
        self._probe.reply = Reply(status, CIMultiDictProxy(headers), body)
        for credential in (None, self._credential):
            seen = _now(self._probe.probe(self._registry, credential, 5.0))
            assert_printable(seen.detail)
            assert seen.retry_after is None or timedelta() <= seen.retry_after <= _LONGEST_WAIT
            for said in (read_stderr(_STDERR[2]), read_stderr(b"")):
                assert_tellable(explain(said, seen, _HOST, "team"))
            skew = registry_clock_skew(seen, _HOST)
            if skew is not None:
                assert_tellable(skew)


_AWS: Final = (
    (
        b'e200|{"authorizationData":[{"authorizationToken":"QVdTOmM0bjRyeS1TM2NyZXQtMTY=","expiresAt":1.7672256E9,'
        b'"proxyEndpoint":"https://1.dkr.ecr.eu-west-1.amazonaws.com"}]}'
    ),
    b'p200|{"authorizationData":{"authorizationToken":"QVdTOmM0bjRyeS1TM2NyZXQtMTY=","expiresAt":"2026-01-01T00:00:00Z"}}',
    (
        b'e400|{"__type":"AccessDeniedException","message":"User: arn:aws:sts::1:assumed-role/a is not authorized to '
        b'perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows it"}'
    ),
    b"w400|<ErrorResponse><Error>text where members should be</Error></ErrorResponse>",
    (
        b'e400|{"__type":"com.amazonaws#InvalidSignatureException","message":"Signature expired: 20260101T000000Z is '
        b'now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)"}'
    ),
    b'e400|{"__type":"ThrottlingException","message":"Rate exceeded"}',
    b"e503|<html>captive</html>",
    (
        b'r200|<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
        b"<AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>c4n4ry-S3cret-16</SecretAccessKey><SessionToken>t</SessionToken>"
        b"<Expiration>2026-01-01T01:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:a</Arn>"
        b"</AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
    ),
    (
        b"w400|<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>No provider</Message>"
        b"</Error></ErrorResponse>"
    ),
)
_AWS_WORDS: Final = (
    b'"authorizationData":',
    b'"authorizationToken":',
    b'"expiresAt":',
    b'"__type":"',
    b'"message":"',
    b"-62135596800",
    b"253402300799",
    b"1e308",
    b'"0001-01-01T00:00:00+14:00"',
    b'"9999-12-31T23:59:59-14:00"',
    b"{},",
    b"[[",
    b"<Error>",
    b"<Code>Throttling",
    b"</Code>",
    b"<AssumedRoleUser/>",
    b"<Credentials/>",
    b"User: arn:a",
    b" is not authorized to perform: a:b",
    b" because ",
    b" on resource: arn:",
    b"20260101T000000Z",
    b"<!ENTITY a 'b'>",
    b"&a;",
)
_OPERATIONS: Final = {
    b"e": ("ecr", "GetAuthorizationToken", "ecr:GetAuthorizationToken"),
    b"p": ("ecr-public", "GetAuthorizationToken", "ecr-public:GetAuthorizationToken"),
    b"r": ("sts", "AssumeRole", "sts:AssumeRole"),
    b"w": ("sts", "AssumeRoleWithWebIdentity", "sts:AssumeRoleWithWebIdentity"),
}


@cache
def _operation(service: str, operation: str) -> tuple[Any, Any]:
    """Return the SDK's own parser, and the shape that it reads into."""
    model = ServiceModel(create_loader().load_service_model(service, "service-2"), service)
    return create_parser(model.resolved_protocol), model.operation_model(operation).output_shape


def check_aws(data: bytes) -> None:
    """Pass an operation, a status and a body through the SDK's parser into ours."""
    head, _, body = data.partition(b"|")
    service, operation, action = _OPERATIONS.get(head[:1], _OPERATIONS[b"e"])
    status = int(head[1:4]) if head[1:4].isdigit() else 200
    parser, shape = _operation(service, operation)
    question = AwsCall(action, "arn:aws:sts::1:assumed-role/a")
    date = body[-40:].decode("utf-8", "replace")
    reply = {"status_code": status, "headers": {"date": date, "x-amzn-errortype": date}, "body": body}
    try:
        parsed = parser.parse(reply, shape)
        if status >= 300:
            raise ClientError(parsed, operation)  # noqa: TRY301 - as the SDK does
    except Exception as error:  # noqa: BLE001 - the agent handles whatever the SDK raises
        assert_tellable(problem_from(error, question, NOW, 10.0, _SCRUBBER.scrub), CANARY)
        return
    try:
        if service == "sts":
            keys, arn = parse_role_session(parsed, "arn:aws:iam::123456789012:role/pull")
            assert_printable(arn or "")
            assert isinstance(keys.access_key_id, str)
            return
        token = parse_token(parsed)
    except ProblemError as error:
        problem = error.problem
        assert_tellable(problem, CANARY)
        return
    assert CANARY not in repr(token)
    assert token.expires_at is not None
    assert token.expires_at.utcoffset() == timedelta()
    assert token.username
    assert ":" not in token.username
    assert_printable(token.username)
    assert_printable(token.password.reveal())


_HELPER: Final = (
    b'0|{"ServerURL":"ghcr.io","Username":"bob","Secret":"c4n4ry-S3cret-16"}',
    b'0|{"username":"<token>","secret":"c4n4ry-S3cret-16"}',
    b"1|credentials not found in native keychain\n",
    b"1|not implemented",
    b"2|error getting credentials - err: exit status 1, out: `x`\n",
)
_HELPER_WORDS: Final = (b'"Username":', b'"Secret":', b"{", b"[", b'{"a":', b"[[", b'"a",', b"\n", b"9", b"1e", b'"')


class _Helper(CredentialHelpers):
    """Credential helpers with a given answer instead of a program."""

    def __init__(self) -> None:
        super().__init__({})
        self.finished = Finished(0, b"", b"")

    async def _run(self, name: str, action: str, server: str, stdin: str) -> Finished:
        assert (name, action, server, stdin) == ("x", "get", _HOST, _HOST)
        return self.finished

    def check(self, data: bytes) -> None:
        code, _, output = data.partition(b"|")
        self.finished = Finished(int(code) % 256 if code.isdigit() and len(code) < 9 else -9, output, b"")
        text = output.decode(errors="replace")
        secret = secret_in(text, frozenset({"secret"})) if "{" in text else None
        try:
            entry = _now(self.get("x", _HOST))
        except ProblemError as error:
            assert isinstance(error.problem, CredentialStoreFailed)  # noqa: PT017 - any other outcome is fine
            assert_tellable(error.problem, secret)
            return
        assert entry is None or (entry.username or entry.secret)
        assert secret is None or secret not in repr(entry)


_TOKENS: Final = (b"eyJhbGciOiJSUzI1NiJ9.e30.c4n4ry-S3cret-16\n", b"\xef\xbb\xbfabcd", b"a" * 20_000, b"two words", b"")


def check_web_identity(data: bytes) -> None:
    assert how_it_failed(Finished(1, b"", data)) == how_it_failed(Finished(1, data, b""))
    try:
        token = parse_identity_token(data, "aws.identity_token_file /run/token")
    except IdentityTokenError as error:
        assert_tellable(AwsIdentityUnavailable("aws", str(error)), CANARY)
        return
    text = token.reveal()
    assert 4 <= len(text) <= 20_000
    assert text.isascii()
    assert_printable(text)


def _now(coroutine: Any) -> Any:
    """Return the result of a coroutine that waits for nothing."""
    return _loop().run_until_complete(coroutine)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def close() -> None:
    _loop().close()
    _loop.cache_clear()


def targets() -> tuple[Target, ...]:
    return (
        Target("docker-stderr", check_stderr, _STDERR, _STDERR_WORDS, heaps=(heap(b"", b"line %d\n", b""),)),
        Target(
            "registry-reply",
            _Probe().check,
            _REPLIES,
            (*_REPLY_WORDS, b"401\nWWW-Authenticate: Bearer " + b"a" * 9000 + b"\n"),
            heaps=(
                heap(b"401\nWWW-Authenticate: Bearer ", b'a%d="b"', b"\n\n", b","),
                heap(b"401\n", b"A%d: b\n", b"\n"),
            ),
        ),
        Target("aws-reply", check_aws, _AWS, _AWS_WORDS, slowness=2),
        Target("helper-output", _Helper().check, _HELPER, _HELPER_WORDS),
        Target("web-identity", check_web_identity, _TOKENS, (b"a", b" ", b"\n", b".", b"\xff", b"a\n")),
    )

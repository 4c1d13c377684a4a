"""Secrets as people, platforms and control planes write them, and the host names in them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.edge import secret_files
from agent.model.document_text import DocumentError
from agent.model.login_source import AwsDefaults
from agent.model.plan import make_plan
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.registry import HostnameError, Registry, parse_hostname
from agent.model.secret import RegistrySecret
from agent.model.secret_environment import read_environment
from agent.model.secret_formats import FIELDS, ParseResult, read_answer, read_document
from tests.fuzz.target import CANARY, Target, assert_printable, assert_silent, assert_tellable, heap, scratch, secret_in

SECRET_FIELDS: Final = frozenset({"password", "session_token", "auth", "identitytoken", "registrytoken"})

HOSTS: Final = (
    b"ghcr.io",
    b"https://ghcr.io/",
    b"http://ghcr.io/v2/",
    b" GHCR.IO ",
    b"ghcr.io/org",
    b"https://index.docker.io/v1/",
    b"docker.io",
    b"docker.io:443",
    b"registry-1.docker.io",
    b"localhost:5000",
    b"[::1]:5000",
    b"10.0.0.1:05000",
    b"ghcr.io.",
    b"user@ghcr.io",
    b"123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    b"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
    b"123456789012.dkr-ecr.eu-west-1.on.aws:443",
    b"123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
    b"public.ecr.aws",
    b"europe-west1-docker.pkg.dev",
    b"eu.gcr.io.evil.example",
    b"acmedev.westeurope.geo.azurecr.io",
    b"https://",
    b"s3://a/b",
    b"--flag",
    b"../../etc",
)
_HOST_WORDS: Final = (b"a", b"a.", b"a-", b"-", b"_", b".", b":", b"[", b"]", b"1", b"/", b"#", b"?", b"https://", b"@")
_JSON_WORDS: Final = (
    *(f'"{field}":'.encode() for field in ("name", "hostname", "username", "password", "scope", "enabled", "kind")),
    *(f'"{field}":'.encode() for field in ("region", "role_arn", "external_id", "session_token", "secrets", "auths")),
    *(f'"{field}":'.encode() for field in ("auth", "identitytoken", "registrytoken")),
    *(f'"{word}"'.encode() for word in ("AWS", "runner-native", "ecr", "ecr-public", "basic", "user", "eu-west-1")),
    b'"arn:aws:iam::123456789012:role/pull"',
    b'"AKIAABCDEFGHIJKLMNOP"',
    b'"eyJleHBpcmF0aW9uIjogOTk5OTk5OTk5OTl9"',
    b'"Ym9iOmM0bjRyeS1TM2NyZXQtMTY="',
    b"{},",
    b"[",
    b'{"a":',
    b'"a",',
    b"1,",
    f'"{CANARY}"'.encode(),
    *HOSTS,
)
_ONE: Final = f'{{"name":"team","hostname":"ghcr.io","username":"bob","password":"{CANARY}"}}'
_DOCUMENTS: Final = (
    _ONE.encode(),
    f"[{_ONE},{_ONE}]".encode(),
    f'{{"secrets":[{_ONE}]}}'.encode(),
    b'{"auths":{"ghcr.io":{"auth":"Ym9iOmM0bjRyeS1TM2NyZXQtMTY="},"https://index.docker.io/v1/":{}}}',
    f'{{"auths":{{"ghcr.io":{{"username":"bob","password":"{CANARY}"}}}}}}'.encode(),
    b'{"name":"ecr","hostname":"123456789012.dkr.ecr.eu-west-1.amazonaws.com","username":"runner-native"}',
    f'{{"name":"keys","hostname":"h:5000","kind":"ecr","region":"eu-west-1","username":"AKIAABCDEFGHIJKLMNOP",'
    f'"password":"{CANARY}","session_token":"{CANARY}","role_arn":"arn:aws:iam::123456789012:role/pull"}}'.encode(),
    b'{"name":"gar","hostname":"gcr.io","google_service_account":"pull@acme.iam.gserviceaccount.com"}',
    b'{"name":"acr","hostname":"acmedev.azurecr.io","azure_client_id":"6b1c2d3e-0000-4000-8000-000000000001"}',
    b'{"apiVersion":"v1","kind":"Secret","data":{".dockerconfigjson":"eyJhdXRocyI6e319"}}',
    b"apiVersion: v1\nkind: Secret\nstringData:\n  hostname: h.io\n  username: 'b'\n  password: |\n"
    + f"    {CANARY}".encode(),
    b"apiVersion: v1\nkind: Secret\nstringData: {null: x, hostname: h.io}\n",
    b'apiVersion: v1\nkind: Secret\nstringData: {~: "x"}\n',
    b'"{\\"ghcr.io\\":{\\"auth\\":\\"Ym9iOmM0bjRyeS1TM2NyZXQtMTY=\\"}}"',
    b'{"name":"ready","hostname":"public.ecr.aws","username":"AWS","password":"eyJleHBpcmF0aW9uIjogMTc2NzIyNTYwMH0="}',
)


def check_hostname(data: bytes) -> None:
    try:
        registry = parse_hostname(data.decode(errors="surrogatepass") if _is_wtf8(data) else data.decode("latin-1"))
    except HostnameError as error:
        assert_printable(str(error))
        return
    _assert_canonical(registry)


def check_document(data: bytes) -> None:
    text = data.decode(errors="replace")
    secret = secret_in(text, SECRET_FIELDS)
    _assert_reading(read_document(text, "/run/secrets/registries/a.json", "a"), secret)
    try:
        _assert_reading(read_answer(text, "secrets.url"), secret)
    except DocumentError as error:
        assert_silent(error, secret)


def check_environment(data: bytes) -> None:
    """Check `NAME=value` texts with a NUL between them, as a process gets them."""
    pairs = (variable.decode("utf-8", "surrogateescape").partition("=") for variable in data.split(b"\0"))
    environ = {name: value for name, _, value in pairs}
    reading = read_environment(environ)
    named = any(CANARY in name for name in environ)
    only = environ.keys() <= {"X_CONTAINER_REGISTRY_SERVER", "X_CONTAINER_REGISTRY_PASSWORD"}
    _assert_reading(reading, CANARY if only and not named else None)


class _Directory:
    """A directory of secrets on disk, new for each input: a file, Kubernetes' file, or one file per field."""

    def __init__(self) -> None:
        self._root: Final = scratch()

    def check(self, data: bytes) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir()
        kind, _, content = data.partition(b"|")
        if kind == b"d":
            (self._root / "team").mkdir()
            for field in content.split(b"\0"):
                name, _, value = field.partition(b"=")
                if name and b"/" not in name and name not in (b".", b"..") and len(name) < 200:
                    Path(os.fsdecode(bytes(self._root / "team") + b"/" + name)).write_bytes(value)
        else:
            (self._root / (".dockerconfigjson" if kind == b"k" else "a.json")).write_bytes(content)
        try:
            secret_files.signature(self._root)
            readings = secret_files.read(self._root)
        except ProblemError as error:
            assert isinstance(error.problem, SecretsUnavailable)  # noqa: PT017 - any other outcome is fine
            assert_tellable(error.problem)
            return
        for reading in readings.values():
            _assert_reading(reading, None if kind == b"d" else secret_in(_text(content), SECRET_FIELDS))


def _assert_reading(reading: ParseResult, secret: str | None) -> None:
    for problem in reading.problems:
        assert_tellable(problem, secret)
    for each in reading.secrets:
        _assert_secret(each, secret)
    plan = make_plan(reading.secrets, ("GHCR.IO", "no host"), AwsDefaults("eu-west-1", None))
    for each_problem in plan.problems:
        assert_tellable(each_problem, secret)
    for login in plan.logins:
        _assert_canonical(login.registry)
        assert secret is None or secret not in repr(login)
    for skipped in plan.skipped:
        assert_printable(skipped.reason)


def _assert_secret(each: RegistrySecret, secret: str | None) -> None:
    _assert_canonical(each.registry)
    assert secret is None or secret not in repr(each)
    for text in (each.name, each.username, each.external_id):
        assert text is None or not any(character in text for character in "\0\n\r\x1b")
    for hidden in (each.password, each.session_token):
        assert hidden is None or (hidden.reveal() and "\0" not in hidden.reveal())


def _assert_canonical(registry: Registry) -> None:
    hostname = registry.hostname
    assert parse_hostname(hostname) == registry, hostname
    assert parse_hostname(registry.docker_key) == registry, hostname
    assert hostname == hostname.lower()
    assert hostname.isascii()
    assert not hostname.startswith("-")
    assert not any(character in hostname for character in " /@?#%\\\"'$`"), hostname
    assert registry.port is None or 0 < registry.port < 1 << 16
    assert registry.host
    ecr = registry.ecr
    assert ecr is None or registry.host.endswith(_AWS), hostname
    assert not registry.is_google or registry.host.endswith(_GOOGLE), hostname
    assert not registry.is_azure or registry.host.endswith(_AZURE), hostname
    assert_printable(hostname)


_GOOGLE: Final = ("gcr.io", "-docker.pkg.dev", ".rep.pkg.dev", "docker.s3nsregistry.fr")
_AZURE: Final = (".azurecr.io", ".azurecr.cn", ".azurecr.us")
_AWS: Final = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".ic.gov",
    ".sgov.gov",
    ".adc-e.uk",
    ".on.aws",
    ".on.amazonwebservices.com.cn",
    "public.ecr.aws",
    "ecr-public.aws.com",
)


def _is_wtf8(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _text(content: bytes) -> str:
    return content.decode("utf-8-sig", "replace")


_HEAPS: Final = (
    heap(b"[", b'{"name":"nnn","hostname":"h%d.example","username":"a","password":"b"}', b"]", b","),
    heap(b"[", b'"%d"', b"]", b","),
    heap(b"{", b'"k%d":1', b"}", b","),
    heap(b'{"auths":{', b'"h%d.io":{"auth":"YTpi"}', b"}}", b","),
    heap(b'{"auths":{', b'"h%d.io":{}', b"}}", b","),
    heap(b'{"secrets":[', b'{"a%d":{}}', b"]}", b","),
    heap(b"apiVersion: v1\nkind: Secret\ndata:\n", b"  k%d: eA==", b"", b"\n"),
    heap(b"apiVersion: v1\nkind: Secret\nstringData:\n  a: |\n", b"    %d", b"", b"\n"),
    heap(b"apiVersion: v1\nkind: Secret\nstringData:\n  a: b", b" %d" + b" " * 50, b"", b""),
    heap(b"'", b"'%d'", b"'", b""),
)


def _in_a_file(made: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda size: b"f|" + made(size)


def targets() -> tuple[Target, ...]:
    environment = (
        b"REGISTRY_AGENT_SECRETS=" + _DOCUMENTS[2],
        f"X_CONTAINER_REGISTRY_SERVER=ghcr.io\0X_CONTAINER_REGISTRY_USER=bob\0"
        f"X_CONTAINER_REGISTRY_PASSWORD={CANARY}".encode(),
        f"X_CONTAINER_REGISTRY_SERVER=ghcr.io\0X_CONTAINER_REGISTRY_PASSWORD={CANARY}".encode(),
        b"GITPOD_IMAGE_AUTH=ghcr.io:Ym9iOmM0bjRyeS1TM2NyZXQtMTY=,localhost:5000:Ym9iOmM0bjRyeS1TM2NyZXQtMTY=",
    )
    files = (
        *(b"f|" + document for document in _DOCUMENTS),
        b"k|" + _DOCUMENTS[3],
        f"d|hostname=ghcr.io\n\0username=bob\0password={CANARY}\n".encode(),
        b"d|hostname=public.ecr.aws\0username=runner-native\0scope=user\0enabled=no",
    )
    variable_words = (b"GITPOD_IMAGE_AUTH=", b"_CONTAINER_REGISTRY_USER=", b"ghcr.io:Ym9i,", b"a:b,", b"\0A=", b"=")
    field_words = tuple(f"\0{field}=".encode() for field in sorted(FIELDS))
    return (
        Target("host-name", check_hostname, HOSTS, _HOST_WORDS),
        Target("secret-document", check_document, _DOCUMENTS, _JSON_WORDS, slowness=3, heaps=_HEAPS),
        Target(
            "secret-environment",
            check_environment,
            environment,
            (*variable_words, *_JSON_WORDS),
            slowness=2,
            heaps=(
                heap(b"GITPOD_IMAGE_AUTH=", b"h%d.io:YTpi", b"", b","),
                heap(b"GITPOD_IMAGE_AUTH=", b"%d", b"", b","),
                heap(b"", b"N%d_CONTAINER_REGISTRY_USER=a", b"", b"\0"),
            ),
        ),
        Target(
            "secret-files",
            _Directory().check,
            files,
            (*field_words, *_JSON_WORDS),
            slowness=3,
            heaps=tuple(_in_a_file(made) for made in _HEAPS),
        ),
    )

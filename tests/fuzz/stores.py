"""Files that others can write, too: Docker's config.json, podman's auth.json, and the agent's own state.json."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.state_file import StateFile
from agent.model.desired_login import CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import (
    ConfigError,
    Document,
    Entry,
    entries,
    find,
    format_config,
    mark,
    parse_config,
    place,
    remove,
    store_of,
)
from agent.model.login_source import AwsDefaults
from agent.model.plan import make_plan
from agent.model.registry import parse_hostname
from agent.model.secret import parse_secret
from agent.model.sensitive import Sensitive
from agent.model.stored_state import StoredLogin
from agent.services.confirmed_time import ConfirmedTime
from agent.services.overrides import Overrides
from agent.services.rejections import Rejections
from tests.fakes import FakeClock, SameThreadLoop, calls_in_this_thread
from tests.fuzz.target import (
    CANARY,
    Target,
    assert_printable,
    assert_silent,
    assert_tellable,
    heap,
    scratch,
)

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_OURS: Final = Entry("bob", Sensitive("ours"))
_ORDER: Final = DesiredLogin(parse_hostname("ghcr.io"), _OURS, None)

_CONFIGS: Final = (
    b'{"auths":{"ghcr.io":{"auth":"Ym9iOmM0bjRyeS1TM2NyZXQtMTY="},"https://index.docker.io/v1/":{}},"x":1.50}',
    b'{"auths":{"ghcr.io":{"auth":"PHRva2VuPjo=","identitytoken":"c4n4ry-S3cret-16"}},"credsStore":"pass"}',
    b'{"credHelpers":{"ghcr.io":"ecr-login","*":null},"Auths":{"https://ghcr.io/v2/":{"username":"a"}}}',
    b'{"auths":{"ghcr.io/org":{"auth":"Ym9iOm90aGVy"},"ghcr.io":{"auth":"Ym9iOm90aGVy"}},"HttpHeaders":{"A":"b"}}',
    b"{}",
    b"",
)
_CONFIG_WORDS: Final = (
    *(f'"{name}":'.encode() for name in ("auths", "AUTHS", "credsStore", "credHelpers", "auth", "identitytoken")),
    *(f'"{name}":'.encode() for name in ("username", "password", "registrytoken", "email")),
    b'"ghcr.io":',
    b'"https://ghcr.io/":',
    b'"ghcr.io/\\u001b[31m":',
    b'"ghcr.io/\\n":',
    b'"auths":{"a":{}},',
    b'"a":{},',
    b'{"auths":{"',
    b'{"a":',
    b"[",
    b"{",
    b"1",
    b"1.0e5,",
    b'"\\ud800"',
    b'"YTpi"',
    b'"Og=="',
)


def check_config(data: bytes) -> None:
    """A document that parses can be written again, with our login added and removed, and nothing else changed."""
    try:
        document = parse_config(data)
    except ConfigError as error:
        assert_silent(error, CANARY)
        return
    with suppress(ConfigError):
        assert parse_config(format_config(document)) == document
    key = "ghcr.io"
    before = entries(document)
    store_of(document, key)
    placed = place(document, key, _OURS, lambda *_: True)
    with suppress(ConfigError):
        # Duplicate keys of a nested object are read as one key.
        again = parse_config(format_config(placed))
        assert _OURS.same_login(dict(again and entries(again)).get(key))
    found = find(placed, key)
    assert found is not None
    assert _OURS.same_login(found[1])
    _assert_others(before, entries(placed), key)
    _assert_others(before, entries(remove(placed, key, lambda *_: True)), key)
    _assert_others(before, entries(mark(document, key, lambda *_: True)), key)
    assert place(document, key, _OURS, lambda *_: False) is document or key not in before
    assert {name for name in document if name.lower() != "auths"} == {
        name for name in placed if name.lower() != "auths"
    }


def _beside_auths(document: Document) -> dict[str, object]:
    return {name: value for name, value in document.items() if name.lower() != "auths"}


def _assert_others(before: dict[str, Entry], after: dict[str, Entry], key: str) -> None:
    assert {name: entry for name, entry in before.items() if name != key} == {
        name: entry for name, entry in after.items() if name != key
    }


class _Podman:
    def __init__(self) -> None:
        path = scratch() / "auth.json"
        self._path: Final = path
        environ = {
            "REGISTRY_AUTH_FILE": str(path),
            "XDG_RUNTIME_DIR": "/nonexistent",
            "XDG_CONFIG_HOME": "/nonexistent",
        }
        self._files: Final = PodmanAuthFiles(environ, Path("/nonexistent"))
        self._loop: Final = SameThreadLoop()

    def check(self, data: bytes) -> None:
        """The warning about a login that overrides ours is safe to show: from podman's file or DOCKER_AUTH_CONFIG."""
        self._path.write_bytes(data)
        documents = self._loop.run_until_complete(self._files.read())
        placed = StoreResult(CONFIG_FILE, _OURS, ours=True)
        variable = data.decode("utf-8", "surrogateescape")
        for problem in Overrides(variable).of(_ORDER, placed, documents, {}):
            assert_tellable(problem)


_STATE: Final = (
    (
        b'{"version":1,"key":"00ff","docker_config":"/root/.docker","brought":{"ghcr.io":"ab"},"entries":{"ghcr.io":'
        b'{"docker_key":"ghcr.io","digests":["ab","cd"],"expires_at":"2026-01-01T00:00:00+00:00"}},"rejections":'
        b'{"ghcr.io":{"fingerprint":"ab","code":"login_rejected","message":"no","hint":"","not_before":'
        b'"2026-01-01T01:00:00+00:00"}}}'
    ),
    b'{"version":1,"key":"","docker_config":"/other","brought":null,"entries":{},"rejections":{}}',
)
_STATE_WORDS: Final = (
    *(f'"{name}":'.encode() for name in ("version", "key", "docker_config", "brought", "entries", "rejections")),
    *(f'"{name}":'.encode() for name in ("digests", "expires_at", "not_before", "code", "message", "fingerprint")),
    b'"2026-01-01T00:00:00"',
    b'"2026-01-01"',
    b'"0001-01-01T00:00:00+14:00"',
    b'"9999-12-31T23:59:59-14:00"',
    b'"not a host"',
    b'"\\ud800"',
    b'"\\u001b"',
    b"null",
    b"[]",
    b"{}",
    b"1",
    b'"a":{},',
    b"[",
)


class _State:
    def __init__(self) -> None:
        self._directory: Final = scratch()
        self._loop: Final = SameThreadLoop()
        secret = {"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "right"}
        (self._login,) = make_plan([parse_secret(secret, "fuzz", "[0]")], (), AwsDefaults()).logins

    def check(self, data: bytes) -> None:
        """The agent can use what it reads from any content, and write it again."""
        for path in self._directory.iterdir():
            path.unlink()
        (self._directory / "state.json").write_bytes(data)
        state_file = StateFile.loaded(self._directory, Path("/root/.docker"))
        if state_file.fault is not None:
            assert_printable(state_file.fault)
        for hostname, entry in state_file.entries().items():
            assert parse_hostname(hostname).hostname == hostname
            assert entry.expires_at is None or abs(entry.expires_at - NOW) < timedelta(days=365 * 9999)
            assert all(isinstance(digest, str) for digest in (entry.docker_key, *entry.digests))
        digest = state_file.digest("ghcr.io", _OURS)
        assert state_file.preexisting is None or digest != state_file.preexisting.get("ghcr.io")
        rejections = Rejections(state_file, ConfirmedTime(FakeClock(NOW)))
        held = self._loop.run_until_complete(rejections.active(self._login))
        for rejection in state_file.rejections().values():
            assert isinstance(rejection.not_before - NOW, timedelta)
        if held is not None:
            assert_tellable(held[0])
        with calls_in_this_thread():
            state_file.set_entry("docker.io", StoredLogin("docker.io", ("a",)))
        again = StateFile.loaded(self._directory, Path("/root/.docker"))
        assert again.fault is None, again.fault
        assert again.entries() == state_file.entries()
        assert again.rejections() == state_file.rejections()


_HEAPS: Final = (
    heap(b'{"auths":{', b'"h%d":{"auth":"YTpi"}', b"}}", b","),
    heap(b'{"auths":{', b'"https://ghcr.io/%d":{}', b"}}", b","),
    heap(b"{", b'"auths":{"h%d":{}}', b"}", b","),
    heap(b'{"auths":{"ghcr.io":{', b'"k%d":1', b"}}}", b","),
    heap(b'{"credHelpers":{', b'"h%d":"x"', b"}}", b","),
    heap(b"{", b'"k%d":1', b"}", b","),
)


def targets() -> tuple[Target, ...]:
    return (
        Target("config-json", check_config, _CONFIGS, _CONFIG_WORDS, slowness=10, heaps=_HEAPS),
        Target("podman-auth", _Podman().check, _CONFIGS, _CONFIG_WORDS, slowness=3, heaps=_HEAPS),
        Target(
            "state-json",
            _State().check,
            _STATE,
            _STATE_WORDS,
            slowness=3,
            heaps=(heap(_STATE[0].partition(b'"ghcr.io"')[0], b'"h%d":"ab"', b"}}", b","),),
        ),
    )

"""The settings: a file, variables, and assignments on the command line."""

from typing import Final

from agent.settings import Settings
from agent.settings_loader import Loaded, load_settings, parse_assignments
from tests.fuzz.target import CANARY, Target, assert_silent, assert_tellable, heap, scratch

_FILES: Final = (
    b'[secrets]\ndirectories = ["/run/secrets/registries"]\npoll_interval_s = 5\nexclude = ["GHCR.IO"]\n',
    f'[secrets]\nurl = "https://user:{CANARY}@secrets.example.com/v1"\nremoved = "logout"\n'.encode(),
    (
        b'[aws]\nregion = "eu-west-1"\nrole_arn = "arn:aws:iam::123456789012:role/pull"\n'
        b'identity_token_command = ["gp", "idp", "token"]\ncall_timeout_s = 1e1\n'
    ),
    b'[status]\nlisten = "[::1]:8719"\nallow_hosts = ["*.example.com"]\nallow_origins = ["https://a.example"]\n',
    b'[report]\nurl = "http://127.0.0.1/r"\ntoken_file = "~/token"\n[log]\nlevel = "DEBUG"\n[retry]\nmax_wait_s = 9\n',
    b'renewal.fraction = 0.5\nenvironment = {id = "x"}\nretry.max_wait_s = 0x10\n[docker]\nconfig_dir = "/a"\n',
)
_WORDS: Final = (
    *(f"[{section}]\n".encode() for section in ("secrets", "docker", "aws", "renewal", "status", "nothing")),
    *(f"{key} = ".encode() for key in ("url", "token_file", "listen", "exclude", "fraction", "max_wait_s")),
    b'"""',
    b"'''",
    b"a.",
    b"a = 1\n",
    b"[a]\n",
    b"[[a]]\n",
    b"[a.a]\n",
    b"= {a = ",
    b"1979-05-27T07:32:00Z",
    b"inf",
    b"nan",
    b"0b1",
    b"1_0",
    b'"\\u0000"',
    b"# ",
    b'"a",',
    b'"unix:/run/x.sock"',
    b'"https://[::1"',
    b'"127.0.0.1:99999999999999"',
)
_VARIABLES: Final = (
    b'REGISTRY_AGENT_SECRETS_DIRECTORIES=["/a"]\0REGISTRY_AGENT_RETRY_MAX_WAIT_S=1e3\0HOME=/root',
    b"REGISTRY_AGENT_STATUS_LISTEN=\0REGISTRY_AGENT_LOG_LEVEL=Info\0CODESPACE_NAME=odd\x1b\0DOCKER_CONFIG=relative",
    f"REGISTRY_AGENT_SECRETS_URL=https://a:{CANARY}@b\0set secrets.url=https://a:{CANARY}@b".encode(),
    b"set log.level=debug\0set status.listen=0.0.0.0:1\0set report.url=unix:/x",
)
_VARIABLE_WORDS: Final = (
    b"\0REGISTRY_AGENT_",
    b"RENEWAL_FRACTION=",
    b"SECRETS_EXCLUDE=",
    b"STATUS_ALLOW_HOSTS=",
    b"set ",
    b"[" * 8,
    b'["a"]',
    b"=",
    b"_",
)


class _File:
    def __init__(self) -> None:
        self._path: Final = scratch() / "config.toml"

    def check(self, data: bytes) -> None:
        self._path.write_bytes(data)
        _assert_usable(load_settings(self._path, {"HOME": "/root"}, {}), data, "/root")


def check_variables(data: bytes) -> None:
    """Check `NAME=value` for a variable, and `set SECTION.KEY=VALUE` for a flag, with a NUL between them."""
    texts = [text.decode("utf-8", "surrogateescape") for text in data.split(b"\0")]
    environ = {name: value for name, _, value in (text.partition("=") for text in texts if not text.startswith("set "))}
    environ.pop("REGISTRY_AGENT_CONFIG", None)
    try:
        flags = parse_assignments(text.removeprefix("set ") for text in texts if text.startswith("set "))
    except ValueError as error:
        assert_silent(error, CANARY)
        return
    _assert_usable(load_settings(None, environ, flags), data, environ.get("HOME") or "/")


def _assert_usable(loaded: Loaded, data: bytes, home: str) -> None:
    settings = loaded.settings
    secret = CANARY if data.count(CANARY.encode()) == data.count(b":" + CANARY.encode() + b"@") else None
    for problem in loaded.problems:
        assert_tellable(problem, secret)
    assert isinstance(settings, Settings)
    assert 0 < settings.renewal.fraction < 1
    assert settings.retry.first_wait_s <= settings.retry.max_wait_s
    assert settings.docker.config_dir.is_absolute() or not home.startswith("/")
    assert all(path.is_absolute() for path in settings.secrets.directories)


def targets() -> tuple[Target, ...]:
    return (
        Target(
            "settings-file",
            _File().check,
            _FILES,
            _WORDS,
            slowness=2,
            heaps=(
                heap(b"[secrets]\n", b"k%d = 1\n", b""),
                heap(b"", b"[s%d]\n", b""),
                heap(b"", b"[[s%d.a]]\n", b""),
                heap(b"", b"a%d.b = {c = 1}\n", b""),
                heap(b"x = [", b'"%d"', b"]", b","),
                heap(b"x = {", b"a%d = 1", b"}", b","),
                heap(b"[secrets]\nexclude = [", b'"h%d"', b"]", b",\n"),
                heap(b"", b"# %d\n", b""),
            ),
        ),
        Target("settings-variables", check_variables, _VARIABLES, (*_VARIABLE_WORDS, *_WORDS)),
    )

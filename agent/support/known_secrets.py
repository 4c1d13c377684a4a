"""Reads every secret that this user's agent may know, from the agent's own sources, only to mask it."""

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from agent.edge import secret_files
from agent.edge.paths import home
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.regular_file import NotRegularError, read_regular
from agent.edge.source_files import expanded
from agent.model.document_text import DocumentError, text_of
from agent.model.problem import ProblemError
from agent.model.secret_formats import ParseResult
from agent.model.secret_manifest import is_yaml_manifest, parse_yaml
from agent.observe.redaction import url_passwords
from agent.settings import Settings

_MAX_BYTES: Final = 4 << 20
_MAX_FILES: Final = 2000
_LONGEST_BARE: Final = 16 << 10
_SHORTEST_KEY: Final = 8
"""A shorter value is usually a switch such as `true`."""
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_AUTH|^AUTH|PRIVATE|API_?KEY", re.IGNORECASE)
_OTHER_NAME: Final = re.compile(
    r"^REGISTRY_AGENT_(?!SECRETS$)|(?:FILE|DIR|DIRECTORY|PATH|URI|URL|TYPE|SOURCE|PROCESS)$", re.IGNORECASE
)
"""Of the names that look secret, those whose values only show where a secret is, or of which kind."""
_PUBLIC: Final = frozenset(
    {
        *("name", "hostname", "username", "scope", "enabled", "kind", "region", "role_arn", "profile"),
        *("email", "serveraddress", "password_file", "google_service_account", "azure_client_id"),
    }
)
"""Fields whose values are not secret. Masking them would only hide what support needs."""
_LOGINS: Final = frozenset({"auths", "HttpHeaders", "headers"})
"""The fields of Docker's configuration and of Google's credential files in which every value may be secret."""
_SCHEME: Final = re.compile(r"(?:Bearer|Basic) (.+)", re.IGNORECASE)
_REPORT_URL: Final = "REGISTRY_AGENT_REPORT_URL"
_BASE64_LOGINS: Final = frozenset({"auth", "GITPOD_IMAGE_AUTH"})
_TOKEN_FILES: Final = (
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    "AZURE_FEDERATED_TOKEN_FILE",
)
_VARIABLES: Final = Path("/etc/registry-agent/environment")
"""The unit's environment file. `environment.USER` is next to it."""
_JSON_FIELD: Final = re.compile(r'"(\w+)"\s*:\s*"((?:\\.|[^"\\])*)')
# Only blanks within the line. With `\s`, a file of empty lines would take quadratic time.
_LINE: Final = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """A place that contains secrets. `read` may block, and raises OSError if the place cannot be read."""

    name: str
    read: Callable[[], Iterator[str]]


def sources(settings: Settings, environ: Mapping[str, str], user: str) -> list[Source]:
    """The agent's sources except `secrets.url`, which takes a request, and the files of other programs."""
    aws, google = home(environ) / ".aws", Path(environ.get("CLOUDSDK_CONFIG") or home(environ) / ".config/gcloud")
    google_files = [environ.get("GOOGLE_APPLICATION_CREDENTIALS"), google / "application_default_credentials.json"]
    aws_files = [
        expanded(environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(aws / "credentials")),
        expanded(environ.get("AWS_CONFIG_FILE") or str(aws / "config")),
    ]
    credentials = [environ.get("CREDENTIALS_DIRECTORY"), f"/run/credentials/registry-agent@{user}.service"]
    urls = {_REPORT_URL: settings.report.url, "REGISTRY_AGENT_SECRETS_URL": settings.secrets.url}
    places: list[tuple[str, Callable[[Path], Iterator[str]], Iterable[Path | str | None]]] = [
        ("secrets in", _in_directory, [*settings.secrets.directories, *credentials]),
        ("token file", _in_secret_file, [*settings.token_files, *map(environ.get, _TOKEN_FILES)]),
        ("logins in", _in_file, docker_files(settings, environ)),
        ("AWS keys in", _in_file, aws_files),
        ("Google credentials in", _in_file, google_files),
        ("variables in", _in_file, [_VARIABLES, _VARIABLES.with_name(f"environment.{user}")]),
    ]
    return [
        Source("environment", partial(secrets_in, environ)),
        Source("addresses", partial(secrets_in, urls)),
        *(
            Source(f"{words} {path}", partial(read, path))
            for words, read, paths in places
            for path in dict.fromkeys(Path(path) for path in paths if path)
        ),
    ]


def docker_files(settings: Settings, environ: Mapping[str, str]) -> list[Path]:
    """The paths of Docker's configuration and of podman's login files."""
    return [settings.docker.config_dir / "config.json", *PodmanAuthFiles(environ, home(environ)).paths]


def secrets_in(value: Any, name: str = "", *, everything: bool = False) -> Iterator[str]:
    """The secrets in a value of this name: all texts if `everything`, else those whose name looks secret.

    `value` is what JSON can hold, or a mapping of variables.
    """
    if name.lower() in _PUBLIC:
        return
    if isinstance(value, list):
        for item in value:
            yield from secrets_in(item, name, everything=everything)
    elif isinstance(value, Mapping):
        for inner, item in value.items():
            yield from secrets_in(item, inner, everything=everything or inner in _LOGINS)
    elif isinstance(value, str):
        yield from _in_text(value, name, everything=everything)


def _in_text(text: str, name: str, *, everything: bool) -> Iterator[str]:
    secret = _SECRET_NAME.search(name) is not None and _OTHER_NAME.search(name) is None
    if text[:1] in ("{", "[") and not everything:
        yield from secrets_in(_parsed(text), everything=secret)
    elif everything or (secret and len(text) >= _SHORTEST_KEY and not text.startswith("/")):
        yield text
        yield from _SCHEME.findall(text)
    if "://" in text or name.lower().endswith("_proxy"):
        yield from url_passwords(text)
        yield from (unquote(part.rpartition("=")[2]) for part in re.split("[&;#]", text.partition("?")[2]))
    if name == _REPORT_URL:
        # The agent's messages name this path, and no pattern recognises the key of a webhook in it.
        yield from (part for part in text.partition("?")[0].split("/")[3:] if len(part) >= _SHORTEST_KEY)
    if name in _BASE64_LOGINS:
        for login in text.split(","):
            yield from _in_login(login.rpartition(":")[2])


def _in_login(encoded: str) -> Iterator[str]:
    """The base64 of `user:password`, and the password in it."""
    yield encoded
    packed = "".join(encoded.split()).rstrip("=")
    with suppress(ValueError):
        yield base64.b64decode(packed + "=" * (-len(packed) % 4)).decode().partition(":")[2].rstrip("\0")


def _parsed(text: str) -> Any:
    """The JSON in `text`. If it is not valid JSON, what looks like a JSON field, and each line `name = value`."""
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        lines = ((name, value.strip().strip("\"'")) for name, value in _LINE.findall(text))
        return [{name: value} for name, value in (*_JSON_FIELD.findall(text), *lines)]


def _in_file(path: Path) -> Iterator[str]:
    """The secrets in a file of any format, which also contains other settings."""
    yield from secrets_in(_parsed(_content(path)))


def _in_secret_file(path: Path) -> Iterator[str]:
    """All values in a file, or its content if that is one value, as in `password`."""
    text = _content(path)
    if is_yaml_manifest(text):
        # Only the data. The other lines are ordinary words.
        with suppress(DocumentError):
            manifest = parse_yaml(text)
            items = [each for each in manifest.get("items") or [manifest] if isinstance(each, dict)]
            yield from secrets_in([[each.get("data"), each.get("stringData")] for each in items], everything=True)
        return
    yield from secrets_in(_parsed(text), everything=True)
    bare = text.strip()
    if path.name.lower() not in _PUBLIC and len(bare) <= _LONGEST_BARE and bare[:1] not in ("{", "["):
        yield bare


def _in_directory(directory: Path) -> Iterator[str]:
    """All values of all files in a directory and its subdirectories, invalid files too.

    Raises:
        OSError: at the end, if a file or a subdirectory cannot be read. The others have been read.
    """
    failed: list[OSError] = []
    yield from _as_the_agent_reads(directory)
    for path in islice(_files(directory, failed.append), _MAX_FILES):
        try:
            yield from _in_secret_file(path)
        except OSError as error:
            failed.append(OSError(error.errno, error.strerror, str(path)))
    for fault in failed:
        if not isinstance(fault, FileNotFoundError | NotADirectoryError):
            raise OSError(fault.errno, f"{Path(fault.filename).name}: {fault.strerror}")


def _as_the_agent_reads(directory: Path) -> Iterator[str]:
    """The secrets inside base64, manifests and other forms that only the agent's own reader opens."""
    # What it cannot read is reported by the reading of the same files.
    with suppress(ProblemError):
        for secret in ParseResult.joined(secret_files.read(directory).values()).secrets:
            yield from secret.values
            if secret.password_file is not None:
                with suppress(OSError):  # the agent reports a file that it cannot read
                    yield from _in_secret_file(Path(secret.password_file))


def _files(directory: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    for place, subdirectories, names in os.walk(directory, onerror=on_error, followlinks=True):
        # Secrets are at most two directories deep. The limit also ends a loop of links.
        subdirectories[:] = sorted(subdirectories) if len(Path(place).parts) < len(directory.parts) + 2 else []
        yield from (Path(place, name) for name in sorted(names))


def _content(path: Path) -> str:
    """The text of a regular file, at most 4 MiB, or "" if there is none. Never waits for the writer of a pipe.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        data = read_regular(path, _MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError, NotRegularError):
        return ""
    try:
        return text_of(data)
    except DocumentError:
        return data.decode(errors="replace")

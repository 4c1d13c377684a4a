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
from agent.edge.regular_file import NotRegularError, read_regular
from agent.model.document_text import DocumentError, text_of
from agent.model.problem import ProblemError
from agent.model.secret_formats import ParseResult
from agent.model.secret_manifest import is_yaml_manifest, parse_yaml
from agent.observe.redaction import secrets_of_environment, url_passwords
from agent.settings import Settings

_MAX_BYTES: Final = 4 << 20
_MAX_FILES: Final = 2000
_MIN_LENGTH: Final = 4
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_AUTH|AUTH_CONFIG|PRIVATE|API_?KEY", re.IGNORECASE)
_PATH_NAME: Final = re.compile(r"_(?:FILE|DIRECTORY|DIR|URI|PATH)$")
_LONGEST_BARE: Final = 16 << 10
_PUBLIC: Final = frozenset(
    {
        *("name", "hostname", "username", "scope", "enabled", "kind", "region", "role_arn", "profile"),
        *("email", "serveraddress", "password_file", "google_service_account", "azure_client_id"),
    }
)
"""Fields whose values are not secret. Masking them would only hide what support needs."""
_VARIABLES: Final = Path("/etc/registry-agent/environment")
"""The unit's environment file. `environment.USER` is next to it."""
_OWN: Final = "REGISTRY_AGENT_"
_OF_DOCKER: Final = frozenset({"auths", "HttpHeaders"})
_QUOTED: Final = re.compile(r'"(?:password|session_token|auth|identitytoken|registrytoken)"\s*:\s*"((?:\\.|[^"\\])*)')
# Only blanks within the line. With \\s, a file of empty lines would take quadratic time.
_AWS_LINE: Final = re.compile(r"^[ \t]*aws_(?:secret_access_key|session_token)[ \t]*=[ \t]*(\S+)", re.MULTILINE)
# Apart from its own fields, a file may hold headers for the URL of an identity token.
_GOOGLE_FIELD: Final = re.compile(
    r'"(?:client_secret|refresh_token|private_key|Authorization|X-[\w-]+)"\s*:\s*"(?:Bearer |Basic )?((?:\\.|[^"\\])*)',
    re.IGNORECASE,
)
_TOKEN_FILES: Final = (
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    "AZURE_FEDERATED_TOKEN_FILE",
)
_VARIABLE: Final = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """A place that contains secrets. `read` may block, and raises OSError if the place cannot be read."""

    name: str
    read: Callable[[], Iterator[str]]


def sources(settings: Settings, environ: Mapping[str, str], user: str) -> list[Source]:
    """The agent's sources except `secrets.url`, which takes a request, and the files of Docker, podman and AWS."""
    given = [environ["CREDENTIALS_DIRECTORY"]] if environ.get("CREDENTIALS_DIRECTORY") else []
    credentials = [*given, f"/run/credentials/registry-agent@{user}.service"]
    directories = dict.fromkeys([*settings.secrets.directories, *map(Path, credentials)])
    readers: list[tuple[str, Callable[[Path], Iterator[str]], Iterable[Path]]] = [
        ("secrets in", _of_directory, directories),
        ("token file", _of_file, _token_files(settings, environ)),
        ("logins in", _of_docker, docker_files(settings, environ)),
        ("AWS keys in", _of_aws, _aws_files(environ)),
        ("Google credentials in", _of_google, _google_files(environ)),
        ("variables in", _of_variables, [_VARIABLES, _VARIABLES.with_name(f"environment.{user}")]),
    ]
    found = [Source("environment", partial(of_environment, environ)), Source("addresses", partial(_of_urls, settings))]
    found += [Source(f"{words} {path}", partial(read, path)) for words, read, paths in readers for path in paths]
    return found


def docker_files(settings: Settings, environ: Mapping[str, str]) -> list[Path]:
    """The paths of Docker's configuration and of podman's login files (containers-auth.json(5))."""
    session = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    config = environ.get("XDG_CONFIG_HOME") or home(environ) / ".config"
    named = environ.get("REGISTRY_AUTH_FILE")
    return [
        settings.docker.config_dir / "config.json",
        *([Path(named)] if named else []),
        Path(session, "containers/auth.json"),
        Path(f"/run/containers/{os.geteuid()}/auth.json"),
        Path(config, "containers/auth.json"),
    ]


def of_environment(environ: Mapping[str, str]) -> Iterator[str]:
    """The value of every variable whose name looks like a secret, any program's, and the passwords of proxies."""
    yield from secrets_of_environment(environ)
    for name, value in environ.items():
        if name == "GITPOD_IMAGE_AUTH":
            for item in value.split(","):
                yield from _of_auth(item.rpartition(":")[2])
        elif name.startswith(_OWN) and name != f"{_OWN}SECRETS":
            yield from _of_url(value)  # a setting: may be a URL
            yield from _of_path(value) if name == f"{_OWN}REPORT_URL" else ()
        elif value[:1] in ("{", "["):
            yield from _of_document(value, everything=_SECRET_NAME.search(name) is not None)
        elif _SECRET_NAME.search(name) and not _PATH_NAME.search(name) and not value.startswith("/"):
            # A short value is usually a switch such as `true`. Variables that surely hold passwords are handled above.
            yield from [value] if len(value) >= 2 * _MIN_LENGTH else []
        elif "://" in value:
            yield from _of_url(value)


def _of_urls(settings: Settings) -> Iterator[str]:
    """The parts of the configured URLs that may be keys: password and query, and for `report.url` the path.

    A webhook often has its key in the path.
    """
    for url in filter(None, (settings.secrets.url, settings.report.url)):
        yield from _of_url(url)
    yield from _of_path(settings.report.url or "")


def _of_path(url: str) -> Iterator[str]:
    """The parts of the path of `report.url`. The agent's messages name this path, and no pattern recognises its key."""
    yield from (part for part in url.partition("?")[0].split("/")[3:] if len(part) >= 2 * _MIN_LENGTH)


def _of_url(url: str) -> Iterator[str]:
    yield from url_passwords(url)
    yield from (unquote(part.rpartition("=")[2]) for part in re.split("[&;#]", url.partition("?")[2]))


def _of_directory(directory: Path) -> Iterator[str]:
    """All values of all files in a directory and its subdirectories, invalid files too.

    Raises:
        OSError: at the end, if a file or a subdirectory cannot be read. The others have been read.
    """
    failed: list[OSError] = []
    yield from _as_the_agent_reads(directory)
    for path in islice(_files(directory, failed.append), _MAX_FILES):
        try:
            yield from _of_file(path)
        except OSError as error:
            failed.append(OSError(error.errno, error.strerror, str(path)))
    for fault in failed:
        if not isinstance(fault, FileNotFoundError | NotADirectoryError):
            raise OSError(fault.errno, f"{Path(fault.filename).name}: {fault.strerror}")


def _as_the_agent_reads(directory: Path) -> Iterator[str]:
    """The secrets inside base64, manifests and other forms that only the agent's own reader opens."""
    try:
        results = secret_files.read(directory)
    except ProblemError:
        return  # reported by the reading of the same files below
    for secret in ParseResult.joined(results.values()).secrets:
        yield from (value.reveal() for value in (secret.password, secret.session_token) if value is not None)
        if secret.password_file is not None:
            with suppress(OSError):  # the agent reports a file that it cannot read
                yield from _of_file(Path(secret.password_file))


def _files(directory: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    for place, subdirectories, names in os.walk(directory, onerror=on_error, followlinks=True):
        # Secrets are at most two directories deep. The limit also ends a loop of links.
        subdirectories[:] = sorted(subdirectories) if len(Path(place).parts) < len(directory.parts) + 2 else []
        yield from (Path(place, name) for name in sorted(names))


def _of_file(path: Path) -> Iterator[str]:
    """The values of a JSON file, or the content of a file that holds one value, such as `password`."""
    text = content(path)
    if is_yaml_manifest(text):
        yield from _of_manifest(text)
        return
    yield from _of_document(text, everything=True)
    bare = text.strip()
    if path.name.lower() not in _PUBLIC and len(bare) <= _LONGEST_BARE and bare[:1] not in ("{", "["):
        yield bare


def _of_manifest(text: str) -> Iterator[str]:
    """The values in Kubernetes Secrets in YAML. The other lines are ordinary words."""
    with suppress(DocumentError):
        manifest = parse_yaml(text)
        for each in manifest.get("items") or [manifest]:
            if isinstance(each, dict):
                yield from _of_value([each.get("data"), each.get("stringData")], everything=True)


def _of_docker(path: Path) -> Iterator[str]:
    yield from _of_document(content(path), everything=False)


def _of_aws(path: Path) -> Iterator[str]:
    yield from _AWS_LINE.findall(content(path))


def _of_variables(path: Path) -> Iterator[str]:
    pairs = _VARIABLE.findall(content(path))
    yield from of_environment({name: value.strip().strip("\"'") for name, value in pairs})


def _of_document(text: str, *, everything: bool) -> Iterator[str]:
    """The secrets in a JSON text: all strings if `everything`, else only those in the keys where Docker stores logins.

    If the text is not valid JSON, secret fields are found by a pattern.
    """
    try:
        yield from _of_value(json.loads(text.removeprefix("\ufeff")), everything=everything)
    except (ValueError, RecursionError):
        for quoted in _QUOTED.findall(text):
            yield quoted
            yield from _of_auth(quoted)


def _of_value(value: Any, *, everything: bool) -> Iterator[str]:
    if isinstance(value, str):
        if everything:
            yield value
        elif "://" in value:
            yield from _of_url(value)
    elif isinstance(value, list):
        for item in value:
            yield from _of_value(item, everything=everything)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "auth" and isinstance(item, str):
                yield from _of_auth(item)
            if name.lower() not in _PUBLIC:
                yield from _of_value(item, everything=everything or name in _OF_DOCKER)


def _of_auth(auth: str) -> Iterator[str]:
    """The base64 of `user:password`, and the password in it."""
    yield auth
    packed = "".join(auth.split()).rstrip("=")
    try:
        yield base64.b64decode(packed + "=" * (-len(packed) % 4)).decode().partition(":")[2].rstrip("\0")
    except ValueError:
        return


def _token_files(settings: Settings, environ: Mapping[str, str]) -> Iterable[Path]:
    named = [environ.get(name) for name in _TOKEN_FILES]
    return dict.fromkeys((*settings.token_files, *(Path(name) for name in named if name)))


def _aws_files(environ: Mapping[str, str]) -> list[Path]:
    own = home(environ) / ".aws"
    return [
        Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or own / "credentials"),
        Path(environ.get("AWS_CONFIG_FILE") or own / "config"),
    ]


def _google_files(environ: Mapping[str, str]) -> list[Path]:
    named, config = environ.get("GOOGLE_APPLICATION_CREDENTIALS"), environ.get("CLOUDSDK_CONFIG")
    directory = Path(config) if config else home(environ) / ".config/gcloud"
    return [*([Path(named)] if named else []), directory / "application_default_credentials.json"]


def _of_google(path: Path) -> Iterator[str]:
    """The secrets in a credential file, as they are written there. The other fields are no secret."""
    yield from _GOOGLE_FIELD.findall(content(path))


def content(path: Path) -> str:
    """The text of a regular file, at most 4 MiB, or "" if there is none. Never waits for the writer of a pipe.

    Raises:
        OSError: the file exists and cannot be read.
    """
    try:
        data = read_regular(path, _MAX_BYTES)
        try:
            return text_of(data)
        except DocumentError:
            return data.decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError, NotRegularError):
        return ""

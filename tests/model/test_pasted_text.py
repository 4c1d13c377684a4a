"""JSON as people paste it, and texts that are no JSON."""

import base64
import json
from collections.abc import Callable

import pytest

from agent.model.document_text import DocumentError, parse_json, text_of
from agent.model.pasted_text import decode
from agent.model.secret_formats import read_document
from tests.rig.growth import assert_linear

PASSWORD = "hunter2-hunter2"
VALUE = {"auths": {"ghcr.io": {"auth": base64.b64encode(f"bot:{PASSWORD}".encode()).decode()}}}
ONE_LINE = json.dumps(VALUE)
LINES = json.dumps(VALUE, indent=2)
WRAPPINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "with a byte order mark": lambda text: f"\ufeff{text}",
    "with invisible characters": lambda text: f"\u200b\u200e{text} \u200f",
    "fenced": lambda text: f"```json\n{text}\n```\n",
    "encoded twice": json.dumps,
    "encoded three times": lambda text: json.dumps(json.dumps(text)),
    "encoded twice, without quotes": lambda text: text.replace('"', '\\"'),
    "in a shell's quotes": lambda text: f"'{text}'\n",
    "in double quotes": lambda text: f'"{text}"',
    "in double quotes, escaped": lambda text: '"' + text.replace('"', '\\"') + '"',
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 in quotes": lambda text: json.dumps(base64.b64encode(text.encode()).decode()),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16")).decode(),
    "base64 of JSON that was encoded twice": lambda text: base64.b64encode(json.dumps(text).encode()).decode(),
}


# What the hint for these commands contains.
LOGIN_COMMANDS = {
    "JSON object with name, hostname, username and password": (
        "docker login -u AWS -p {} https://x.example",
        "sudo docker login ghcr.io -u bot -p {}",
        "/usr/bin/docker login ghcr.io -u bot -p {}",
        "# docker login ghcr.io -u bot -p {}",
        "bot@host:~$ podman login ghcr.io -p {}",
        "echo {} | docker login ghcr.io -u bot --password-stdin",
        "nerdctl login ghcr.io -p {}",
        "helm registry login ghcr.io -p {}",
        "oras login ghcr.io -p {}",
    ),
    "runner-native": (
        "aws ecr get-login-password | docker login --username AWS --password-stdin {}.dkr.ecr.eu-west-1.amazonaws.com",
        "$(aws ecr get-login --no-include-email --profile {})",
        "az acr login --name {}",
        "gcloud auth print-access-token {} | docker login -u oauth2accesstoken --password-stdin gcr.io",
    ),
}


@pytest.mark.parametrize("text", [ONE_LINE, LINES, LINES.replace("\n", "\r\n"), f"  {ONE_LINE}  "])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_json_is_found_in_what_is_around_it(wrapping: str, text: str) -> None:
    """There is only one thing that it can mean."""
    assert decode(WRAPPINGS[wrapping](text)) == VALUE


@pytest.mark.parametrize("text", [json.dumps([VALUE]), json.dumps([VALUE], indent=1)])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_list_is_found_too(wrapping: str, text: str) -> None:
    """All wrappings apply to it."""
    assert decode(WRAPPINGS[wrapping](text)) == [VALUE]


@pytest.mark.parametrize(
    ("text", "fault", "hint"),
    [
        (PASSWORD, "a single value", "hostname"),
        ("eyJhbGciOi.eyJzdWIiOi.c2ln", "a single value", "hostname"),
        (base64.b64encode(f"AWS:{PASSWORD}".encode()).decode(), "an ECR authorization token", "AWS"),
        (base64.b64encode(f"bot:{PASSWORD}".encode()).decode(), "the base64 of a user name", "auths"),
        (f"bot:{PASSWORD}", "a single value", "username"),
        (f"my password is {PASSWORD}", "plain text", "another directory"),
        (f"REGISTRY_PASSWORD={PASSWORD}\n", "a list of variables", "JSON object"),
        (f"export TOKEN={PASSWORD}\nA=b", "a list of variables", "JSON object"),
        (f"hostname: ghcr.io\npassword: {PASSWORD}", "YAML", "JSON object"),
        (f"[default]\naws_secret_access_key = {PASSWORD}", "an INI or TOML file", "JSON object"),
        (f'# ours\n[[secrets]]\npassword = "{PASSWORD}"', "an INI or TOML file", "JSON object"),
        (f'name = "x"\npassword = "{PASSWORD}"', "TOML", "JSON object"),
        (f"# ours\n\nREGISTRY_PASSWORD={PASSWORD}", "a list of variables", "JSON object"),
        (f"---\n- name: x\n  password: {PASSWORD}", "YAML", "JSON object"),
        (f"# ours\n---\nname: x\npassword: {PASSWORD}", "YAML", "JSON object"),
        (f"machine ghcr.io login bot password {PASSWORD}", "a netrc file", "JSON object"),
        (f"bot:$2y$05${PASSWORD}", "an htpasswd file", "JSON object"),
        (f"https://bot:{PASSWORD}@ghcr.io", "a URL with a login", "JSON object"),
        (f"ENC[AES256_GCM,data:{PASSWORD},iv:x]", "encrypted with SOPS", "sops --decrypt"),
        (f"$ANSIBLE_VAULT;1.1;AES256\n{PASSWORD}", "is encrypted", "decrypt it"),
        (f"-----BEGIN PGP MESSAGE-----\n{PASSWORD}", "is encrypted", "decrypt it"),
        (f'// ours\n{{"password": "{PASSWORD}"}}', "it contains comments", "remove all comments"),
        (f'# ours\n{{"password": "{PASSWORD}"}}', "it contains comments", "remove all comments"),
        (f'{{\n  // ours\n  "password": "{PASSWORD}"\n}}', "it contains comments", "remove all comments"),
        ("${{ secrets.REGISTRIES }}", "a placeholder that nothing has replaced", "JSON object"),
        *(
            (command.format(PASSWORD), "a login command", hint)
            for hint, commands in LOGIN_COMMANDS.items()
            for command in commands
        ),
        (
            f"kubectl create secret docker-registry x --docker-password={PASSWORD}",
            "kubectl",
            "--dry-run=client -o json",
        ),
        ("/run/secrets/registries/team.json", "a path", "secrets.directories"),
        (f"<html>{PASSWORD}</html>", "an HTML or XML page", "download"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{PASSWORD}", "a certificate or a key", "another directory"),
        (f"{{“password”: “{PASSWORD}”}}", "typographic quotes", "straight"),
        (f'{{"password": "{PASSWORD}"}}\n{{"a": 1}}', "something after the end of the JSON (line 2", "one list"),
        (f'{{"password": "{PASSWORD}",}}', "not JSON (line 1, column 3", "commas"),
        ("/* to do */", "plain text", "JSON object"),
        ("```json\n```", "is empty", "remove it"),
    ],
)
def test_a_text_that_is_not_json_is_called_by_its_name(text: str, fault: str, hint: str) -> None:
    """The hint is the fix for this kind of text. Neither shows anything of it."""
    with pytest.raises(DocumentError) as caught:
        decode(text)
    assert fault in str(caught.value)
    assert hint in str(caught.value.hint)
    assert PASSWORD not in f"{caught.value}{caught.value.hint}"


def test_layers_without_an_end_are_refused() -> None:
    """Nobody encodes a secret that often by mistake."""
    text = ONE_LINE
    for _ in range(8):
        text = base64.b64encode(text.encode()).decode()
    with pytest.raises(DocumentError):
        decode(text)


def test_a_deep_nest_of_files_is_a_problem() -> None:
    """Each level is a file within a file."""
    text = '{".dockerconfigjson":' * 900 + "{}" + "}" * 900
    (problem,) = read_document(text, "/s/team.json", "team").problems
    assert "nested too deeply" in problem.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_is_decoded_as_windows_writes_it(encoding: str) -> None:
    """With a byte order mark or without."""
    assert parse_json(text_of(ONE_LINE.encode(encoding))) == VALUE


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"p\xe4ssword", b"\x1f\x8b\x08\x00\xff"])
def test_other_bytes_are_refused(data: bytes) -> None:
    """The message says where, and the hint how to save the file."""
    with pytest.raises(DocumentError, match="is not UTF-8") as caught:
        text_of(data)
    assert "UTF-8" in str(caught.value.hint)


@pytest.mark.parametrize("begin", ["", "```\n", "/*", "<", "export ", "machine ", "apiVersion: v1\ndata:\n  a: "])
@pytest.mark.parametrize(
    "piece", ["\n", " ", "a", "a ", "/a", "$ ", "#", "# \n", "---\n", "```\n", "/* */", '\\"', "["]
)
def test_no_text_takes_quadratic_time(begin: str, piece: str) -> None:
    """A file of a megabyte would take minutes, in which the agent does nothing else: systemd would kill it."""
    assert_linear(lambda size: read_document(f"{begin}{piece * (size // len(piece))}!", "/s/team.json", "team"))

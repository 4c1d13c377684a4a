"""Kubernetes Secret manifests, in JSON and YAML. A real YAML parser is the judge."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import agent
from agent.model.document_text import DocumentError
from agent.model.secret_formats import ParseResult, read_document
from agent.model.secret_manifest import contents_of, parse_yaml
from agent.model.sensitive import Sensitive
from tests.rig.growth import assert_linear

PASSWORD = "hunter2-hunter2"
DOCKER = json.dumps({"auths": {"ghcr.io": {"username": "bot", "password": PASSWORD}}}, indent=2)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def manifest(kind: str = "kubernetes.io/dockerconfigjson", **sections: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        "name": "regcred",
        "labels": {"app": "x"},
        "creationTimestamp": None,
        "ownerReferences": [{"name": "y"}],
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, **sections}


def read(value: Any) -> ParseResult:
    return read_document(value if isinstance(value, str) else json.dumps(value), "/s/regcred.yaml", "file")


def logins(result: ParseResult) -> list[tuple[str, str | None, str]]:
    return [(each.name, each.username, each.password.reveal()) for each in result.secrets if each.password]


MANIFESTS = {
    "docker": manifest(data={".dockerconfigjson": encoded(DOCKER)}),
    "docker in plain text": manifest(stringData={".dockerconfigjson": DOCKER}),
    "docker, encoded twice": manifest(data={".dockerconfigjson": encoded(encoded(DOCKER))}),
    "docker's old file": manifest(
        "kubernetes.io/dockercfg", data={".dockercfg": encoded(json.dumps(json.loads(DOCKER)["auths"]))}
    ),
    "fields": manifest("Opaque", stringData={"hostname": "ghcr.io", "username": "bot", "password": PASSWORD}),
    "fields of a basic login": manifest(
        "kubernetes.io/basic-auth",
        data={"username": encoded("bot"), "password": encoded(f"{PASSWORD}\n")},
        stringData={"hostname": "ghcr.io"},
    ),
    "a document": manifest("Opaque", data={"pull.json": encoded(DOCKER)}),
    "a document with the name of a field": manifest("Opaque", stringData={"password": DOCKER}),
    "a list": {"apiVersion": "v1", "kind": "List", "items": [manifest(data={".dockerconfigjson": encoded(DOCKER)})]},
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_secret_in_json_is_used(name: str) -> None:
    """As if Kubernetes had mounted it. Its name comes from the Secret."""
    result = read(MANIFESTS[name])
    assert (logins(result), result.problems) == ([("regcred-ghcr.io", "bot", PASSWORD)], ())


@pytest.mark.parametrize("style", [None, '"', "'", "|"], ids=str)
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_secret_in_yaml_is_used(name: str, style: str | None) -> None:
    """In each style that kubectl and other programs write, or reported."""
    text = yaml.safe_dump(MANIFESTS[name], default_style=style, width=10_000)
    result = read(text)
    assert (logins(result), result.problems) == ([("regcred-ghcr.io", "bot", PASSWORD)], ())


def test_a_list_is_used_as_kubectl_prints_it() -> None:
    """The dashes are not indented, and each object has more than the agent reads."""
    text = f"""apiVersion: v1
items:
- apiVersion: v1
  data:
    .dockerconfigjson: {encoded(DOCKER)}
  kind: Secret
  metadata:
    annotations:
      kubectl.kubernetes.io/last-applied-configuration: |
        {{"apiVersion":"v1","kind":"Secret"}}
    name: regcred
    ownerReferences:
    - apiVersion: v1
      kind: Job
  type: kubernetes.io/dockerconfigjson
-
  # nothing for the agent
  apiVersion: v1
  kind: ConfigMap
kind: List
metadata:
  resourceVersion: ""
"""
    assert len(parse_yaml(text)["items"]) == len(yaml.safe_load(text)["items"])
    result = read(text)
    assert (logins(result), result.problems) == ([("regcred-ghcr.io", "bot", PASSWORD)], ())


def test_yaml_as_people_write_it_is_used() -> None:
    """With comments, several documents, and a block of JSON."""
    text = f"""# our registry
apiVersion: v1
kind: ConfigMap
---
apiVersion: v1
kind: Secret   # used by the agent
metadata: {{name: regcred}}
type: kubernetes.io/dockerconfigjson
stringData:
    # from the vault
    .dockerconfigjson: |-
      {{
        "auths": {{
          "ghcr.io": {{"username": "bot",

            "password": "{PASSWORD}"}}
        }}
      }}
# the end
"""
    first, second = parse_yaml(text)["items"]
    assert first["kind"] == "ConfigMap"
    assert json.loads(contents_of(second)[".dockerconfigjson"]) == json.loads(DOCKER)
    (secret,) = read(text).secrets
    assert (str(secret.registry), secret.username, secret.password) == ("ghcr.io", "bot", Sensitive(PASSWORD))


def test_other_objects_next_to_a_secret_are_normal() -> None:
    """Without any Secret, the first object is reported. A Secret that cannot be used hides no other."""
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment"}
    tls, good = manifest("kubernetes.io/tls", data={"a": "eA=="}), MANIFESTS["docker"]
    result = read({"apiVersion": "v1", "kind": "List", "items": [deployment, good, tls, 7]})
    assert (logins(result), result.failed) == ([("regcred-ghcr.io", "bot", PASSWORD)], False)
    (problem,) = result.problems
    assert "of the type kubernetes.io/tls" in problem.message
    (problem,) = read({"apiVersion": "v1", "kind": "List", "items": [deployment, deployment]}).problems
    assert "a Kubernetes Deployment, not a Secret" in problem.message
    assert read({"apiVersion": "v1", "kind": "List", "items": []}) == ParseResult()


@pytest.mark.parametrize("odd", [7, None, [], {}, "x", [[]], True])
@pytest.mark.parametrize("key", ["kind", "type", "data", "stringData", "metadata", "items"])
def test_any_type_in_any_place_is_a_secret_or_a_problem(key: str, odd: Any) -> None:
    """Nothing is raised."""
    result = read({**MANIFESTS["docker"], key: odd})
    assert bool(result.secrets) or result.failed == bool(result.problems)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (manifest("kubernetes.io/tls", data={"tls.key": encoded(PASSWORD)}), "of the type kubernetes.io/tls"),
        (manifest("kubernetes.io/service-account-token", data={"token": encoded(PASSWORD)}), "service-account-token"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": {"password": PASSWORD}}, "a Kubernetes ConfigMap, not a"),
        ({"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "spec": {}}, "a Kubernetes SealedSecret, not"),
        (manifest(data={".dockerconfigjson": f"{DOCKER}!"}), ".dockerconfigjson under data that is not base64"),
        (manifest(), "without data"),
        ({"apiVersion": "v1", "kind": "List", "items": [{"kind": "Pod", "apiVersion": "v1"}]}, "a Kubernetes Pod, not"),
        (manifest("Opaque", stringData={"token": PASSWORD}), "token in /s/regcred.yaml is a single value"),
        (manifest("Opaque", stringData={"username": "bot", "password": PASSWORD}), "hostname is missing"),
    ],
)
def test_a_manifest_without_a_login_is_called_by_its_name(value: Any, words: str) -> None:
    """In JSON and in YAML. The message shows no value."""
    for text in (json.dumps(value), yaml.safe_dump(value, default_style='"', width=10_000)):
        result = read(text)
        (problem,) = result.problems
        assert (result.secrets, result.failed) == ((), True)
        assert words in problem.message
        assert PASSWORD not in problem.message + problem.hint
        assert problem.hint


def test_a_value_that_is_no_text_is_reported() -> None:
    """Kubernetes refuses it too."""
    (problem,) = read(manifest(stringData={"password": 7})).problems
    assert "stringData is not a map of strings" in problem.message


@pytest.mark.parametrize("data", ["&a b", "*a", "!!binary eA==", '"unfinished', "{a: b}", "[a", "a\n    b", "@x"])
def test_other_yaml_is_reported_and_not_guessed(data: str) -> None:
    """The hint shows another way."""
    result = read(f"apiVersion: v1\nkind: Secret\ndata:\n  .dockerconfigjson: {data}\n")
    (problem,) = result.problems
    assert "YAML that the agent cannot read" in problem.message
    assert "JSON" in problem.hint


def test_a_file_next_to_the_login_does_not_hide_it() -> None:
    """It is reported, and the login is used, also after a change."""
    result = read(manifest("Opaque", stringData={".dockerconfigjson": DOCKER, "notes": "for the team"}))
    assert (len(result.secrets), len(result.problems), result.failed) == (1, 1, False)


@given(st.dictionaries(st.sampled_from(["a", ".dockerconfigjson", "b-c"]), st.text(st.characters(codec="utf-8"))))
def test_yaml_is_read_like_a_real_parser_or_not_at_all(texts: dict[str, str]) -> None:
    """Whatever the values are: never another value."""
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "stringData": texts}, width=10_000)
    try:
        found = parse_yaml(text)
    except DocumentError:
        return
    read_here = {name: (value or "").rstrip() for name, value in (found["stringData"] or {}).items()}
    assert read_here == {name: value.rstrip() for name, value in texts.items()}


def test_a_password_with_nul_bytes_never_becomes_another_one() -> None:
    """As in a directory. ASCII in UTF-16, as from PowerShell, is read."""
    for password, found in ((b"p\0ss", []), ("hunter2".encode("utf-16-le"), ["hunter2"])):
        fields = {"hostname": b"ghcr.io", "username": b"bot", "password": password}
        data = {name: base64.b64encode(content).decode() for name, content in fields.items()}
        result = read(manifest("Opaque", data=data))
        assert [login[2] for login in logins(result)] == found
        assert len(result.problems) == (0 if found else 1)


@pytest.mark.parametrize(
    "value",
    [
        '"p"  # for the team',
        "'p'  # for the team",
        r'"a\x41\xe9\N\_\e\0\U0001F600\"\\x41"',
        '"p#q # r"',
        '"a\tb"',
        "p#q",
    ],
)
def test_a_value_means_what_it_means_in_yaml(value: str) -> None:
    """With a comment after it, and with the escapes that only YAML has."""
    text = f"apiVersion: v1\nkind: Secret\nstringData:\n  password: {value}\n"
    assert parse_yaml(text)["stringData"] == yaml.safe_load(text)["stringData"]


ONE_LINE = "apiVersion: v1\nkind: Secret\nstringData: {}\n"


@pytest.mark.parametrize(
    "fields",
    [
        "{hostname: ghcr.io, username: bot, password: p}",
        "{ hostname: localhost:5000, username: 'it''s', password: \"a, b\\x41\" }  # for the team",
        '{"hostname":"ghcr.io", "username":"bot"}  # JSON',
        "{}",
    ],
)
def test_a_map_on_one_line_is_read(fields: str) -> None:
    """As JSON, and as people write it."""
    text = ONE_LINE.format(fields)
    assert parse_yaml(text)["stringData"] == yaml.safe_load(text)["stringData"]


@pytest.mark.parametrize(
    "fields",
    [
        *("{a: b}#x", "{a: b} c", "{a: b} c: d}", "{a: b}, c: d}", "{a: b, a: c}", "{a: {b: c}}", "{a: b: c, d: e}"),
        *('{a:"b"}', "{a: b", "{- a: b}", "{a: b c #d, e: f}", "{a: &b c}", "{a: *b}", "{a, b: c}"),
        *("{null: a}", '{~: "a"}', "{a: b, ~: c}"),
    ],
)
def test_another_map_on_one_line_is_reported_and_not_guessed(fields: str) -> None:
    """Part of it is never used."""
    with pytest.raises(DocumentError):
        parse_yaml(ONE_LINE.format(fields))


@given(st.dictionaries(st.sampled_from(["a", ".dockerconfigjson", "b-c"]), st.text(st.characters(codec="utf-8"))))
def test_a_map_on_one_line_is_read_like_a_real_parser_or_not_at_all(texts: dict[str, str]) -> None:
    """Whatever the values are."""
    text = ONE_LINE.format(yaml.safe_dump(texts, default_flow_style=True, width=10_000).strip())
    try:
        found = parse_yaml(text)["stringData"]
    except DocumentError:
        return
    assert found == texts


def test_yaml_with_a_tab_says_so_and_no_hint_loses_the_login() -> None:
    """Read as the top level, a key behind a tab looks like a secret without a name, which is under `metadata`."""
    text = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: one\nstringData:\n\thostname: ghcr.io\n\tusername: bot\n"
    (problem,) = read(text).problems
    assert ("indented with a tab" in problem.message, "with spaces" in problem.hint) == (True, True)
    (problem,) = read({"apiVersion": "v1", "hostname": "ghcr.io", "metadata": {"name": "one"}}).problems
    assert ("name is missing" in problem.message, "metadata" in problem.hint) == (True, False)


@pytest.mark.parametrize(("begin", "piece"), [("{a", " "), ("{a: b", " "), ("{a: b", " c")])
def test_no_map_on_one_line_takes_quadratic_time(begin: str, piece: str) -> None:
    """It would take minutes, in which the agent does nothing else."""

    def read(size: int) -> None:
        with pytest.raises(DocumentError):
            parse_yaml(ONE_LINE.format(f"{begin}{piece * (size // len(piece))}#"))

    assert_linear(read)


def test_no_pattern_has_a_possessive_group() -> None:
    """Before Python 3.11.5, such a group does not match if it contains alternatives. Debian 12 has 3.11.2."""
    sources = Path(agent.__file__).parent.rglob("*.py")
    assert [path for path in sources if re.search(r"\)[*+?]\+(?!,)", path.read_text())] == []

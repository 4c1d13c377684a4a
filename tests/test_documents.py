"""The documents match the code. Tests check their lists, examples, commands and links."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from agent.__main__ import COMMANDS
from agent.model.login_source import AwsDefaults
from agent.model.plan import make_plan
from agent.model.problem import Needs, RetryClass, Severity
from agent.model.problems import codes
from agent.model.problems.environment import TokenNotRenewable
from agent.model.secret_formats import FIELDS as SECRET_FIELDS
from agent.model.secret_formats import read_document
from agent.model.snapshot import Process, Snapshot
from agent.model.status import OpenWarning, RegistryStatus
from agent.settings_loader import FIELDS, default_settings, load_settings
from tests.command_line import options_of

ROOT: Final = Path(__file__).parent.parent
DOCUMENTS: Final = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ENVIRON: Final = {"HOME": "/home/ada"}
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)

_FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN: Final = re.compile(r"`([^`\n]+)`")
_LINK: Final = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
_HEADING: Final = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(text: str, language: str) -> list[str]:
    return [body for found, body in _FENCE.findall(text) if found == language]


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def code(text: str) -> Iterator[str]:
    """Yield each line of code in a document: the lines of its shell blocks, and its code spans."""
    for body in blocks(text, "sh"):
        yield from body.splitlines()
    yield from _SPAN.findall(prose(text))


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each table row that begins with a code span."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def section(text: str, heading: str) -> str:
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def example_secrets(name: str) -> list[str]:
    """Return the JSON blocks of a document that contain one or more secrets."""
    return [text for text in blocks(read(name), "json") if json.loads(text).keys() & {"hostname", "secrets", "auths"}]


def example_kinds(name: str) -> set[str]:
    secrets = [secret for text in example_secrets(name) for secret in read_document(text, name, "example").secrets]
    return {make_plan([secret], (), AwsDefaults()).logins[0].kind for secret in secrets}


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes for the headings."""
    headings = (heading.lower() for heading in _HEADING.findall(prose(text)))
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in headings}


def test_every_warning_code_has_its_section_in_order() -> None:
    """Severity, hint and "Needs" match the problem class. No section has an unknown code."""
    sections = re.split(r"^## ", read("docs/warnings.md"), flags=re.MULTILINE)[1:]
    told = {body.partition("\n")[0].strip("`"): body for body in sections}
    assert list(told) == list(codes())
    for name, problem in codes().items():
        fields = dict(re.findall(r"^- \*\*([\w ]+):\*\* (.+?)(?=\n- |\n*\Z)", told[name], re.MULTILINE | re.DOTALL))
        assert list(fields) == ["Severity", "Needs", "Hint", "Shows as", "What to do", "Tried again", "Clears"], name
        said = (Severity(fields["Severity"]), Needs(fields["Needs"]), fields["Hint"])
        assert said == (problem.severity, problem.needs, problem.hint), name
        assert fields["Tried again"].startswith("after a rejection") is (problem.retry_class is RetryClass.REJECTED), (
            name
        )


def test_every_setting_has_its_row_with_default_and_variable(tmp_path: Path) -> None:
    """A settings file with all documented defaults gives exactly the default settings."""
    table = {cells[0].strip("`"): cells for cells in rows(read("docs/settings.md")) if len(cells) == 5}
    assert list(table) == list(FIELDS)
    default = default_settings(ENVIRON)
    lines = []
    for key, (_, _, shown, variable, _) in table.items():
        group, _, name = key.partition(".")
        assert variable == f"`REGISTRY_AGENT_{group}_{name}`".upper(), key
        if shown.startswith("`"):
            lines.append(f"{key} = {shown.strip('`')}")
        elif key not in ("environment.id", "docker.config_dir"):  # these two depend on the environment
            assert shown == "none", key
            assert getattr(getattr(default, group), name) is None, key
    file = tmp_path / "config.toml"
    file.write_text("\n".join(lines))
    loaded = load_settings(file, ENVIRON, {})
    assert (loaded.problems, loaded.settings) == ((), default)


@pytest.mark.parametrize(
    "name", ["README.md", "docs/secrets.md", "docs/aws-ecr.md", "docs/registries.md", "docs/commands.md"]
)
def test_the_example_secrets_are_accepted(name: str) -> None:
    """Each gives a login without a warning, except that a fixed token reports that it cannot be renewed."""
    examples = example_secrets(name)
    assert examples
    for text in examples:
        reading = read_document(text, name, "example")
        plan = make_plan(reading.secrets, (), AwsDefaults())
        assert (len(plan.logins), plan.skipped, reading.problems) == (len(reading.secrets), (), ()), text
        assert plan.logins, text
        assert all(isinstance(problem, TokenNotRenewable) for problem in plan.problems), text


def test_every_field_of_a_secret_has_its_row() -> None:
    """There are no other fields, so a file cannot set a value that only the agent may set."""
    table = [name for cells in rows(section(read("docs/secrets.md"), "The fields")) for name in _SPAN.findall(cells[0])]
    assert sorted(table) == sorted(SECRET_FIELDS)


def test_the_example_secrets_show_every_kind_of_login() -> None:
    """The README shows the two usual ones."""
    assert example_kinds("README.md") == {"basic", "ecr"}
    assert example_kinds("docs/secrets.md") == {"basic"}
    assert example_kinds("docs/aws-ecr.md") == {"ecr", "ecr-public"}
    assert example_kinds("docs/registries.md") == {"basic", "ecr", "gar", "acr"}


def test_every_row_of_the_threat_model_names_a_test_that_exists() -> None:
    """The test is in the last column, so a test checks every promise of the model."""
    threats = [line for line in section(read("SECURITY.md"), "From whom").splitlines() if line.startswith("| ")][1:]
    assert len(threats) > 20
    for threat in threats:
        named = re.search(r"\| `(tests/[\w/]+\.py)::(test_\w+)` \|$", threat)
        assert named is not None, threat
        assert re.search(rf"^(async )?def {named[2]}\(", read(named[1]), re.MULTILINE), threat


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_examples_of_settings_are_sound(document: Path, tmp_path: Path) -> None:
    """Each TOML block is a settings file without problems, and each JSON block is valid JSON."""
    for text in blocks(document.read_text(), "toml"):
        (tmp_path / "config.toml").write_text(text)
        assert load_settings(tmp_path / "config.toml", ENVIRON, {}).problems == (), text
    for text in blocks(document.read_text(), "json"):
        json.loads(text)


def test_the_example_status_has_the_fields_of_the_real_one() -> None:
    """The excerpt may omit fields at the top level, but adds none."""
    (shown,) = (json.loads(text) for text in blocks(read("docs/status.md"), "json") if '"schema"' in text)
    row = RegistryStatus("ghcr.io", "team-ghcr", "project", "basic", NOW)
    warning = OpenWarning("x", Severity.ERROR, "x", "x", "x", Needs.USER, NOW, NOW, 1)
    process = Process("1", "x", NOW, None, "x", "x", "x")
    real: dict[str, Any] = Snapshot(process, registries=(row,), warnings=(warning,)).as_json(NOW, 1.0)
    assert shown.keys() <= real.keys()
    assert shown["registries"][0].keys() == real["registries"][0].keys()
    assert shown["warnings"][0].keys() == real["warnings"][0].keys()
    assert shown["warnings"][0]["hint"] == codes()[shown["warnings"][0]["code"]].hint


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names an existing file, and an existing heading in it."""
    for path, anchor in _LINK.findall(document.read_text()):
        target = (document.parent / path).resolve() if path else document
        assert target.is_relative_to(ROOT), path
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text()), f"{path}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_and_files_that_are_named_exist(document: Path) -> None:
    """These are make targets, commands of the agent with their options, and files of the source tree."""
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for line in code(document.read_text()):
        assert set(re.findall(r"\bmake ([a-z-]+)", line)) <= targets, line
        for command, rest in re.findall(r"registry-agent +(?!registry-agent)([a-z][a-z-]*)(.*)", line):
            assert command in COMMANDS, line
            assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options_of(command), line
        for path in re.findall(r"^[\w/]+\.py$", line):
            assert (ROOT / path).exists() or (ROOT / "agent" / path).exists(), path


def test_the_command_line_page_has_every_command_and_every_option() -> None:
    """The options of one command may be on the page that its row links to."""
    text = read("docs/command-line.md")
    named = ((re.match(r"`registry-agent ([\w-]+)", cells[0]), cells[1]) for cells in rows(text))
    does = {found[1]: what for found, what in reversed([*named]) if found}
    assert list(reversed(does)) == list(COMMANDS)
    for command, what in does.items():
        pages = text + "".join(read(f"docs/{page}") for page, _ in _LINK.findall(what))
        assert options_of(command) - set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", pages)) <= {"-h"}, command


def test_the_walk_in_contributing_goes_from_a_failing_test_to_a_passing_one(tmp_path: Path) -> None:
    """The test pastes the blocks as a newcomer does: the document, the failing test, the code, the passing test."""
    for name in ("agent", "docs", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    document, test, code, again = blocks(section(read("CONTRIBUTING.md"), "Your first change"), "sh")[1:5]
    assert test == again
    script = "\n".join([document, f"if {test.strip()}; then exit 99; fi", code, test])
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = ["bash", "-euc", script]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "1 passed" in done.stdout


def test_the_architecture_names_every_directory_and_every_dependency() -> None:
    """Each dependency has its reason there, and nothing else is listed."""
    document = read("docs/ARCHITECTURE.md")
    directories = {path for path in (ROOT / "agent").iterdir() if not path.name.startswith("__")}
    named = {cells[0].strip("`") for cells in rows(section(document, "Directories"))}
    assert named == {str(path.relative_to(ROOT)) for path in directories}

    project = tomllib.loads(read("pyproject.toml"))
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    needed += [requirement for group in project["dependency-groups"].values() for requirement in group]
    reasons = {name for cells in rows(section(document, "Dependencies")) for name in re.findall(r"`([^`]+)`", cells[0])}
    assert reasons == {re.split(r"[^\w-]", requirement)[0] for requirement in needed}

"""Every hint can be followed without changes, with any paths, links, names and owners."""

import ast
import base64
import errno
import importlib
import os
import pkgutil
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import agent
from agent.edge.agent_client import AgentClient, AgentNotRunning
from agent.edge.permission_hints import Account, permission_hint
from agent.model import hints
from agent.model.aws_errors import AwsRefusal, problem_of
from agent.model.commands import command
from agent.model.desired_login import CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import Entry
from agent.model.docker_errors import explain
from agent.model.docker_results import CliOutput, Fault
from agent.model.problem import Problem
from agent.model.problems.environment import NotDockersCli
from agent.model.problems.stored_login import ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import parse_hostname
from agent.model.sandbox import opening
from agent.model.sensitive import Sensitive
from agent.services.overrides import Overrides
from tests.words.nevers import PLACEHOLDER, RECURSIVE, assert_pasteable, commands_in, words_of

PACKAGE: Final = Path(agent.__file__).parent
HOST: Final = "registry.example.com:5000"
ATTACKS: Final = (
    "$(touch trapped)", "`touch trapped`", "; touch trapped;", "-R", "--reference=x", "a b", "it's", '"', "\\", "*",
    "~", "#", "&", "|", ">", "a\nb", "\x1b[31m", "\u202e", "\u2028", "\udcff", "HOST", "USER", "!", "{a,b}", "%",
)  # fmt: skip
_CHARACTERS: Final = st.characters(codec="utf-8", exclude_characters="/\0")
TEXTS: Final = st.one_of(
    st.lists(st.one_of(st.sampled_from(ATTACKS), st.text(_CHARACTERS, max_size=4)), min_size=1, max_size=4)
    .map("".join)
    .map(lambda name: name[:40])
    .filter(lambda name: name not in ("", ".", ".."))
)
NAMES: Final = TEXTS.filter(lambda name: len(os.fsencode(name)) < 200)
ERRORS: Final = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ELOOP, errno.ENOENT,
    errno.EBUSY, None,
)  # fmt: skip
FEW: Final = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def every_problem() -> list[type[Problem]]:
    """Return each subclass of `Problem` in the package."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "agent."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[Problem]) -> Iterator[type[Problem]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    return sorted({*below(Problem)}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", every_problem(), ids=lambda kind: kind.__name__)
def test_the_hint_of_every_problem_can_be_followed(kind: type[Problem]) -> None:
    """It contains the registry's own name."""
    assert_pasteable(kind(HOST, "what happened").hint)


@pytest.mark.parametrize(
    "name", [name for name, value in vars(hints).items() if name.isupper() and isinstance(value, str)]
)
def test_every_hint_for_a_special_case_can_be_followed(name: str) -> None:
    """These hints are the constants of `agent.model.hints`."""
    assert_pasteable(CredentialStoreFailed(HOST, "what happened", hint=getattr(hints, name)).hint)


@pytest.mark.parametrize("before", [0, 480, 500, 900, 989, 990, 999, 1200])
def test_a_hint_that_is_too_long_has_only_whole_commands(before: int) -> None:
    """Half a command could name a directory instead of the file in it."""
    wanted = [f"sudo chown 1000 /home/vscode/{'d' * 300}/{name}" for name in ("config.json", "auth.json")]
    hint = ConfigUnwritable(HOST, "what happened", hint="; ".join(["w" * before, *(f"run `{w}`" for w in wanted)])).hint
    assert set(commands_in(hint)) <= set(wanted)
    assert hint.count("`") == 2 * len(commands_in(hint))
    assert len(hint) <= 1001


@FEW
@given(st.lists(TEXTS, min_size=1, max_size=2))
def test_a_command_is_one_for_a_shell(operands: list[str]) -> None:
    """A real shell splits it into exactly these words. Operands that cannot be shown like this give no command."""
    shown = command("sudo chown", *operands)
    if shown is not None:
        assert words_of(shown[1:-1]) == ["sudo", "chown", *operands]
        assert_pasteable(shown[:1] + shown[1:].replace("chown", "show"), outside=operands)
    else:
        assert any(re.search(r"^-|`|HOST|[^ -~]", text) for text in operands)


@st.composite
def trees(draw: st.DrawFn) -> tuple[str, str, str, str, int, int, str]:
    """Draw the names of two directories, the kinds of `.docker` and `config.json`, owner, mode, and the one in use."""
    docker = draw(st.sampled_from(["directory", "link", "dangling", "missing", "file", "fifo"]))
    config = draw(st.sampled_from(["file", "missing", "link", "dangling", "loop", "directory", "fifo"]))
    uid = draw(st.sampled_from([os.geteuid(), 4001]))
    return draw(NAMES), draw(NAMES), docker, config, uid, draw(st.integers(0, 0o777)), draw(st.sampled_from("de"))


def make(place: Path, kind: str, elsewhere: Path) -> None:
    """Create a file, directory, pipe or link of this kind at `place`."""
    match kind:
        case "directory":
            place.mkdir()
        case "file":
            place.write_text("{}")
        case "fifo":
            os.mkfifo(place)
        case "link":
            place.symlink_to(elsewhere)
        case "dangling":
            place.symlink_to(elsewhere / "gone" / "further")
        case "loop":
            place.symlink_to(place)


@FEW
@given(trees(), st.sampled_from(ERRORS), st.one_of(st.none(), TEXTS, st.just("registry-agent@ada.service")), TEXTS)
def test_no_advice_about_a_tree_harms(
    tree: tuple[str, str, str, str, int, int, str], error: int | None, unit: str | None, user: str
) -> None:
    """With any links, pipes, owners and modes, a hint changes at most `.docker` and its `config.json`."""
    home_name, other, docker, config, uid, mode, which = tree
    with tempfile.TemporaryDirectory() as scratch:
        home, etc = Path(scratch, "h", home_name), Path(scratch, "e", other)
        home.mkdir(parents=True)
        etc.mkdir(parents=True)
        (etc / "config.json").write_text("{}")
        make(home / ".docker", docker, etc)
        directory = home / ".docker" if which == "d" else etc
        if docker == "directory" and which == "d":
            make(directory / "config.json", config, etc / "config.json")
            if config in ("file", "directory"):
                (directory / "config.json").chmod(mode)
        path = directory / "config.json"
        hint = permission_hint(path, error, unit, Account(uid, user, home))
        shown = ConfigUnwritable(str(path), "it cannot be written", hint=hint).hint
        (home / ".docker").is_dir()
        outside = [scratch, str(home), str(etc), str(path), home_name, other, user, str(unit), *ATTACKS]
        assert_pasteable(shown, {home / ".docker", home / ".docker/config.json"}, outside)


@pytest.mark.parametrize("config", ["file", "missing"])
def test_dockers_own_directory_is_given_back_by_name(tmp_path: Path, config: str) -> None:
    """After `sudo docker login` made it, the command gives the user the directory and the file, and nothing else."""
    make(tmp_path / ".docker", "directory", tmp_path)
    make(tmp_path / ".docker/config.json", config, tmp_path)
    path = tmp_path / ".docker/config.json"
    places = [tmp_path / ".docker", *([path] if config == "file" else [])]
    (run,) = commands_in(permission_hint(path, errno.EACCES, None, Account(os.geteuid() + 1, "ada", tmp_path)) or "")
    assert words_of(run) == ["sudo", "chown", "--no-dereference", "ada:", *map(str, places)]


def test_a_link_into_etc_is_left_to_its_owner(tmp_path: Path) -> None:
    """This case once broke a system. The hint has no command at all."""
    make(tmp_path / ".docker", "directory", tmp_path)
    path = tmp_path / ".docker/config.json"
    path.symlink_to("/etc/docker-of-a-test/config.json")
    hint = permission_hint(path, errno.EACCES, None, Account(4001, "ada", tmp_path)) or ""
    assert commands_in(hint) == []
    assert "/etc/docker-of-a-test" in hint
    assert "which is a link" in hint


@FEW
@given(NAMES, TEXTS)
def test_a_login_of_podmans_is_removed_by_its_own_path_and_key(name: str, repository: str) -> None:
    """Both the path and the key come from outside."""
    registry = parse_hostname("ghcr.io")
    mine, other = Entry("bob", Sensitive("mine")), base64.b64encode(b"eve:hers").decode()
    order, placed = DesiredLogin(registry, mine, None), StoreResult(CONFIG_FILE, mine, ours=True)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, name)
        path.write_text("{}")
        document = {"auths": {f"ghcr.io/{repository}": {"auth": other}}}
        for problem in Overrides(None).of(order, placed, {str(path): document}, {}):
            assert_pasteable(problem.hint, outside=[str(path), f"ghcr.io/{repository}", *ATTACKS])
            for run in commands_in(problem.hint):
                assert words_of(run) == ["podman", "logout", "--authfile", str(path), f"ghcr.io/{repository}"]


@given(TEXTS)
def test_a_login_for_podman_in_dockers_file_brings_no_command(repository: str) -> None:
    """Its key comes from outside, too."""
    mine, other = Entry("bob", Sensitive("mine")), base64.b64encode(b"eve:hers").decode()
    order = DesiredLogin(parse_hostname("docker.io"), mine, None)
    document = {"auths": {f"docker.io/{repository}": {"auth": other}}}
    (problem,) = Overrides(None).of(order, StoreResult(CONFIG_FILE, mine, ours=True), {}, document)
    assert_pasteable(problem.hint, outside=[f"docker.io/{repository}", *ATTACKS])
    assert commands_in(problem.hint) == []


@FEW
@given(TEXTS, TEXTS)
def test_names_from_outside_stay_names(name: str, other: str) -> None:
    """They name units, helpers, directories, users, programs, and hosts that did not resolve."""
    texts = [
        hints.helper_hint(name),
        opening(name, [f"/{other}"]),
        opening("registry-agent@ada.service", [f"/{name}", other]),
        opening(name, []),
        NotDockersCli.instead(f"/{name}/docker", "podman 4.3.1").hint,
        explain(CliOutput(f"dial tcp: lookup {name} on {other}", fault=Fault.DNS), None, HOST, name).hint,
    ]
    with pytest.raises(AgentNotRunning) as nobody:
        AgentClient([], name).status(1)
    texts += str(nobody.value).splitlines()[-1:]
    for text in texts:
        shown = CredentialStoreFailed(HOST, "what happened", hint=text).hint
        assert_pasteable(shown, outside=[name, other, *ATTACKS])


def test_a_denied_role_is_named_or_left_to_words() -> None:
    """AWS does not always name the role."""
    refusal = AwsRefusal(
        action="sts:AssumeRole",
        code="AccessDenied",
        message="no",
        status=403,
        who="arn:aws:iam::123456789012:user/ci",
        seen_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert_pasteable(problem_of(refusal).hint)


# Checks of the source itself, for future hints


def texts_of(file: Path) -> Iterator[str]:
    """Yield each text in the source except docstrings. A value in an f-string becomes a NUL."""
    tree = ast.parse(file.read_text())
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare | parts:
            yield node.value


SOURCES: Final = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "commands.py")
# Registry names have no characters with a meaning for a shell (agent/model/registry.py).
SAFE: Final = re.compile(r"registry-agent renew \0|registry-agent renew HOST|getent hosts HOST|curl https://HOST/v2/")


@pytest.mark.parametrize("file", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_text_in_the_source_is_a_command_that_harms(file: Path) -> None:
    """No text is recursive. No command has a placeholder, or a value that `commands.command` did not quote."""
    for text in texts_of(file):
        assert not RECURSIVE.search(text), text
        for run in commands_in(text):
            if "\n" not in run and not SAFE.fullmatch(run):
                assert "\0" not in run, f"use agent.model.commands.command: {text!r}"
                assert not PLACEHOLDER.search(run), text


def test_the_guard_finds_bad_hints() -> None:
    """It finds hints that were wrong in the past."""
    assert RECURSIVE.search("`sudo chown -R 4001 /etc`")
    assert RECURSIVE.search("`chmod --recursive go= x`")
    assert RECURSIVE.search("`rm -rf x`")
    for text in ("docker-credential-NAME list", "registry-agent@USER", "ROLE-ARN", "unix:/path/to.sock", "<name>"):
        assert PLACEHOLDER.search(text), text

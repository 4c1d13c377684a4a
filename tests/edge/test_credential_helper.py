"""Tests of Docker's credential helpers, with real programs as helpers."""

import asyncio
import base64
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge.credential_helper import DEADLINE_S, CredentialHelpers
from agent.edge.process import TERMINATION_S
from agent.model.docker_config import Entry
from agent.model.problems.stored_login import CredentialStoreFailed
from agent.model.sensitive import Sensitive
from agent.observe.redaction import LearnedSecrets, Scrubber
from tests.edge.helper_script import PERSONS, RewritingHelper, answer, good_helper, kept, script
from tests.problems import raises_problem
from tests.rig.waiting import until

T = TypeVar("T")
LOGIN = Entry("me", Sensitive("s3cret é"))
TOKEN = Entry("me", Sensitive("refresh"), identity_token=True)


@pytest.fixture
def helpers(tmp_path: Path) -> CredentialHelpers:
    return CredentialHelpers({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, deadline_s=30)


async def test_stores_finds_and_erases_a_login(helpers: CredentialHelpers, tmp_path: Path) -> None:
    """An identity token is stored under the user name that docker/cli uses for identity tokens."""
    store = good_helper(tmp_path, "good")
    assert await helpers.get("good", "ghcr.io") is None
    await helpers.store("good", "ghcr.io", LOGIN)
    await helpers.store("good", "acr.example", TOKEN)
    assert await helpers.get("good", "ghcr.io") == LOGIN
    assert TOKEN.same_login(await helpers.get("good", "acr.example"))
    assert kept(store)["acr.example"] == {"ServerURL": "acr.example", "Username": "<token>", "Secret": "refresh"}
    await helpers.erase("good", "ghcr.io")
    assert list(kept(store)) == ["acr.example"]


async def test_a_missing_login_is_not_a_failure(helpers: CredentialHelpers, tmp_path: Path) -> None:
    """The helper prints the protocol's text for it, on either stream, and exits with code 1."""
    script(tmp_path, "empty", "#!/bin/sh\necho credentials not found in native keychain; exit 1\n")
    assert await helpers.get("empty", "ghcr.io") is None
    await helpers.erase("empty", "ghcr.io")


async def test_a_missing_helper_is_named(helpers: CredentialHelpers) -> None:
    with raises_problem(CredentialStoreFailed, match="docker-credential-absent is not on the agent's PATH") as caught:
        await helpers.get("absent", "ghcr.io")
    assert caught.value.subject == "ghcr.io"


async def test_a_limit_on_processes_is_a_failure_of_the_helper(
    helpers: CredentialHelpers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other error would end the agent, because callers expect only problems."""
    good_helper(tmp_path, "good")

    def full(*_: object) -> None:
        raise NoThreadError

    monkeypatch.setattr(BlockingCalls, "submit", full)
    with raises_problem(CredentialStoreFailed, match="a limit on processes is reached") as caught:
        await helpers.get("good", "ghcr.io")
    assert "the limits of the agent's user" in caught.value.hint


async def test_a_helper_without_its_interpreter_is_to_be_installed_again(
    helpers: CredentialHelpers, tmp_path: Path
) -> None:
    """Not "fix the credential helper": the hint names the program."""
    script(tmp_path, "orphan", "#!/nonexistent/python3\n")
    with raises_problem(CredentialStoreFailed, match="does not start") as caught:
        await helpers.get("orphan", "ghcr.io")
    assert f"install {tmp_path}/docker-credential-orphan again" in caught.value.hint


async def test_ignores_path_directories_that_others_can_write_to(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    good_helper(tmp_path / "shared", "planted")
    await asyncio.to_thread((tmp_path / "shared").chmod, 0o777)
    with raises_problem(CredentialStoreFailed, match=f"is not used: others can write to {tmp_path}/shared") as caught:
        await CredentialHelpers({"PATH": str(tmp_path / "shared")}).get("planted", "ghcr.io")
    assert "install" not in caught.value.hint


@pytest.mark.parametrize("name", ["../evil", "a b", "x;y", "", "\x1b[31m"])
async def test_rejects_names_that_are_not_plain_program_names(
    helpers: CredentialHelpers, tmp_path: Path, name: str
) -> None:
    """The name comes from config.json, which any program may have written."""
    (tmp_path / "docker-credential-..").mkdir()
    good_helper(tmp_path, "../evil")
    with raises_problem(CredentialStoreFailed, match="not a valid program name"):
        await helpers.get(name, "ghcr.io")


async def test_kills_a_hanging_helper_and_its_children(tmp_path: Path) -> None:
    script(tmp_path, "hung", "#!/bin/sh\nsleep 1000 & wait\n")
    helpers = CredentialHelpers({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, deadline_s=0.2)
    begun = time.monotonic()
    with raises_problem(CredentialStoreFailed, match=r"store did not end within 0\.2 s"):
        await helpers.store("hung", "ghcr.io", LOGIN)
    assert time.monotonic() - begun < 100


@pytest.mark.parametrize("action", ["store", "erase"])
async def test_cancellation_does_not_interrupt_a_write(helpers: CredentialHelpers, tmp_path: Path, action: str) -> None:
    """The helper finishes its write first, however often the caller is cancelled."""
    helper = RewritingHelper(tmp_path, "rewriting")
    helper.hold()
    work = helpers.store("rewriting", "ghcr.io", LOGIN) if action == "store" else helpers.erase("rewriting", "ghcr.io")
    writing = asyncio.create_task(work)
    await _until(lambda: helper.writing)
    for _ in range(3):
        writing.cancel()
        await asyncio.sleep(0)
    helper.let_go()
    with pytest.raises(asyncio.CancelledError):
        await writing
    expected = {PERSONS["ServerURL"], "ghcr.io"} if action == "store" else {PERSONS["ServerURL"]}
    assert helper.logins.keys() == expected


async def test_a_cancelled_write_still_ends_at_its_deadline(tmp_path: Path) -> None:
    """At the deadline the helper gets SIGTERM and time to restore its file."""
    helper = RewritingHelper(tmp_path, "rewriting")
    helper.hold()
    helpers = CredentialHelpers({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, deadline_s=3)
    writing = asyncio.create_task(helpers.store("rewriting", "ghcr.io", LOGIN))
    await _until(lambda: helper.writing)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert helper.logins == {PERSONS["ServerURL"]: PERSONS}


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_hanging_write_ends_at_its_deadline(tmp_path: Path, *, deaf: bool) -> None:
    """A helper that handles SIGTERM restores its file. A helper that ignores SIGTERM is killed."""
    helper = RewritingHelper(tmp_path, "rewriting", deaf=deaf)
    helper.hold()
    helpers = CredentialHelpers({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, deadline_s=3)
    with raises_problem(CredentialStoreFailed, match="store did not end within 3 s"):
        await helpers.store("rewriting", "ghcr.io", LOGIN)
    with pytest.raises(OSError, match="No such device"):  # no helper waits at the gate
        helper.let_go()
    assert helper.writing is deaf
    assert deaf or helper.logins == {PERSONS["ServerURL"]: PERSONS}


def test_the_systemd_unit_waits_for_a_helper_that_writes() -> None:
    """Systemd sends SIGTERM only to the agent, and waits longer than the longest write of a helper."""
    lines = (Path(__file__).parents[2] / "systemd/registry-agent@.service").read_text().splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert unit["KillMode"] == "mixed"
    assert float(unit["TimeoutStopSec"].removesuffix("s")) >= DEADLINE_S + TERMINATION_S + 5


@pytest.mark.parametrize("action", ["get", "list"])
async def test_cancellation_kills_a_get_or_list_at_once(
    helpers: CredentialHelpers, tmp_path: Path, action: str
) -> None:
    """They change nothing, so the agent need not wait for their deadline."""
    script(tmp_path, "asked", f"#!/bin/sh\necho $$ >{tmp_path}/pid\ntrap '' TERM\nexec sleep 7653\n")
    work = helpers.get("asked", "ghcr.io") if action == "get" else helpers.servers("asked")
    asking = asyncio.create_task(work)
    pid = await _until(lambda: _read(tmp_path / "pid"))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await _until(lambda: not _read(Path(f"/proc/{pid}/cmdline")))


async def test_background_jobs_of_a_helper_keep_running(helpers: CredentialHelpers, tmp_path: Path) -> None:
    """A hook may run `git push` in the background, and that writes too."""
    os.mkfifo(tmp_path / "gate")
    lines = ["#!/bin/sh", "cat >/dev/null", f"cd {tmp_path}", "{ cat gate; echo >pushed; } >/dev/null 2>&1 &", ""]
    script(tmp_path, "pushing", "\n".join(lines))
    await helpers.store("pushing", "ghcr.io", LOGIN)
    await _until(lambda: _opened(tmp_path / "gate"))
    await _until((tmp_path / "pushed").exists)


async def test_reports_a_helper_that_cannot_store(helpers: CredentialHelpers, tmp_path: Path) -> None:
    """The helper prints the same text as amazon-ecr-credential-helper."""
    script(tmp_path, "computed", "#!/bin/sh\necho not implemented; exit 1\n")
    with raises_problem(CredentialStoreFailed, match="docker-credential-computed cannot store"):
        await helpers.store("computed", "ghcr.io", LOGIN)


async def test_quotes_the_error_of_a_helper(helpers: CredentialHelpers, tmp_path: Path) -> None:
    script(tmp_path, "locked", "#!/bin/sh\necho noise >&2\nprintf 'the keychain is \\033[31mlocked\\n' >&2; exit 3\n")
    with raises_problem(
        CredentialStoreFailed, match=r"store failed with exit code 3: the keychain is  \[31mlocked"
    ) as caught:
        await helpers.store("locked", "ghcr.io", LOGIN)
    assert caught.value.hint.startswith("fix what docker-credential-locked reports, or remove locked from credsStore")


@pytest.mark.parametrize("prints", ["cat", "base64 -w0", "sed 's/.*Secret.: //'", 'echo "s3cret é"; cat >/dev/null'])
async def test_never_quotes_a_secret(tmp_path: Path, prints: str) -> None:
    """Some helpers print their input when they fail."""
    script(tmp_path, "chatty", f"#!/bin/sh\n{prints}\nexit 1\n")
    scrubber = Scrubber()
    learned = LearnedSecrets(scrubber)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    helpers = CredentialHelpers(environ, deadline_s=30, learned=learned.of, scrub=scrubber.scrub)
    with raises_problem(CredentialStoreFailed) as caught:
        await helpers.store("chatty", "ghcr.io", LOGIN)
    forms = [
        "s3cret",
        base64.b64encode("s3cret é".encode()).decode(),
        base64.b64encode("me:s3cret é".encode()).decode(),
    ]
    assert not any(form in caught.value.message for form in forms)


@pytest.mark.parametrize("output", ["nonsense", "[]", '{"Username": 1, "Secret": "x"}', "", "{" * 100_000])
async def test_an_answer_that_is_not_a_login_is_a_failure(
    helpers: CredentialHelpers, tmp_path: Path, output: str
) -> None:
    (tmp_path / "answer").write_text(output)
    script(tmp_path, "odd", f"#!/bin/sh\ncat {tmp_path}/answer\n")
    with raises_problem(CredentialStoreFailed, match="printed something that is not a login"):
        await helpers.get("odd", "ghcr.io")


async def test_an_empty_login_counts_as_no_login(helpers: CredentialHelpers, tmp_path: Path) -> None:
    script(tmp_path, "blank", f"#!/bin/sh\necho '{answer('', '')}'\n")
    assert await helpers.get("blank", "ghcr.io") is None


async def test_the_hint_names_the_directories_that_the_sandbox_closes(tmp_path: Path) -> None:
    """`pass` writes to the home directory even for a `get`, and the unit's sandbox does not allow that."""
    (tmp_path / "docker-credential-pass").write_text("#!/bin/sh\necho 'Read-only file system' >&2\nexit 1\n")
    (tmp_path / "docker-credential-pass").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/home/ada", "GNUPGHOME": "/keys"}
    helpers = CredentialHelpers(environ, unit="registry-agent@ada.service")
    with raises_problem(CredentialStoreFailed) as failure:
        await helpers.get("pass", "ghcr.io")
    assert "systemctl edit registry-agent@ada.service" in failure.value.hint
    assert "ReadWritePaths=-/home/ada/.password-store -/keys" in failure.value.hint


async def _until(condition: Callable[[], T]) -> T:
    return await asyncio.to_thread(until, "the condition of the test", condition)


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return ""


def _opened(gate: Path) -> bool:
    """Return whether a reader had opened the FIFO. Opens it and closes it again."""
    try:
        os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True

"""Docker's credential helpers, as real programs."""

import asyncio
import base64
import os
import time
from pathlib import Path

import pytest

from agent.edge.credential_helper import CredentialHelpers
from agent.model.docker_auth import Entry
from agent.model.problems.keeping import CredentialStoreFailed
from agent.model.sensitive import Sensitive
from tests.edge.helper_script import answer, good_helper, kept, script

LOGIN = Entry("me", Sensitive("s3cret é"))
TOKEN = Entry("me", Sensitive("refresh"), identity_token=True)


@pytest.fixture
def helpers(tmp_path: Path) -> CredentialHelpers:
    return CredentialHelpers({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, deadline_s=5)


async def test_a_login_is_stored_found_and_erased(helpers: CredentialHelpers, tmp_path: Path) -> None:
    """An identity token is kept under docker/cli's own user name for one."""
    store = good_helper(tmp_path, "good")
    assert await helpers.get("good", "ghcr.io") is None
    await helpers.store("good", "ghcr.io", LOGIN)
    await helpers.store("good", "acr.example", TOKEN)
    assert await helpers.get("good", "ghcr.io") == LOGIN
    assert TOKEN.same_login(await helpers.get("good", "acr.example"))
    assert kept(store)["acr.example"] == {"ServerURL": "acr.example", "Username": "<token>", "Secret": "refresh"}
    await helpers.erase("good", "ghcr.io")
    assert list(kept(store)) == ["acr.example"]


async def test_what_is_not_there_is_no_failure(helpers: CredentialHelpers, tmp_path: Path) -> None:
    """The protocol's text for it comes with exit code 1, on either stream."""
    script(tmp_path, "empty", "#!/bin/sh\necho credentials not found in native keychain; exit 1\n")
    assert await helpers.get("empty", "ghcr.io") is None
    await helpers.erase("empty", "ghcr.io")


async def test_a_missing_helper_is_named(helpers: CredentialHelpers) -> None:
    with pytest.raises(CredentialStoreFailed, match="docker-credential-absent is not on the PATH") as caught:
        await helpers.get("absent", "ghcr.io")
    assert caught.value.subject == "ghcr.io"


async def test_a_directory_that_others_write_to_is_not_searched(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    good_helper(tmp_path / "shared", "planted")
    await asyncio.to_thread((tmp_path / "shared").chmod, 0o777)
    with pytest.raises(CredentialStoreFailed, match="not on the PATH"):
        await CredentialHelpers({"PATH": str(tmp_path / "shared")}).get("planted", "ghcr.io")


@pytest.mark.parametrize("name", ["../evil", "a b", "x;y", "", "\x1b[31m"])
async def test_only_plain_names_are_run(helpers: CredentialHelpers, tmp_path: Path, name: str) -> None:
    """The name comes from config.json, which anybody may have written."""
    (tmp_path / "docker-credential-..").mkdir()
    good_helper(tmp_path, "../evil")
    with pytest.raises(CredentialStoreFailed, match="no program's name"):
        await helpers.get(name, "ghcr.io")


async def test_a_hanging_helper_is_killed_with_its_children(tmp_path: Path) -> None:
    script(tmp_path, "hung", "#!/bin/sh\nsleep 1000 & wait\n")
    helpers = CredentialHelpers({"PATH": f"{tmp_path}:{os.environ['PATH']}"}, deadline_s=0.2)
    begun = time.monotonic()
    with pytest.raises(CredentialStoreFailed, match=r"store did not end within 0\.2 s"):
        await helpers.store("hung", "ghcr.io", LOGIN)
    assert time.monotonic() - begun < 100


async def test_a_helper_that_cannot_store_is_told_apart(helpers: CredentialHelpers, tmp_path: Path) -> None:
    """As amazon-ecr-credential-helper says it."""
    script(tmp_path, "computed", "#!/bin/sh\necho not implemented; exit 1\n")
    with pytest.raises(CredentialStoreFailed, match="docker-credential-computed cannot store"):
        await helpers.store("computed", "ghcr.io", LOGIN)


async def test_a_failure_is_quoted(helpers: CredentialHelpers, tmp_path: Path) -> None:
    script(tmp_path, "locked", "#!/bin/sh\necho noise >&2\nprintf 'the keychain is \\033[31mlocked\\n' >&2; exit 3\n")
    with pytest.raises(CredentialStoreFailed, match=r"store failed with exit code 3: the keychain is  \[31mlocked"):
        await helpers.store("locked", "ghcr.io", LOGIN)


@pytest.mark.parametrize("prints", ["cat", "base64 -w0", "sed 's/.*Secret.: //'", 'echo "s3cret é"; cat >/dev/null'])
async def test_a_failure_never_quotes_a_secret(helpers: CredentialHelpers, tmp_path: Path, prints: str) -> None:
    """Some helpers print what they were given."""
    script(tmp_path, "chatty", f"#!/bin/sh\n{prints}\nexit 1\n")
    with pytest.raises(CredentialStoreFailed) as caught:
        await helpers.store("chatty", "ghcr.io", LOGIN)
    forms = [
        "s3cret",
        base64.b64encode("s3cret é".encode()).decode(),
        base64.b64encode("me:s3cret é".encode()).decode(),
    ]
    assert not any(form in caught.value.message for form in forms)


@pytest.mark.parametrize("output", ["nonsense", "[]", '{"Username": 1, "Secret": "x"}', "", "{" * 100_000])
async def test_an_answer_that_is_no_login_is_a_failure(helpers: CredentialHelpers, tmp_path: Path, output: str) -> None:
    (tmp_path / "answer").write_text(output)
    script(tmp_path, "odd", f"#!/bin/sh\ncat {tmp_path}/answer\n")
    with pytest.raises(CredentialStoreFailed, match="an answer that is no login"):
        await helpers.get("odd", "ghcr.io")


async def test_an_empty_login_is_none(helpers: CredentialHelpers, tmp_path: Path) -> None:
    script(tmp_path, "blank", f"#!/bin/sh\necho '{answer('', '')}'\n")
    assert await helpers.get("blank", "ghcr.io") is None


async def test_in_a_unit_the_hint_names_what_its_sandbox_closes(tmp_path: Path) -> None:
    """`pass` writes into the home directory even to read; the unit lets nobody do that unasked."""
    (tmp_path / "docker-credential-pass").write_text("#!/bin/sh\necho 'Read-only file system' >&2\nexit 1\n")
    (tmp_path / "docker-credential-pass").chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/home/ada", "GNUPGHOME": "/keys"}
    helpers = CredentialHelpers(environ, unit="registry-agent@ada.service")
    with pytest.raises(CredentialStoreFailed) as failure:
        await helpers.get("pass", "ghcr.io")
    assert "systemctl edit registry-agent@ada.service" in failure.value.hint
    assert "ReadWritePaths=-/home/ada/.password-store -/keys" in failure.value.hint

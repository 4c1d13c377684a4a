"""A login without an end is known again at the next start, if it comes from the same source and was not refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.edge.state_file import StateFile
from agent.model.docker_config import Entry
from agent.model.login_events import Checked, Event, Failed, Refused, Succeeded
from agent.model.plan import Login
from agent.model.problems.password_source import CredentialCommandFailed
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.sensitive import Sensitive
from agent.services.endless_logins import EndlessLogins
from agent.services.login_hashes import LoginHashes
from tests.services.login_fakes import plan

HOST = "registry.example.com"
SOON = timedelta(minutes=1)
WRONG = LoginRejected(HOST, "wrong")
END = datetime(2026, 1, 1, tzinfo=UTC)


def login(**fields: object) -> Login:
    secret = {"name": "team", "hostname": HOST, "username": "ada", "password_command": ["vault", "read"]}
    return plan({name: value for name, value in (secret | fields).items() if value is not None}).logins[0]


Restart = Callable[[], StateFile]


@pytest.fixture
def restart(tmp_path: Path) -> Restart:
    return lambda: StateFile.loaded(tmp_path / "state", tmp_path / ".docker")


async def store(state: StateFile, password: str, ends: datetime | None = None) -> None:
    """Store a login, as the credential store does."""
    entry = Entry("ada", Sensitive(password))
    hashes = LoginHashes(state, has_ended=lambda _: False)
    await hashes.record_before(login().registry, entry, ends)
    await hashes.record_after(login().registry, entry, ends)


async def stored_and_noted(restart: Restart, *outcomes: Event) -> EndlessLogins:
    """Store a login, note what happened to it, and start again."""
    state = restart()
    await store(state, "first")
    for outcome in (Succeeded(), *outcomes):
        EndlessLogins(state).note(login(), outcome)
    await state.flush()
    return EndlessLogins(restart())


@pytest.mark.parametrize(
    "outcome",
    [
        Succeeded(),
        Checked(SOON),
        Failed(CredentialCommandFailed(HOST, "it failed"), SOON),
        Failed(RegistryUnreachable(HOST, "down"), SOON),
    ],
    ids=["renewed", "checked", "source fails", "registry is down"],
)
async def test_a_login_from_the_same_source_may_still_work(restart: Restart, outcome: Event) -> None:
    """A new name of the secret changes nothing, and neither does a failure that says nothing about the login."""
    endless = await stored_and_noted(restart, outcome)
    assert endless.may_work(login())
    assert endless.may_work(login(name="renamed"))


@pytest.mark.parametrize(
    "changed",
    [
        {"password_command": ["vault", "read", "other"]},
        {"password_command": None, "password_file": "/run/token"},
        {"username": "bob"},
        {"expires_in_s": 60},
        {"password_command": None, "password": "first"},
    ],
    ids=["command", "file", "user", "life", "password"],
)
async def test_a_login_from_another_source_does_not_count(restart: Restart, changed: dict[str, object]) -> None:
    """The changed secret may have another password."""
    assert not (await stored_and_noted(restart)).may_work(login(**changed))


@pytest.mark.parametrize(
    "outcome",
    [Refused(WRONG, SOON), Checked(SOON, log_in_again=True), Failed(WRONG, SOON)],
    ids=["login", "token", "new password"],
)
async def test_a_login_does_not_count_once_the_registry_has_refused_one_of_its_source(
    restart: Restart, outcome: Event
) -> None:
    """Until the next login succeeds."""
    assert not (await stored_and_noted(restart, outcome)).may_work(login())
    assert (await stored_and_noted(restart, outcome, Succeeded())).may_work(login())


@pytest.mark.parametrize("ends", [None, END])
async def test_only_the_login_that_succeeded_counts(restart: Restart, ends: datetime | None) -> None:
    """A kill can come after the next login is stored, and before it is noted. Another login may have an end."""
    await stored_and_noted(restart)
    state = restart()
    await store(state, "second", ends)
    await state.flush()
    assert not EndlessLogins(restart()).may_work(login())

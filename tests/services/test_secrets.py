"""All sources together: what they return, when a change is noticed, and what a source that fails keeps."""

import asyncio
import contextlib
import json
import shutil
import threading
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge import secret_files
from agent.model.plan import SecretSet
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_environment import read_environment
from agent.model.secret_formats import FetchResult, ParseResult, read_answer
from agent.services import secret_sources
from agent.services.secrets import Secrets
from agent.settings import ReportSettings, SecretsSettings, Settings, StatusSettings
from tests.fakes import ClockedFileWatcher, FakeClock, FakeLog
from tests.rig.waiting import PATIENCE_S, eventually

if TYPE_CHECKING:
    from agent.services.ports import SecretFiles

URL = "https://secrets.example.com/"
LONGER_THAN_A_READING_S = 1.0
"""A working directory is read within this time. Only a directory that hangs takes longer."""


def item(name: str, **fields: object) -> dict[str, object]:
    return {"name": name, "hostname": "ghcr.io", "username": "bot", "password": f"password-of-{name}", **fields}


class FakeAddress:
    """Returns `answer`. None means that it never answers."""

    def __init__(self) -> None:
        self.answer: str | SecretsUnavailable | None = '{"secrets": []}'
        self.asked: list[tuple[str, str | None]] = []
        self.token_files: list[Path | None] = []

    async def fetch(self, url: str, token_file: Path | None, etag: str | None) -> FetchResult:
        self.asked.append((url, etag))
        self.token_files.append(token_file)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, SecretsUnavailable):
            raise ProblemError(self.answer)
        new = f'"{self.answer}"'
        return FetchResult(None if etag == new else read_answer(str(self.answer), url), new)


class Record:
    """Board, scrubber and consumer in one, to record the order of their calls."""

    def __init__(self) -> None:
        self.open: dict[str, list[tuple[str, str]]] = {}
        self.reports = 0
        self.protected: set[str] = set()
        self.published: list[list[str]] = []
        self.complete: list[bool] = []
        self.ok: list[bool] = []
        self.order: list[str] = []

    def report(self, owner: str, problems: Iterable[Problem] = (), *, repeat: bool = True) -> None:
        assert repeat, "Secrets reports only what differs"
        self.reports += 1
        self.order.append("report")
        self.open[owner] = [(problem.code, problem.message) for problem in problems]

    def protect(self, values: Iterable[str]) -> None:
        self.order.append("protect")
        self.protected = set(values)

    def on_change(self, found: SecretSet) -> None:
        self.order.append("change")
        self.published.append([secret.name for secret in found.secrets])
        self.complete.append(found.complete)
        self.ok.append(found.all_sources_ok)

    @property
    def codes(self) -> list[str]:
        return sorted(code for problems in self.open.values() for code, _ in problems)


class Bench:
    """The service on a real directory, with a clock that moves only on request."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.settings = Settings(secrets=replace(SecretsSettings(directories=(directory,)), **settings))  # type: ignore[arg-type]
        self.clock = FakeClock()
        self.record = Record()
        self.log = FakeLog()
        self.address = FakeAddress()
        self.files: SecretFiles = secret_files
        self.watcher = ClockedFileWatcher(self.clock)
        self.environment = ParseResult()
        self.credentials: Path | None = None
        self.identity_files: tuple[Path, ...] = ()
        self.jitter = 0.0
        self.secrets: Secrets

    def write(self, name: str, value: object) -> None:
        (self.directory / name).write_text(value if isinstance(value, str) else json.dumps(value))

    def build(self) -> Secrets:
        self.secrets = Secrets(
            settings=lambda: self.settings,
            clock=self.clock,
            board=self.record,
            log=self.log,
            protect=self.record.protect,
            files=self.files,
            fetch=self.address.fetch,
            environment=self.environment,
            credentials_directory=self.credentials,
            identity_files=self.identity_files,
            jitter=lambda: self.jitter,
            watcher=self.watcher,
            on_change=self.record.on_change,
        )
        return self.secrets

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.build().run())
        await self.quiet()
        yield
        assert not task.done(), task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def quiet(self) -> None:
        """Wait until both loops and all watches wait for the clock. Directories are read in threads."""
        await eventually(lambda: self.clock.waiting >= 2 + self.watcher.watches)

    async def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.clock.advance(1)
            await self.quiet()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """On a busy machine, a working directory can take longer than the agent would wait."""
    monkeypatch.setattr(secret_sources, "_PATIENCE_S", PATIENCE_S)
    return Bench(tmp_path)


async def test_the_first_result_is_published_even_if_it_is_empty(bench: Bench) -> None:
    """Otherwise the agent would wait for secrets that never come."""
    async with bench.running():
        assert bench.record.published == [[]]
        await bench.pass_seconds(5)
        assert bench.record.published == [[]]


async def test_all_sources_are_merged(bench: Bench, tmp_path: Path) -> None:
    """Directories, systemd's credentials, the environment and `secrets.url`."""
    bench.credentials = tmp_path / "credentials"
    bench.credentials.mkdir()
    (bench.credentials / "a.json").write_text(json.dumps(item("from-systemd")))
    bench.write("a.json", item("from-file"))
    bench.environment = read_environment({"REGISTRY_AGENT_SECRETS": json.dumps(item("from-variable"))})
    bench.address.answer = json.dumps({"secrets": [item("from-url")]})
    bench.settings = replace(bench.settings, secrets=replace(bench.settings.secrets, url=URL))
    async with bench.running():
        assert [sorted(names) for names in bench.record.published] == [
            ["from-file", "from-systemd", "from-url", "from-variable"]
        ]


async def test_a_token_file_of_the_settings_is_no_bad_secret(bench: Bench, tmp_path: Path) -> None:
    """It may be in the same directory, such as that of systemd's credentials. Any other token is reported."""
    for name in ("status-token", "report-token", "forgotten-token"):
        (tmp_path / name).write_text("a bearer token")
    status, report = (
        StatusSettings(token_file=tmp_path / "status-token"),
        ReportSettings(token_file=tmp_path / "report-token"),
    )
    bench.settings = replace(bench.settings, status=status, report=report)
    async with bench.running():
        ((_, message),) = (problem for problems in bench.record.open.values() for problem in problems)
        assert message.startswith(str(tmp_path / "forgotten-token"))


async def test_a_subdirectory_that_cannot_be_read_keeps_its_secrets(bench: Bench, tmp_path: Path) -> None:
    """Both files of their own and fields. Once it is gone, they are gone too."""
    team = tmp_path / "team"
    team.mkdir()
    (team / "a.json").write_text(json.dumps(item("one")))
    for name, content in {"hostname": "quay.io", "username": "bot", "password": "p"}.items():
        (team / name).write_text(content)
    async with bench.running():
        assert sorted(bench.record.published[-1]) == ["one", "team-quay.io"]
        shutil.rmtree(team)
        team.symlink_to(team)
        await bench.pass_seconds(2)
        assert (bench.record.published[1:], bench.record.codes) == ([], ["secret_invalid"])
        team.unlink()
        await bench.pass_seconds(2)
        assert (bench.record.published[-1], bench.record.codes) == ([], [])


async def test_a_change_is_published_within_two_seconds_and_once(bench: Bench) -> None:
    """A new file, new content, a removed file."""
    async with bench.running():
        bench.write("a.json", item("one"))
        await bench.pass_seconds(2)
        assert bench.record.published == [[], ["one"]]
        bench.write("a.json", item("one", password="another password"))
        await bench.pass_seconds(2)
        assert bench.record.published == [[], ["one"], ["one"]]
        (bench.directory / "a.json").unlink()
        await bench.pass_seconds(4)
        assert bench.record.published == [[], ["one"], ["one"], []]
    changes = [fields for _, event, fields in bench.log.events if event == "secrets.changed"]
    subject = f"{bench.directory}/a.json#one"
    assert changes == [
        {"added": [subject], "removed": [], "changed": []},
        {"added": [], "removed": [], "changed": [subject]},
        {"added": [], "removed": [subject], "changed": []},
    ]


@pytest.mark.parametrize("password_file", ["team/password", "/team//password", "password", "link/team/password"])
async def test_the_password_file_of_a_secret_is_no_bad_secret(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, password_file: str
) -> None:
    """Also with the name of a field, in a mounted Secret of user and password, and under another name or link."""
    (bench.directory / "team").mkdir()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "link").symlink_to(bench.directory)
    for name in ("team/username", "team/password", "password"):
        bench.write(name, "p")
    used = {
        **item("one"),
        "password_file": f"{elsewhere if 'link' in password_file else bench.directory}/{password_file}",
    }
    del used["password"]
    bench.write("a.json", used)
    other = "password" if "team" in password_file else "team/password"
    async with bench.running():
        reported = [message for _, message in bench.record.open[f"secrets:{bench.directory}"]]
        assert len(reported) == 1
        (bench.directory / other).unlink()
        (bench.directory / other).with_name("username").unlink(missing_ok=True)
        await bench.pass_seconds(1)
        assert (bench.record.codes, bench.record.ok[-1]) == ([], True)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        {"token": "p", "expires_at": "2030-01-01T00:00:00Z"},
        {"username": "bot", "password": "p", "expires_in": 3600},
        {"access_token": "p", "expires_in": 3600},
        {"Username": "bot", "Secret": "p"},
    ],
)
async def test_a_password_file_with_json_is_no_bad_secret(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, content: object, link: bool
) -> None:
    """In each form that a password file may have. So is a token file of the settings, but no other file."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "link"
    elsewhere.symlink_to(bench.directory)
    directory = elsewhere if link else bench.directory
    for name in ("ghcr-token.json", "status-token.json", "other.json"):
        bench.write(name, content)
    bench.settings = replace(bench.settings, status=StatusSettings(token_file=directory / "status-token.json"))
    bench.write("a.json", item("one", password=None, password_file=f"{directory}/ghcr-token.json"))
    async with bench.running():
        ((_, message),) = bench.record.open[f"secrets:{bench.directory}"]
        assert message.startswith(f"secret other of {bench.directory}/other.json: ")
        (bench.directory / "other.json").unlink()
        await bench.pass_seconds(1)
        assert (bench.record.codes, bench.record.ok[-1]) == ([], True)


async def test_a_file_that_a_variable_names_is_no_bad_secret(bench: Bench) -> None:
    """The hint about a Google credential file asks for this variable, so the warning must clear then."""
    bench.write("google.json", {"type": "authorized_user"})
    bench.identity_files = (bench.directory / "google.json",)
    async with bench.running():
        assert bench.record.codes == []


async def test_a_path_that_leads_nowhere_ends_nothing(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A relative path in a variable means nothing once the working directory is removed."""
    bench.write("broken.json", "{")
    bench.identity_files = (Path("aws/config"),)
    removed = tmp_path_factory.mktemp("removed")
    with contextlib.chdir(removed):
        removed.rmdir()
        async with bench.running():
            assert bench.record.codes == ["secret_invalid"]


class CountingFiles:
    """The real directory, and how often its files were read. `blind` hides all changes."""

    def __init__(self) -> None:
        self.reads = 0
        self.blind = False

    def signature(self, directory: Path) -> Hashable:
        return "same" if self.blind else secret_files.signature(directory)

    def directories(self, directory: Path) -> Iterable[Path]:
        return secret_files.directories(directory)

    def read(self, directory: Path) -> Mapping[str, ParseResult]:
        self.reads += 1
        return secret_files.read(directory)

    def same_files(self, subjects: Iterable[str], used: Iterable[str | Path]) -> Iterable[str]:
        return secret_files.same_files(subjects, used)


async def test_an_unchanged_directory_is_not_read_again(bench: Bench) -> None:
    """It is read once more after each change, then only its signature is checked. `wake` reads it again."""
    bench.files = files = CountingFiles()
    async with bench.running():
        await bench.pass_seconds(10)
        assert files.reads == 2
        bench.secrets.wake()
        await bench.clock.settle()
        await bench.pass_seconds(1)
        assert files.reads == 3


async def test_a_second_write_in_the_same_tick_is_not_missed(bench: Bench) -> None:
    """The file system's clock may be too coarse to distinguish the two writes."""
    bench.files = files = CountingFiles()
    files.blind = True
    bench.write("a.json", item("one"))
    async with bench.running():
        bench.write("a.json", item("two"))
        await bench.pass_seconds(1)
        assert bench.record.published == [["one"], ["two"]]


async def test_a_half_written_file_keeps_its_last_secrets(bench: Bench) -> None:
    """It is reported once as invalid, and its last secrets stay in use."""
    bench.write("a.json", item("one"))
    bench.write("b.json", item("two"))
    async with bench.running():
        bench.write("a.json", '{"name": "o')
        await bench.pass_seconds(5)
        assert bench.record.published == [["one", "two"]]
        assert bench.record.codes == ["secret_invalid"]
        assert bench.record.reports == 1
        bench.write("a.json", item("new"))
        await bench.pass_seconds(2)
        assert bench.record.published == [["one", "two"], ["new", "two"]]
        assert bench.record.codes == []


@pytest.mark.parametrize("source", ["object", "list", "subdirectory", "url"])
async def test_a_secret_with_a_typo_keeps_its_last_value(bench: Bench, source: str) -> None:
    """In every form. It is reported as invalid, and nothing is published: no login changes."""

    def put(**fields: object) -> None:
        value = item("one", **fields)
        if source == "url":
            bench.address.answer = json.dumps({"secrets": [value]})
        elif source == "subdirectory":
            (bench.directory / "one").mkdir(exist_ok=True)
            for name, content in value.items():
                bench.write(f"one/{name}", str(content))
        else:
            bench.write("a.json", [value] if source == "list" else value)

    if source == "url":
        bench.settings = replace(bench.settings, secrets=replace(bench.settings.secrets, url=URL))
    put()
    async with bench.running():
        assert (bench.record.published, bench.record.codes) == ([["one"]], [])
        put(scope="everybody")
        await bench.pass_seconds(65)
        assert (bench.record.published, bench.record.codes) == ([["one"]], ["secret_invalid"])
        put(scope="user")
        await bench.pass_seconds(65)
        assert (bench.record.published, bench.record.codes) == ([["one"], ["one"]], [])


async def test_a_directory_that_cannot_be_listed_keeps_its_secrets(bench: Bench, tmp_path: Path) -> None:
    """It is reported once as unavailable. A directory that does not exist is empty."""
    bench.directory = tmp_path / "secrets"
    bench.directory.mkdir()
    bench.settings = Settings(secrets=SecretsSettings(directories=(bench.directory,)))
    bench.write("a.json", item("one"))
    async with bench.running():
        bench.directory.rename(tmp_path / "aside")
        bench.directory.write_text("a file instead of the directory")
        await bench.pass_seconds(3)
        assert (bench.record.published, bench.record.codes) == ([["one"]], ["secrets_unavailable"])
        assert bench.record.reports == 1
        bench.directory.unlink()
        await bench.pass_seconds(1)
        assert (bench.record.published, bench.record.codes) == ([["one"], []], [])


class HangingFiles(CountingFiles):
    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.hanging: Path | None = None
        self.hung = 0

    def signature(self, directory: Path) -> Hashable:
        # The watcher of these tests runs in the loop. The real one checks each directory in a thread of its own.
        if directory == self.hanging and threading.current_thread() is not threading.main_thread():
            self.hung += 1
            self.go_on.wait()
        return super().signature(directory)


async def test_a_file_system_that_hangs_is_read_once_and_delays_no_other(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are used at once, at the start and after changes. It is reported, and used again once it answers."""
    monkeypatch.setattr(secret_sources, "_PATIENCE_S", LONGER_THAN_A_READING_S)
    bench.files = files = HangingFiles()
    files.hanging = tmp_path / "nfs"
    bench.settings = Settings(secrets=SecretsSettings(directories=(files.hanging, bench.directory)))
    bench.write("a.json", item("one"))
    try:
        async with bench.running():
            assert (bench.record.published, bench.record.complete) == ([["one"]], [False])
            bench.write("a.json", item("two"))
            await bench.pass_seconds(1)
            assert (bench.record.published, bench.record.complete) == ([["one"], ["two"]], [False, False])
            assert bench.record.codes == []
            monkeypatch.setattr(secret_sources, "_DEADLINE_S", 0)
            await bench.pass_seconds(1)
            assert (bench.record.complete[-1], bench.record.codes) == (True, ["secrets_unavailable"])
            bench.write("a.json", item("three"))
            await bench.pass_seconds(1)
            assert bench.record.published[-1] == ["three"]
            asked, files.hanging = files.hung, None
            files.go_on.set()
            await bench.pass_seconds(2)
            assert (asked, bench.record.codes) == (1, [])
    finally:
        files.go_on.set()


async def test_new_directories_that_hang_remove_no_secrets(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reload, the old directories stay until the new ones have answered."""
    monkeypatch.setattr(secret_sources, "_PATIENCE_S", LONGER_THAN_A_READING_S)
    bench.files = files = HangingFiles()
    files.hanging = tmp_path_factory.mktemp("nfs")
    (files.hanging / "b.json").write_text(json.dumps(item("two")))
    bench.write("a.json", item("one"))
    try:
        async with bench.running():
            bench.settings = Settings(secrets=SecretsSettings(directories=(files.hanging,)))
            bench.secrets.wake()
            await bench.pass_seconds(2)
            assert bench.record.published[-1] == ["one"]
            files.go_on.set()
            await bench.pass_seconds(2)
            assert bench.record.published[-1] == ["two"]
    finally:
        files.go_on.set()


class FailingFiles(CountingFiles):
    """Reading fails twice, although nothing in the directory changes."""

    def read(self, directory: Path) -> Mapping[str, ParseResult]:
        self.reads += 1
        if self.reads <= 2:
            raise ProblemError(SecretsUnavailable(str(directory), "too many open files"))
        return secret_files.read(directory)


async def test_a_failed_reading_is_repeated_although_nothing_changes(bench: Bench) -> None:
    """The file watcher reports nothing."""
    bench.files = FailingFiles()
    bench.write("a.json", item("one"))
    async with bench.running():
        assert bench.record.codes == ["secrets_unavailable"]
        async with asyncio.timeout(PATIENCE_S):
            while bench.record.codes:
                await bench.pass_seconds(1)
        assert bench.record.published[-1] == ["one"]


class BrokenFiles(CountingFiles):
    def read(self, directory: Path) -> Mapping[str, ParseResult]:
        raise RuntimeError(f"hunter2 {directory}")


async def test_a_bug_does_not_end_the_agent(bench: Bench) -> None:
    """Only the type of the error is reported, because its text might quote a file."""
    bench.files = BrokenFiles()
    async with bench.running():
        assert bench.record.published == [[]]
        ((_, message),) = next(iter(bench.record.open.values()))
        assert "RuntimeError" in message
        assert "hunter2" not in message


async def test_secrets_are_masked_before_they_are_published(bench: Bench) -> None:
    """Passwords and session tokens are masked first. Replaced ones stay masked until the next change."""
    bench.write("a.json", [item("one", session_token="token-1"), {"name": "bad"}])
    async with bench.running():
        assert bench.record.order == ["protect", "report", "change"]
        assert bench.record.protected == {"password-of-one", "token-1"}
        bench.write("a.json", item("two"))
        await bench.pass_seconds(2)
        assert bench.record.protected == {"password-of-one", "token-1", "password-of-two"}
        bench.write("a.json", item("three"))
        await bench.pass_seconds(2)
        assert bench.record.protected == {"password-of-two", "password-of-three"}


async def test_the_environment_can_be_turned_off(bench: Bench) -> None:
    """Its problems clear too."""
    bench.environment = read_environment({"REGISTRY_AGENT_SECRETS": json.dumps([item("one"), 7])})
    async with bench.running():
        assert (bench.record.published, bench.record.codes) == ([["one"]], ["secret_invalid"])
        bench.settings = Settings(secrets=replace(bench.settings.secrets, environment=False))
        bench.secrets.wake()
        await bench.pass_seconds(1)
        assert (bench.record.published, bench.record.codes) == ([["one"], []], [])


async def test_a_reload_replaces_the_directories(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The secrets and the problems of an old directory disappear."""
    bench.write("a.json", [item("one"), 7])
    other = tmp_path_factory.mktemp("other")
    (other / "b.json").write_text(json.dumps(item("two")))
    async with bench.running():
        bench.settings = Settings(secrets=SecretsSettings(directories=(other,)))
        bench.secrets.wake()
        await bench.clock.settle()
        await bench.pass_seconds(1)
        assert (bench.record.published, bench.record.codes) == ([["one"], ["two"]], [])


@pytest.fixture
def url_bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, url=URL)
    bench.address.answer = json.dumps({"secrets": [item("one")]})
    return bench


async def test_the_url_is_polled(url_bench: Bench) -> None:
    """Once a minute, with the last ETag. A new answer is published."""
    async with url_bench.running():
        assert url_bench.record.published == [["one"]]
        await url_bench.pass_seconds(61)
        assert [etag is None for _, etag in url_bench.address.asked] == [True, False]
        url_bench.address.answer = json.dumps({"secrets": [item("two")]})
        await url_bench.pass_seconds(60)
        assert url_bench.record.published == [["one"], ["two"]]


async def test_a_slow_url_delays_the_first_result_by_at_most_two_seconds(url_bench: Bench) -> None:
    """After that, the secrets from directories are used without it."""
    url_bench.write("a.json", item("from-file"))
    url_bench.address.answer = None
    task = asyncio.create_task(url_bench.build().run())
    await eventually(lambda: url_bench.clock.waiting)
    await url_bench.clock.advance(1.9)
    assert url_bench.record.published == []
    await url_bench.clock.advance(0.2)
    assert url_bench.record.published == [["from-file"]]
    assert url_bench.record.complete == [False]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_url_that_fails_keeps_its_secrets_and_is_retried_sooner(url_bench: Bench) -> None:
    """When it works again, its warning clears. The warning about an invalid item stays."""
    url_bench.address.answer = good = json.dumps({"secrets": [item("one"), 7]})
    async with url_bench.running():
        assert url_bench.record.codes == ["secret_invalid"]
        url_bench.address.answer = SecretsUnavailable(URL, "down")
        await url_bench.pass_seconds(75)
        failed = len(url_bench.address.asked) - 1
        assert failed >= 3
        assert url_bench.record.published == [["one"]]
        assert url_bench.record.codes == ["secret_invalid", "secrets_unavailable"]
        url_bench.address.answer = good
        await url_bench.pass_seconds(61)
        assert url_bench.record.codes == ["secret_invalid"]
        assert url_bench.record.published == [["one"]]


async def test_a_source_that_recovers_without_a_secret_is_published(url_bench: Bench) -> None:
    """Only then is it known that older secrets are gone. A later failure that ends is not published."""
    url_bench.address.answer = SecretsUnavailable(URL, "down")
    async with url_bench.running():
        assert (url_bench.record.published, url_bench.record.ok) == ([[]], [False])
        url_bench.address.answer = '{"secrets": []}'
        await url_bench.pass_seconds(61)
        assert (url_bench.record.published, url_bench.record.ok) == ([[], []], [False, True])
        url_bench.address.answer = SecretsUnavailable(URL, "down")
        await url_bench.pass_seconds(61)
        url_bench.address.answer = '{"secrets": []}'
        await url_bench.pass_seconds(61)
        assert url_bench.record.ok == [False, True]


async def test_wake_polls_the_url_at_once(url_bench: Bench) -> None:
    """Also during the wait after a failure. Secrets of the old URL stay until no URL is set; its ETag is not reused."""
    async with url_bench.running():
        other = "https://other.example.com/"
        url_bench.address.answer = SecretsUnavailable(other, "down")
        url_bench.settings = Settings(secrets=replace(url_bench.settings.secrets, url=other))
        url_bench.secrets.wake()
        await url_bench.clock.settle()
        await url_bench.quiet()
        assert url_bench.address.asked[1] == (other, None)
        assert url_bench.record.published == [["one"]]
        url_bench.settings = Settings(secrets=replace(url_bench.settings.secrets, url=None))
        url_bench.secrets.wake()
        await url_bench.clock.settle()
        await url_bench.quiet()
        assert len(url_bench.address.asked) == 2
        assert url_bench.record.published == [["one"], []]
        assert url_bench.record.codes == []


async def test_read_once_reads_every_source(url_bench: Bench) -> None:
    """Each source is read once, failures are reported, and the secrets are returned instead of published."""
    url_bench.write("a.json", [item("from-file"), 7])
    found = await url_bench.build().read_once()
    assert found.complete
    assert sorted(secret.name for secret in found.secrets) == ["from-file", "one"]
    assert url_bench.record.protected == {"password-of-from-file", "password-of-one"}
    url_bench.address.answer = SecretsUnavailable(URL, "down")
    found = await url_bench.build().read_once()
    assert not found.all_sources_ok
    assert [secret.name for secret in found.secrets] == ["from-file"]
    assert url_bench.record.codes == ["secret_invalid", "secrets_unavailable"]
    assert url_bench.record.published == []


@pytest.mark.parametrize(("number", "length"), [(50, 4000), (500, 8)])
async def test_very_many_secrets_are_prepared_for_masking_in_a_thread(
    url_bench: Bench, number: int, length: int
) -> None:
    """Long ones, and short ones. The event loop goes on meanwhile, and the secrets are published only after that."""
    url_bench.write(
        "many.json",
        [{**item(f"many-{each}"), "password": f"{each:04}" * (length // 4)} for each in range(number)],
    )
    record, threads = url_bench.record, []

    def protect(values: Iterable[str]) -> None:
        threads.append(threading.current_thread())
        Record.protect(record, values)

    record.protect = protect  # type: ignore[method-assign]  # it also records the thread
    found = await url_bench.build().read_once()
    assert len(found.secrets) == len(record.protected) == number + 1, "one is from the URL"
    assert threading.main_thread() not in threads


async def test_very_many_secrets_are_masked_although_no_thread_can_be_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on processes must neither end the agent nor let an unknown secret into the log."""
    many = [{**item(f"many-{each}"), "password": f"{each:08}"} for each in range(500)]
    bench.environment = read_environment({"REGISTRY_AGENT_SECRETS": json.dumps(many)})

    def full(*_: object) -> None:
        raise NoThreadError

    monkeypatch.setattr(BlockingCalls, "submit", full)
    found = await bench.build().read_once()
    assert len(found.secrets) == len(bench.record.protected) == len(many)

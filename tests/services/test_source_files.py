"""The watch on the files of token sources: each change of a file is reported for the source that reads it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.edge.source_files import files_of, signature_of
from agent.model.password_source import PasswordSource
from agent.model.plan import Plan
from agent.services.source_files import SourceFiles
from tests.fakes import ClockedFileWatcher, FakeClock
from tests.rig.waiting import eventually
from tests.services.login_fakes import plan

ENVIRON: dict[str, str] = {}


def planned(**fields: object) -> tuple[Plan, PasswordSource]:
    made = plan({"name": "team", "hostname": "registry.example.com", "username": "ada", **fields})
    source = made.logins[0].source
    assert isinstance(source, PasswordSource)
    return made, source


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.watcher = ClockedFileWatcher(self.clock)
        self.changed: list[object] = []
        self.files = SourceFiles(
            self.watcher, lambda source: files_of(source, ENVIRON), signature_of, self.changed.append
        )

    async def follow(self, made: Plan, watches: int = 1) -> None:
        """Follow the plan, until each file was looked at once."""
        self.files.follow(made)
        await eventually(lambda: self.watcher.watches == watches and self.clock.waiting >= watches)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.create_task(bench.files.run())
    yield bench
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bench.watcher.close()


async def test_a_replaced_file_is_reported_through_the_links_of_kubernetes(bench: Bench, tmp_path: Path) -> None:
    """Nothing is reported while it stays the same."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(version)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "token").symlink_to("..data/token")
    made, source = planned(password_file=str(tmp_path / "token"))
    await bench.follow(made)
    await bench.clock.advance(10)
    assert bench.changed == []
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    await bench.clock.advance(10)
    assert bench.changed == [source]


async def test_a_file_may_appear_later(bench: Bench, tmp_path: Path) -> None:
    """A platform may write it after the agent has started."""
    made, source = planned(password_file=str(tmp_path / "later"))
    await bench.follow(made)
    (tmp_path / "later").write_text("right")
    await bench.clock.advance(10)
    assert bench.changed == [source]


@pytest.mark.parametrize(
    ("hostname", "changes"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", ".aws/sso/cache/0a1b.json"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", ".aws/config"),
        ("europe-docker.pkg.dev", ".config/gcloud/application_default_credentials.json"),
    ],
)
async def test_a_new_login_to_a_cloud_is_noticed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostname: str, changes: str
) -> None:
    """The tool of the cloud writes its result into a file, also over an older one."""
    monkeypatch.setitem(ENVIRON, "HOME", str(tmp_path))
    made = plan({"name": "team", "hostname": hostname, "username": "runner-native"})
    await bench.follow(made)
    file = tmp_path / changes
    for number, content in enumerate(("old", "newer"), 1):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        await bench.clock.advance(10)
        assert bench.changed == [made.logins[0].source] * number


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize("written", ["~/elsewhere/team", "$HOME/elsewhere/team"])
async def test_a_file_of_aws_is_watched_where_the_sdk_reads_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, written: str
) -> None:
    """The SDK expands `~` and variables in its path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(ENVIRON, "HOME", str(tmp_path))
    monkeypatch.setitem(ENVIRON, variable, written)
    hostname = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    made = plan({"name": "team", "hostname": hostname, "username": "runner-native"})
    await bench.follow(made)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/team").write_text("[default]\n")
    await bench.clock.advance(10)
    assert bench.changed == [made.logins[0].source]


async def test_only_files_of_the_current_plan_are_watched(bench: Bench, tmp_path: Path) -> None:
    """Commands have no file. A secret that is removed needs no watch."""
    await bench.follow(planned(password_file=str(tmp_path / "token"))[0])
    await bench.follow(planned(password_command=["true"])[0], watches=0)
    (tmp_path / "token").write_text("right")
    await bench.clock.advance(10)
    assert bench.changed == []

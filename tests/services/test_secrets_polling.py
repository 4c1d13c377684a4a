"""When `secrets.url` is asked, and what each source reports."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_environment import read_environment
from agent.settings import RetrySettings, SecretsSettings
from tests.services.test_secrets import URL, Bench, item


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, url=URL)
    bench.address.answer = json.dumps({"secrets": [item("one")]})
    return bench


@pytest.mark.parametrize(("jitter", "wait_s"), [(1.0, 66), (0.0, 60), (-1.0, 54), (0.5, 63)])
async def test_polls_are_spread_by_a_tenth(bench: Bench, jitter: float, wait_s: int) -> None:
    """So that many environments that start together do not ask together."""
    bench.jitter = jitter
    async with bench.running():
        await bench.clock.advance(wait_s - 0.5)
        await bench.quiet()
        assert len(bench.address.asked) == 1
        await bench.clock.advance(1)
        await bench.quiet()
        assert len(bench.address.asked) == 2


async def test_a_url_that_fails_is_asked_at_least_as_often_as_one_that_works(bench: Bench) -> None:
    """However long the waits of the logins may grow."""
    bench.settings = replace(bench.settings, retry=RetrySettings(first_wait_s=3000.0, max_wait_s=3000.0))
    bench.address.answer = SecretsUnavailable(URL, "down")
    async with bench.running():
        for asked in range(2, 6):
            await bench.clock.advance(61)
            await bench.quiet()
            assert len(bench.address.asked) >= asked


async def test_the_url_is_asked_with_the_token_file_of_the_settings(bench: Bench, tmp_path: Path) -> None:
    """A reload may name another one."""
    async with bench.running():
        bench.settings = replace(bench.settings, secrets=replace(bench.settings.secrets, token_file=tmp_path / "token"))
        bench.secrets.wake()
        await bench.clock.settle()
        await bench.quiet()
        assert bench.address.token_files == [None, tmp_path / "token"]


async def test_each_source_reports_its_own_problems(bench: Bench, tmp_path: Path) -> None:
    """Each in its own name, so that the sources do not clear each other's warnings. Nothing is reported twice."""
    bench.write("a.json", item("one", kind="x"))
    bench.environment = read_environment({"REGISTRY_AGENT_SECRETS": json.dumps([item("two"), 7])})
    bench.address.answer = SecretsUnavailable(URL, "down")
    async with bench.running():
        codes = {owner: [code for code, _ in problems] for owner, problems in bench.record.open.items() if problems}
        assert codes == {
            f"secrets:{tmp_path}": ["secret_invalid"],
            "secrets.environment": ["secret_invalid"],
            "secrets.url": ["secrets_unavailable"],
        }
        reports = bench.record.reports
        for _ in range(3):
            await bench.clock.advance(60)
            await bench.quiet()
        assert bench.record.reports == reports
        bench.settings = replace(bench.settings, secrets=SecretsSettings(directories=(), url=None, environment=False))
        bench.secrets.wake()
        await bench.clock.settle()
        await bench.quiet()
        assert all(problems == [] for problems in bench.record.open.values())
        assert bench.record.published[-1] == []


async def test_a_directory_inside_of_another_counts_once(bench: Bench, tmp_path: Path) -> None:
    """The same file is read through both. Its secret is the same."""
    team = tmp_path / "team"
    team.mkdir()
    (team / "a.json").write_text(json.dumps(item("inner")))
    bench.settings = replace(
        bench.settings, secrets=replace(bench.settings.secrets, directories=(tmp_path, team, tmp_path), url=None)
    )
    async with bench.running():
        assert bench.record.published == [["inner"]]

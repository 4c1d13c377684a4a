"""Every value is masked before any component can mention it, at each change and from each source."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.model.plan import SecretSet
from agent.model.problem import Problem
from agent.services import secret_sources
from tests.rig.waiting import PATIENCE_S
from tests.services.test_secrets import URL, Bench, Record, item


class StrictRecord(Record):
    """Fails as soon as a report or a change comes while a value in use is not masked."""

    def __init__(self) -> None:
        super().__init__()
        self.in_use: set[str] = set()
        self.early: list[str] = []

    def report(self, owner: str, problems: Iterable[Problem] = (), *, repeat: bool = True) -> None:
        self._check(f"report of {owner}")
        super().report(owner, problems, repeat=repeat)

    def on_change(self, found: SecretSet) -> None:
        self._check("change")
        super().on_change(found)

    def _check(self, what: str) -> None:
        self.early += [f"{what}: {value}" for value in sorted(self.in_use - self.protected)]


@pytest.mark.parametrize("source", ["directory", "url"])
async def test_each_change_is_masked_before_it_is_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Each change also brings a new problem to report. The former values stay masked during the change."""
    monkeypatch.setattr(secret_sources, "_PATIENCE_S", PATIENCE_S)
    bench = Bench(tmp_path)
    bench.record = record = StrictRecord()

    def put(number: int) -> None:
        secret = item("one", password=f"password-{number}", session_token=f"token-{number}")
        items = [secret, {"name": f"bad-{number}"}]
        if source == "url":
            bench.address.answer = json.dumps({"secrets": items})
        else:
            bench.write("a.json", items)
        former = {f"password-{number - 1}", f"token-{number - 1}"} if number else set()
        record.in_use = {f"password-{number}", f"token-{number}", *former}

    if source == "url":
        bench.settings = replace(bench.settings, secrets=replace(bench.settings.secrets, url=URL))
    put(0)
    async with bench.running():
        for number in range(1, 4):
            assert len(record.published) == number
            put(number)
            async with asyncio.timeout(PATIENCE_S):
                while len(record.published) == number:
                    await bench.pass_seconds(1)
    assert record.early == []

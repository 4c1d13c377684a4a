"""Prometheus' view of the board."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from agent.model.problems import LoginRejected, ReportFailed
from agent.model.snapshot import Snapshot
from agent.model.status import Phase, RegistryStatus, State
from agent.observe.metrics import Metrics
from agent.services.board import Board
from tests.fakes import EPOCH, FakeClock, FakeJournal, process

ROW = RegistryStatus("ghcr.io", 'te"am', "project", "basic", EPOCH)


def snapshot() -> Snapshot:
    board = Board(process(), FakeClock().now, FakeJournal())
    board.put_registry(ROW)
    board.put_registry(
        replace(
            ROW,
            hostname="quay.io",
            state=State.LOGGED_IN,
            attempts=3,
            consecutive_failures=2,
            expires_at=EPOCH + timedelta(hours=12),
        )
    )
    board.report("a", [LoginRejected("ghcr.io", "no"), LoginRejected("docker.io", "no"), ReportFailed("x", "no")])
    board.clock_jumped()
    board.set_phase(Phase.RUNNING)
    return board.snapshot


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_what_prometheus_reads() -> None:
    """States, warnings, attempts, expiry and jumps, each under its own name."""
    found = samples(Metrics(dropped=lambda: 7).render(snapshot())[0].decode())
    expected = {
        ("registry_agent_build_info", ("1.0.0",)): 1,
        ("registry_agent_start_time_seconds", ()): EPOCH.timestamp(),
        ("registry_agent_phase", ("running",)): 1,
        ("registry_agent_phase", ("starting",)): 0,
        ("registry_agent_condition", ("error",)): 1,
        ("registry_agent_registries", ("pending",)): 1,
        ("registry_agent_registries", ("logged_in",)): 1,
        ("registry_agent_registries", ("expired",)): 0,
        ("registry_agent_warnings", ("login_rejected", "error")): 2,
        ("registry_agent_warnings", ("report_failed", "notice")): 1,
        ("registry_agent_registry_logged_in", ("ghcr.io",)): 0,
        ("registry_agent_registry_logged_in", ("quay.io",)): 1,
        ("registry_agent_registry_attempts_total", ("quay.io",)): 3,
        ("registry_agent_registry_consecutive_failures", ("quay.io",)): 2,
        ("registry_agent_registry_expires_timestamp_seconds", ("quay.io",)): EPOCH.timestamp() + 43200,
        ("registry_agent_clock_jumps_total", ()): 1,
        ("registry_agent_log_dropped_total", ()): 7,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert ("registry_agent_registry_expires_timestamp_seconds", ("ghcr.io",)) not in found


def test_every_name_is_ours() -> None:
    """None of the library's own process_ and python_ metrics, and no secret's name."""
    text = Metrics().render(snapshot())[0].decode()
    assert [line for line in text.splitlines() if not re.match("(# (HELP|TYPE) )?registry_agent_", line)] == []
    assert 'te"am' not in text


def test_the_library_is_loaded_by_the_first_scrape() -> None:
    """An agent that nobody scrapes never pays for it."""
    code = "import sys, agent.observe.metrics as m; m.Metrics(); sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0

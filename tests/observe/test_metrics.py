"""The metrics that Prometheus scrapes."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import ReportFailed
from agent.model.snapshot import Snapshot
from agent.model.status import Phase, RegistryStatus, State
from agent.observe.counters import Counters
from agent.observe.metrics import Metrics
from agent.services.board import Board
from tests.fakes import EPOCH, FakeClock, FakeLog, process
from tests.rig.needs import need

ROW = RegistryStatus("ghcr.io", 'te"am', "project", "basic", EPOCH)


def snapshot() -> Snapshot:
    board = Board(process(), FakeClock().now, FakeLog())
    board.put_registry(ROW)
    board.put_registry(
        replace(
            ROW,
            hostname="quay.io",
            state=State.LOGGED_IN,
            attempts=3,
            consecutive_failures=2,
            logged_in_at=EPOCH,
            expires_at=EPOCH + timedelta(hours=12),
            renew_at=EPOCH + timedelta(hours=6),
        )
    )
    board.report("a", [LoginRejected("ghcr.io", "no"), LoginRejected("docker.io", "no"), ReportFailed("x", "no")])
    board.clock_jumped()
    board.set_phase(Phase.RUNNING)
    return board.snapshot


def counters() -> Counters:
    """Counters, filled from events as the services log them."""
    counters = Counters()
    for event in (
        {"event": "login.failed", "registry": "quay.io", "code": "registry_dns", "seconds": 2.5},
        {"event": "login.succeeded", "registry": "quay.io", "seconds": 0.3},
        {"event": "login.succeeded", "registry": "quay.io", "seconds": 0.5},
        {"event": "login.succeeded", "registry": "gone.example", "seconds": 60.0},
        {"event": "token.failed", "code": "aws_throttled", "seconds": 1.0},
        {"event": "report.sent", "seconds": 0.1},
        {"event": "credential.answered", "outcome": "served", "registry": "quay.io"},
        {"event": "credential.answered", "outcome": "served", "registry": "ghcr.io"},
        {"event": "credential.forbidden", "uid": 65534},
        {"event": "secrets.changed"},
    ):
        counters.count(event)
    return counters


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the values by metric name and by the values of the labels, in the order of the labels' names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_of_a_snapshot() -> None:
    """States, warnings, attempts, expiry and clock jumps, each under its own name."""
    found = samples(Metrics(counters(), lambda: 7).render(snapshot())[0].decode())
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
        ("registry_agent_registry_attempts_total", ("quay.io", "succeeded")): 2,
        ("registry_agent_registry_attempts_total", ("quay.io", "registry_dns")): 1,
        ("registry_agent_registry_attempts_total", ("gone.example", "succeeded")): None,
        ("registry_agent_token_requests_total", ("aws_throttled",)): 1,
        ("registry_agent_pushes_total", ("succeeded",)): 1,
        ("registry_agent_credential_requests_total", ("served",)): 2,
        ("registry_agent_credential_requests_total", ("forbidden",)): 1,
        ("registry_agent_login_duration_seconds_count", ("succeeded",)): 3,
        ("registry_agent_login_duration_seconds_sum", ("succeeded",)): 60.8,
        ("registry_agent_login_duration_seconds_bucket", ("0.5", "succeeded")): 2,
        ("registry_agent_login_duration_seconds_bucket", ("30.0", "succeeded")): 2,
        ("registry_agent_login_duration_seconds_bucket", ("+Inf", "succeeded")): 3,
        ("registry_agent_token_duration_seconds_count", ("failed",)): 1,
        ("registry_agent_push_duration_seconds_count", ("failed",)): 0,
        ("registry_agent_registry_consecutive_failures", ("quay.io",)): 2,
        ("registry_agent_registry_expires_timestamp_seconds", ("quay.io",)): EPOCH.timestamp() + 43200,
        ("registry_agent_clock_jumps_total", ()): 1,
        ("registry_agent_log_dropped_total", ()): 7,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert ("registry_agent_registry_expires_timestamp_seconds", ("ghcr.io",)) not in found


def test_every_metric_has_the_agents_prefix() -> None:
    """The output contains no process_ and python_ metrics of the library, and no name of a secret."""
    text = Metrics(counters(), lambda: 0).render(snapshot())[0].decode()
    assert [line for line in text.splitlines() if not re.match("(# (HELP|TYPE) )?registry_agent_", line)] == []
    assert 'te"am' not in text


def test_the_library_is_loaded_by_the_first_scrape() -> None:
    """Without scrapes, the agent does not need the memory for it."""
    code = (
        "import sys, agent.observe.metrics as m, agent.observe.counters; sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_promtool_finds_no_fault() -> None:
    """Names, types, units and help texts follow the rules of Prometheus."""
    need("promtool")
    text = Metrics(counters(), lambda: 7).render(snapshot())[0]
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=30)
    assert checked.returncode == 0, checked.stderr
    assert (checked.stdout + checked.stderr).strip() == b""


def test_the_documents_name_every_metric() -> None:
    """With its type and its labels, and no other metric."""
    rendered = text_string_to_metric_families(Metrics(counters(), lambda: 7).render(snapshot())[0].decode())
    exposed = set()
    for family in rendered:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exposed.add((name, family.type, ", ".join(f"`{label}`" for label in sorted(labels))))
    page = (Path(__file__).parents[2] / "docs/dashboard.md").read_text()
    assert set(re.findall(r"^\| `(registry_agent_\w+)` \| (\w+) \| (.*?) ?\|", page, re.MULTILINE)) == exposed

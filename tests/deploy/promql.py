"""Checks PromQL expressions against a real agent's metrics: names, labels, and whether they find anything."""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from tests.rig.needs import need

_SELECTOR: Final = re.compile(r"(?<![\w:])(registry_agent_\w+)(?:\{([^}]*)\})?(?![\w:])")
_MATCHER: Final = re.compile(r"(\w+)\s*(=~|!~|!=|=)")
_TARGET: Final = {"job", "instance"}
"""Labels that Prometheus adds."""


def unknown(expression: str, metrics: str) -> set[str]:
    """Return the metrics and the selector labels that `expression` names and the agent does not have."""
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return {
        fault
        for name, matchers in _SELECTOR.findall(expression)
        for fault in _faults(name, {label for label, _ in _MATCHER.findall(matchers)}, labels)
    }


def _faults(name: str, used: set[str], labels: dict[str, set[str]]) -> Iterable[str]:
    if name not in labels:
        return [name]
    return [f"{name}{{{label}}}" for label in used - labels[name] - _TARGET]


def promtool(*args: str | Path) -> subprocess.CompletedProcess[str]:
    need("promtool")
    return subprocess.run(["promtool", *args], capture_output=True, text=True, check=False)


def finding_nothing(expressions: Iterable[str], metrics: str, directory: Path) -> str:
    """Return promtool's report on those without a sample half an hour before a login expires; empty if each has one."""
    tests = [
        {"expr": f"count({expression}) > bool 0", "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": 1}]}
        for expression in expressions
    ]
    # JSON is YAML too.
    document = {
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": _series(metrics), "promql_expr_test": tests}],
    }
    path = directory / "expressions.yaml"
    path.write_text(json.dumps(document))
    done = promtool("test", "rules", path)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _series(metrics: str) -> list[dict[str, str]]:
    """Return the series of one environment that Prometheus scrapes for one hour, starting at time 0."""
    series = [{"series": 'up{job="registry-agent",instance="dev/a"}', "values": "1x60"}]
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            labels = {"job": "registry-agent", "instance": "dev/a", **sample.labels}
            text = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
            value = 3600 if sample.name.endswith("_expires_timestamp_seconds") else sample.value
            series.append({"series": f"{sample.name}{{{text}}}", "values": f"{value:f}x60"})
    return series

"""Prometheus' own tool checks which fleet alerts fire and which do not, on metrics that the agent has."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from agent.model.problems import codes
from tests.deploy.manifests import MONITORING, PROJECT
from tests.deploy.promql import promtool, unknown

RULES: Final = MONITORING / "rules.yaml"
RESOURCE: Final = MONITORING / "prometheus-rule.yaml"
CASES: Final = Path(__file__).with_name("alerts.yaml")
CODES: Final = codes().keys()

Rule = dict[str, Any]


def rules() -> list[Rule]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[Rule] = group["rules"]
    return found


def alerts() -> list[Rule]:
    return [rule for rule in rules() if "alert" in rule]


def test_the_rules_are_sound() -> None:
    """Prometheus reports no error and no lint warning for the file."""
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stderr


def test_the_alerts_fire_when_they_should() -> None:
    """Every case of alerts.yaml passes: which alerts fire, with which texts, and which stay silent."""
    done = promtool("test", "rules", CASES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_was_seen_to_fire_and_to_stay_silent() -> None:
    """Each alert has both kinds of case."""
    seen = {
        (check["alertname"], bool(check["exp_alerts"]))
        for case in yaml.safe_load(CASES.read_text())["tests"]
        for check in case.get("alert_rule_test", ())
    }
    assert seen == {(alert["alert"], fires) for alert in alerts() for fires in (True, False)}


@pytest.mark.parametrize(
    ("alert", "good", "broken"),
    [
        ("Widespread", 'login_overridden"} >= 5', 'login_overridden"} >= 4'),
        ("PersonNeeded", 'code!~"renewal_failing|token_expired"} > 0', 'code!~"renewal_failing"} > 0'),
        ("LoginExpired", "registry_agent_registry_logged_in == 0", "registry_agent_registry_logged_in >= 0"),
    ],
)
def test_the_cases_find_faults(tmp_path: Path, alert: str, good: str, broken: str) -> None:
    """A rule with a small error fails the cases of its alert."""
    text = RULES.read_text()
    assert good in text
    (tmp_path / "rules.yaml").write_text(text.replace(good, broken))
    cases = yaml.safe_load(CASES.read_text())
    own = [case for case in cases["tests"] if f"RegistryAgent{alert}" in str(case["alert_rule_test"])]
    assert own
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump({**cases, "rule_files": ["rules.yaml"], "tests": own}))
    done = promtool("test", "rules", tmp_path / "cases.yaml")
    assert done.returncode == 1
    assert f"alertname: RegistryAgent{alert}, " in done.stderr, done.stderr


@pytest.mark.parametrize(("environments", "fires"), [(49, True), (50, False)])
def test_widespread_is_more_than_a_tenth(tmp_path: Path, environments: int, fires: bool) -> None:
    """Five of 49 environments count as widespread, five of 50 do not."""
    known = [{"series": f'registry_agent_build_info{{instance="{n}"}}', "values": "1x30"} for n in range(environments)]
    warn = 'registry_agent_warnings{{instance="{}",code="registry_dns",severity="warning"}}'
    warned = [{"series": warn.format(n), "values": "1x30"} for n in range(5)]
    sample = {"labels": 'code:registry_agent_widespread:count{code="registry_dns"}', "value": 5}
    check = {
        "expr": "code:registry_agent_widespread:count",
        "eval_time": "9m",
        "exp_samples": [sample] if fires else [],
    }
    case = {"interval": "1m", "input_series": [*known, *warned], "promql_expr_test": [check]}
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(document))
    done = promtool("test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_read_what_the_agent_says(metrics: str) -> None:
    """Every metric and label in them comes from a real agent, or from a recording rule."""
    for rule in rules():
        assert unknown(rule["expr"], metrics) == set(), rule
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = {name for rule in rules() for name in re.findall(r"\w+:registry_agent_\w+:\w+", rule["expr"])}
    assert used == recorded


def test_the_codes_are_the_agents() -> None:
    """Every warning code that a rule names is one that the agent knows."""
    named = {
        code
        for rule in rules()
        for matched in re.findall(r'code(?:=|!=|=~|!~)"([^"]+)"', rule["expr"])
        for code in matched.split("|")
    }
    assert named
    assert named <= CODES


def test_each_alert_says_what_to_do() -> None:
    """Each has a severity, texts for a person, and a link to an existing place in the documentation."""
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert {"summary", "description", "runbook"} == alert["annotations"].keys()
        runbook = alert["annotations"]["runbook"]
        for place in {runbook.replace("{{ $labels.code }}", code) for code in CODES}:
            path, _, anchor = place.partition("#")
            headings = re.findall(r"^#+ (.+)$", (PROJECT / path).read_text(), re.MULTILINE)
            assert not anchor or anchor in {heading.strip("`").lower() for heading in headings}, place


def test_the_resource_is_made_of_the_rules() -> None:
    """The operator's file is a head and rules.yaml: `sed -n '/^groups:/,$p' rules.yaml | sed 's/^./  &/'`."""
    head, _, groups = RESOURCE.read_text().partition("spec:\n")
    plain = RULES.read_text()
    lines = plain[plain.index("groups:\n") :].splitlines()
    assert groups.splitlines() == [f"  {line}" if line else "" for line in lines]
    assert yaml.safe_load(head)["kind"] == "PrometheusRule"

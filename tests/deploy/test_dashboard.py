"""The Grafana dashboard is valid, works with any data source, and uses metrics that the agent really has."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.deploy.manifests import MONITORING
from tests.deploy.promql import finding_nothing, promtool, unknown

DASHBOARD: Final = MONITORING / "dashboard.json"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard()["panels"]
    return found


def expressions() -> list[str]:
    """Return the queries as Grafana sends them if all environments are selected."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [text.replace("$instance", ".*").replace("$__rate_interval", "5m") for text in found]


def lost(document: object) -> list[str]:
    """Return where `document` differs after Grafana's own dashboard model has read it and written it again."""
    plugins.register_default_plugins()
    read = Dashboard.from_json(document)  # type: ignore[arg-type]  # a document may be anything until it is read
    return list(_differences(document, json.loads(encoder.JSONEncoder().encode(read)), ""))


def _differences(before: object, after: object, at: str) -> Iterator[str]:
    """Yield the places where `after` lacks a value of `before`. The model may add defaults."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from _differences(value, after.get(key), f"{at}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, f"{at}[{number}]")
    elif before != after:
        yield at


def test_grafana_knows_every_field() -> None:
    """Grafana's own model loses nothing, not even an option of any kind of panel."""
    assert lost(dashboard()) == []


@pytest.mark.parametrize(
    ("good", "broken"),
    [('"gridPos"', '"gridPosition"'), ('"reduceOptions"', '"reduce"'), ('"legendFormat"', '"legend"')],
)
def test_an_unknown_field_is_found(good: str, broken: str) -> None:
    """The model loses a misspelled field of a panel, of its options, or of a query."""
    text = DASHBOARD.read_text()
    assert good in text
    assert lost(json.loads(text.replace(good, broken))) != []


def test_it_fits_into_any_grafana() -> None:
    """It names no data source, dashboard or folder of one installation: the data source is a variable."""
    document = dashboard()
    assert not {"id", "uid", "version"} & document.keys()
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["instance"]["datasource"] == SOURCE
    for panel in panels():
        assert panel["datasource"] == SOURCE
        assert all(target["datasource"] == SOURCE for target in panel["targets"])
        assert all("$instance" in target["expr"] for target in panel["targets"])


def test_panels_have_different_ids_and_titles() -> None:
    """Each has its own ID and title and a description, and overlaps no other."""
    assert len({panel["id"] for panel in panels()}) == len({panel["title"] for panel in panels()}) == len(panels())
    assert all(panel["description"] for panel in panels())
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels()], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels())


def test_every_expression_is_promql(tmp_path: Path) -> None:
    """Prometheus can parse each of them."""
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stderr


def test_every_panel_shows_something(metrics: str, tmp_path: Path) -> None:
    """With a real agent's metrics, each expression finds its metrics, its labels, and at least one sample."""
    for text in expressions():
        assert unknown(text, metrics) == set(), text
    assert finding_nothing(expressions(), metrics, tmp_path) == ""

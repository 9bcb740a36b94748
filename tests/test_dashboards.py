"""The committed dashboards: what the code builds, whole by their linter, and complete by the contract."""

import copy
import json
import re
from pathlib import Path

import pytest
from dashboards.source.build import artefacts
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from alerting import lint
from poolscope import _contract as c

ROOT = Path(__file__).parents[1]
FILES = {path.stem: path for path in sorted((ROOT / "dashboards/grafana").glob("*.json"))}


def board(name):
    return json.loads(FILES[name].read_text())


def panel(tree, kind="timeseries"):
    return next(p for p in tree["panels"] if p["type"] == kind)


def test_the_committed_files_are_what_the_code_builds():
    for path, text in artefacts().items():
        assert (ROOT / path).read_text() == text, f"{path} differs: run `python -m dashboards.source`"


def test_no_file_is_committed_that_the_code_does_not_build():
    there = {str(path.relative_to(ROOT)) for path in FILES.values()}
    assert there <= set(artefacts())


@pytest.mark.parametrize("name", FILES)
def test_the_builders_types_know_every_key(name):
    """A misspelt key is lost on the way through the types and back. Two are the data source's own."""
    tree = board(name)
    back = json.loads(json.dumps(Dashboard.from_json(copy.deepcopy(tree)), cls=JSONEncoder))
    for note in tree["annotations"]["list"]:
        del note["titleFormat"]
        note.pop("useValueForTime", None)
    assert back == tree


def test_the_round_trip_finds_a_misspelt_key():
    tree = board("connection-pool")
    panel(tree)["fieldConfig"]["defaults"]["noValeu"] = "none"
    back = json.loads(json.dumps(Dashboard.from_json(copy.deepcopy(tree)), cls=JSONEncoder))
    assert "noValeu" not in json.dumps(back)


@pytest.mark.parametrize("rule", lint.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", FILES)
def test_lint(name, rule):
    assert list(rule(board(name))) == []


@pytest.mark.parametrize("name", FILES)
def test_every_pattern_of_names_finds_a_curve(name):
    """Grafana holds a regular expression against the whole name."""
    for each in lint.panels(board(name)):
        legends = [target["legendFormat"] for target in each["targets"]]
        matchers = [override["matcher"] for override in each["fieldConfig"]["overrides"]]
        patterns = [matcher["options"] for matcher in matchers if matcher["id"] == "byRegexp"]
        assert [p for p in patterns if not any(re.fullmatch(p, legend) for legend in legends)] == []


def test_every_metric_that_is_exported_is_on_a_dashboard():
    shown = set().union(*(lint.metrics_on(board(name)) for name in FILES))
    assert {metric.name for metric in c.METRICS} == shown


def first_expr(tree, change):
    target = panel(tree)["targets"][0]
    target["expr"] = change(target["expr"])


def overlap(tree):
    tree["panels"][2]["gridPos"]["x"] = tree["panels"][1]["gridPos"]["x"]


def twice(tree):
    tree["panels"][-1]["title"] = tree["panels"][0]["title"]


def no_own_units(tree):
    for each in lint.panels(tree):
        each["fieldConfig"]["overrides"].clear()


FAULTS = {
    "queries_parse": lambda t: first_expr(t, lambda e: e + ")"),
    "data_source": lambda t: panel(t)["targets"][0].update(datasource={"type": "prometheus", "uid": "abc"}),
    "target_variables": lambda t: lint.variables(t)["job"].update(allValue=".*"),
    "selectors_are_narrowed": lambda t: first_expr(t, lambda e: e.replace('instance=~"$instance", ', "")),
    "rates_follow_the_picture": lambda t: panel(t)["targets"][0].update(expr="rate(x[5m])"),
    "panels_say_what_they_are": lambda t: panel(t).update(description="No full stop"),
    "rates_are_no_times": no_own_units,
    "not_editable": lambda t: t.update(editable=True),
    "links_are_whole": lambda t: t.setdefault("links", []).append({"url": "/d/gone"}),
    "ids_and_titles_are_unique": twice,
    "nothing_overlaps": overlap,
    "no_panel_says_no_data": lambda t: panel(t)["fieldConfig"]["defaults"].pop("noValue"),
    "no_zero_out_of_nothing": lambda t: first_expr(t, lambda e: e + " or vector(0)"),
    "lines_are_the_alerts": lambda t: panel(t, "stat")["fieldConfig"]["defaults"]["thresholds"]["steps"][1].update(
        value=0.85
    ),
    "annotations_name_alerts": lambda t: t["annotations"]["list"][0].update(expr='ALERTS{alertname="HttpxPoolGone"}'),
    "texts_name_alerts": lambda t: panel(t).update(description="See HttpxPoolGone."),
    "metrics_are_exported": lambda t: first_expr(t, lambda e: e.replace("_max", "_most")),
    "labels_exist": lambda t: panel(t)["targets"][0].update(legendFormat="{{pool}}"),
    "importable": lambda t: t.update(__inputs=[]),
}


@pytest.mark.parametrize("rule", lint.RULES, ids=lambda rule: rule.__name__)
def test_each_rule_of_the_linter_trips_on_its_fault(rule):
    tree = board("connection-pool")
    FAULTS[rule.__name__](tree)
    assert list(rule(tree)) != []


def test_a_regular_expression_that_takes_an_unescaped_value_trips():
    tree = board("one-pool")
    first_expr(tree, lambda e: e.replace('instance="$instance"', 'instance=~"$instance"'))
    assert list(lint.selectors_are_narrowed(tree)) != []


def test_a_panel_that_is_too_wide_trips(name="connection-pool"):
    tree = board(name)
    tree["panels"][0]["gridPos"]["w"] = 25
    assert list(lint.nothing_overlaps(tree)) != []


def test_pictures_and_pages_that_the_docs_show_exist():
    text = (ROOT / "docs/dashboards.md").read_text()
    links = re.findall(r"\]\(([^):]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []

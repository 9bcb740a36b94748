"""The pages and drawings that are made from the code: committed as they are made, whole, and their queries answer."""

import re
import time

import promql_parser
import pytest
from docs.source import made, metrics
from docs.source.drawing import draw

from alerting import lint
from alerting.history import fleet, write
from alerting.servers import backfill, get, prometheus
from documents import ROOT
from poolscope import _contract as c
from poolscope import _transitions as t

MINUTES = 20


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A Prometheus with a quarter of an hour of a fleet's history."""
    start = int(time.time()) - MINUTES * 60
    folder = tmp_path_factory.mktemp("busy")
    backfill(folder, write(fleet()[3:5] + fleet()[8:], start, MINUTES))
    with prometheus(folder, "") as url:
        yield url, start + MINUTES * 60 - 30


@pytest.mark.parametrize("name", made())
def test_what_is_committed_is_what_the_code_makes(name):
    """A change of the contract, the events or the tables is a change of the docs."""
    assert (ROOT / "docs" / name).read_text() == made()[name], "run `python -m docs.source`"


@pytest.mark.parametrize("metric", c.METRICS, ids=lambda metric: metric.name)
def test_each_query_asks_for_its_metric_by_labels_that_it_has(metric):
    """And it parses; names that the contract has not would be seen."""
    query = metrics.query(metric)
    asked = [lint.metric_of(selector.name) for selector in lint.selectors(promql_parser.parse(query))]
    assert metric in asked
    assert None not in asked
    known = {c.prometheus_label(label) for each in asked for label in each.labels} | {"le", "pid"}
    by = {name for names in re.findall(r"(?:by|without) \(([^()]*)\)", query) for name in names.split(", ")}
    assert by | set(re.findall(r"(\w+)!?=", query)) <= known


def test_each_query_has_an_answer(busy):
    """On a real Prometheus with the history of a fleet, of whatever a sink exposes without being asked."""
    url, end = busy
    silent = []
    for metric in c.METRICS:
        if not metric.opt_in:
            found = get(f"{url}/api/v1/query", query=metrics.query(metric).replace("1h", "10m"), time=end)
            silent += [] if found["data"]["result"] else [metric.name]
    assert silent == []


def test_each_value_of_each_label_is_explained():
    """No more and no fewer than the contract has."""
    tables = {c.SOURCE: c.SOURCES, c.CAUSE: c.CAUSES, c.STAGE: c.STAGES, c.REASON: c.REASONS, c.STATE: c.STATES}
    tables[c.LEAK] = c.LEAKS
    assert {label: tuple(values) for label, values in metrics.VALUES.items()} == tables


@pytest.mark.parametrize("table", [t.CHECKOUT, t.CONNECTION])
def test_a_drawing_shows_each_state_and_each_event(table):
    """One box a state, one arc a pair of states; another row makes another drawing."""
    drawn = draw("title", table)
    states = {*(state for state, _ in table), *table.values()}
    assert drawn.count("<rect") == len(states)
    assert drawn.count("marker-end") == len({(state, target) for (state, _), target in table.items()})
    assert all(f">{state}<" in drawn for state in states)
    assert all(event in drawn for _, event in table)
    assert draw("title", {**table, ("idle", "planted"): "closed"}) != drawn

"""Every alert has a runbook, every runbook an alert; what a runbook points at exists, and its code compiles."""

import ast
import json
import re
from pathlib import Path

import pytest

from alerting import lint
from poolscope import _contract as c
from poolscope.alerts.rules import rules

ROOT = Path(__file__).parents[1]
BOOKS = {path.stem: path.read_text() for path in (ROOT / "docs/runbooks").glob("*.md")}
HEADS = ["Meaning", "Impact", "Diagnosis", "Fix", "How to see that it worked", "Seen when the failure was run"]
PANELS = {
    panel["title"]
    for path in (ROOT / "dashboards/grafana").glob("*.json")
    for panel in lint.panels(json.loads(path.read_text()))
}


def test_one_runbook_an_alert():
    assert sorted(BOOKS) == sorted(rule.name for rule in rules())


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_a_runbook_is_whole(rule):
    book = BOOKS[rule.name]
    assert (ROOT / rule.runbook_url).read_text() == book
    assert re.findall(r"^## (.+)$", book, re.MULTILINE) == HEADS
    assert f"Severity: {rule.severity}." in book


@pytest.mark.parametrize("name", BOOKS)
def test_panels_that_a_runbook_names_exist(name):
    named = re.findall(r"\*\*(.+?)\*\*", BOOKS[name])
    assert named
    known = PANELS | {title.split(",")[0] for title in PANELS}
    assert [panel for panel in named if panel not in known] == []


@pytest.mark.parametrize("name", BOOKS)
def test_code_compiles(name):
    blocks = re.findall(r"```python\n(.*?)```", BOOKS[name], re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(block)


def test_reasons_and_causes_are_the_contracts():
    known = {*c.REASONS, *c.CAUSES, *c.LEAKS}
    words = set(re.findall(r"`([a-z]+_[a-z_]+)`", "".join(BOOKS.values())))
    assert words <= known | {"keepalive_expiry", "wait_for", "max_connections", "max_keepalive_connections"}

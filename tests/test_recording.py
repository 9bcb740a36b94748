"""The recording rules for large fleets: what is recorded, and what the dashboard reads of it, is what was asked before.

promtool evaluates the rules on a history with an incident, several origins and both sinks' labels, and each expression
beside its recorded form.
"""

import json
import random
import subprocess

import pytest

from alerting import lint
from alerting.asking import filled
from alerting.history import Writer, fleet, moment
from alerting.promtool import ROOT, run, tool
from alerting.sim import STEP
from poolscope import _contract as c
from poolscope.alerts import boards, recording

COMMITTED = ROOT / "dashboards/prometheus/poolscope.recording.rules.yml"
FIRST, AT, LAST = 93, 105, 106
"""Minutes of the history: from a queue's beginning to where the expressions are evaluated, and a little more."""


class Rows(Writer):
    """Collects a history as promtool takes it."""

    def __init__(self):
        super().__init__()
        self.series = {}

    def put(self, metric, labels, value, at, suffix=""):
        inside = ",".join(f'{c.prometheus_label(k)}="{v}"' for k, v in labels.items())
        self.series.setdefault(f"{metric.prometheus_name}{suffix}{{{inside}}}", []).append(f"{value:.10g}")


@pytest.fixture(scope="module")
def history():
    rows = Rows()
    for plan in (fleet()[3], fleet()[4], fleet()[9]):
        noise = random.Random(plan.instance)
        for i in range(FIRST * 60 // STEP, LAST * 60 // STEP):
            moment(rows, plan, i * STEP / 60, i * STEP, noise)
    return [{"series": key, "values": " ".join(row)} for key, row in rows.series.items()]


def unlike(pairs, history, folder, rules=""):
    """Give what promtool says of pairs that differ, or of which the first is empty."""
    file = folder / "recording.yml"
    file.write_text(rules or recording.prometheus())
    at, there = f"{(AT - FIRST) * 60}s", [{"labels": "{}", "value": 1}]
    tests = []
    for plain, recorded in pairs:
        same = f"abs(({plain}) - ({recorded})) <= 1e-9"
        tests.append({"expr": f"({plain}) >= -1 unless ({same})", "eval_time": at, "exp_samples": []})
        tests.append({"expr": f"count({plain}) > bool 0", "eval_time": at, "exp_samples": there})
        tests.append({"expr": f"count({plain}) == bool count({recorded})", "eval_time": at, "exp_samples": there})
    return run([{"interval": f"{STEP}s", "input_series": history, "promql_expr_test": tests}], folder, file)


def read_differently(selector):
    """Give the fleet's queries that read what is recorded, beside the plain ones."""
    name = f"{boards.FLEET}.json"
    plain, recorded = (json.loads(boards.classic("", selector, recorded=r)[name]) for r in (False, True))
    both = zip(lint.queries(plain), lint.queries(recorded), strict=True)
    return [(filled(a, 600), filled(b, 600)) for (_, a), (_, b) in both if a != b]


def test_each_rule_records_its_expression(history, tmp_path):
    pairs = [(expr, name) for name, expr in recording.rules()]
    assert unlike(pairs, history, tmp_path) == ""


@pytest.mark.parametrize("selector", ["", 'job="checkout"'])
def test_the_dashboard_that_reads_them_shows_the_same(selector, history, tmp_path):
    pairs = read_differently(selector)
    assert len(pairs) > 30
    assert unlike(pairs, history, tmp_path, recording.prometheus(selector)) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [("[1m]", "[2m]"), ("sum without (server_address", "max without (server_address")],
)
def test_another_rule_is_noticed(old, new, history, tmp_path):
    text = recording.prometheus()
    assert old in text
    assert "got:" in unlike(read_differently(""), history, tmp_path, text.replace(old, new))


def test_nothing_of_the_page_of_one_pool_and_no_long_rate_changes():
    names = [f"{name}.json" for name in boards.NAMES]
    plain, recorded = (boards.classic(recorded=r) for r in (False, True))
    assert recorded[names[1]] == plain[names[1]]
    assert "[1h] offset 10m" in recorded[names[0]]
    assert "$__rate_interval" not in recorded[names[0]]


def test_the_linter_of_dashboards_finds_nothing_new():
    board = json.loads(boards.classic(recorded=True)[f"{boards.FLEET}.json"])
    assert [list(rule(board)) for rule in lint.RULES if rule is not lint.metrics_are_exported] == [[]] * (
        len(lint.RULES) - 1
    )


def test_the_committed_file_is_what_the_code_writes_and_promtool_takes_it():
    assert COMMITTED.read_text() == recording.prometheus()
    command = [tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(COMMITTED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

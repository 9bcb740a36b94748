"""The example configuration of Alertmanager: checked by amtool, and its inhibitions in an Alertmanager that runs."""

import json
import subprocess
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from alerting.promtool import tool
from alerting.servers import alertmanager as running_alertmanager
from alerting.servers import get, until
from poolscope import _contract as c
from poolscope.alerts.promql import POOL
from poolscope.alerts.routing import INHIBITIONS, alertmanager
from poolscope.alerts.rules import CHECKOUTS_SLOW, STALLED, TIMEOUTS, UTILIZATION, rules

FILE = Path(__file__).parents[1] / "dashboards/alertmanager/alertmanager.yml"
TREE = yaml.safe_load(FILE.read_text())
HERE = {"cluster": "east", "namespace": "shop", "job": "shop", "instance": "shop-0:8000"}


def amtool(*arguments):
    return subprocess.run([tool("amtool"), *arguments], capture_output=True, text=True, check=False)


def test_the_committed_file_is_what_the_code_writes():
    assert FILE.read_text() == alertmanager()


def test_amtool_takes_the_file():
    done = amtool("check-config", str(FILE))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_each_alert_goes_where_its_severity_says(rule):
    due = {"critical": "page", "warning": "ticket", "info": "digest"}[rule.severity]
    labels = [f"alertname={rule.name}", f"severity={rule.severity}"]
    done = amtool("config", "routes", "test", f"--config.file={FILE}", f"--verify.receivers={due}", *labels)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = amtool("config", "routes", "test", f"--config.file={FILE}", "--verify.receivers=default", *labels)
    assert wrong.returncode != 0


def test_somebody_elses_alert_is_not_ours_to_route():
    arguments = ["config", "routes", "test", f"--config.file={FILE}", "--verify.receivers=default", "alertname=Other"]
    assert amtool(*arguments).returncode == 0


def test_grouping_and_inhibition_name_labels_that_there_are():
    ours = {c.prometheus_label(label) for metric in c.METRICS for label in metric.labels}
    known = ours | {"alertname", "cluster", "namespace", "job", "instance"}
    lists = [TREE["route"]["routes"][0]["group_by"], *(rule["equal"] for rule in TREE["inhibit_rules"])]
    for labels in lists:
        assert POOL in labels
        assert set(labels) <= known
    assert all("instance" in rule["equal"] for rule in TREE["inhibit_rules"])


def test_inhibitions_name_alerts_that_there_are():
    names = {name for pair in INHIBITIONS for side in pair for name in side}
    assert names <= {rule.name for rule in rules()}


def fire(url, alert, pool, **labels):
    now = datetime.now(UTC).isoformat()
    alerts = [{"labels": {"alertname": alert, POOL: pool, **HERE, **labels}, "startsAt": now}]
    body = json.dumps(alerts).encode()
    request = urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"})
    assert urllib.request.urlopen(request, timeout=10).status == 200


def states(url):
    """Give each alert's state by name, pool and instance."""
    alerts = get(f"{url}/api/v2/alerts")
    return {
        (a["labels"]["alertname"], a["labels"][POOL], a["labels"]["instance"]): a["status"]["state"] for a in alerts
    }


def settled(url, count):
    """Wait until every alert is known and has a state."""
    return until(lambda: (s := states(url)) and len(s) == count and "unprocessed" not in s.values() and s, "states")


def in_trouble(folder, config):
    """Fire time-outs in one pool and the rest in it, beside it, and on another instance; give the states."""
    with running_alertmanager(folder, config) as url:
        fire(url, TIMEOUTS, "payments")
        fire(url, UTILIZATION, "payments")
        fire(url, CHECKOUTS_SLOW, "payments")
        fire(url, UTILIZATION, "search")
        fire(url, UTILIZATION, "payments", instance="shop-1:8000")
        fire(url, STALLED, "stuck")
        fire(url, UTILIZATION, "stuck")
        fire(url, CHECKOUTS_SLOW, "slow")
        fire(url, UTILIZATION, "slow")
        return settled(url, 9)


QUICK = alertmanager(group_wait="10ms")


def test_inhibition_is_for_the_same_pool_of_the_same_process(tmp_path):
    found = in_trouble(tmp_path, QUICK)
    silent = {key for key, state in found.items() if state == "suppressed"}
    here = "shop-0:8000"
    assert silent == {
        (UTILIZATION, "payments", here),
        (CHECKOUTS_SLOW, "payments", here),
        (UTILIZATION, "stuck", here),
        (UTILIZATION, "slow", here),
    }


@pytest.mark.parametrize(
    ("label", "victim"),
    [(POOL, (UTILIZATION, "search", "shop-0:8000")), ("instance", (UTILIZATION, "payments", "shop-1:8000"))],
)
def test_without_a_label_in_equal_the_neighbour_falls_silent(label, victim, tmp_path):
    """What `equal` is for: leave one label out and another pool's, or another process's, alert is lost."""
    tree = yaml.safe_load(QUICK)
    for rule in tree["inhibit_rules"]:
        rule["equal"].remove(label)
    assert in_trouble(tmp_path, yaml.safe_dump(tree))[victim] == "suppressed"

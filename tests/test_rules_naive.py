"""Why the rules are not simpler: each simpler form, on a history where it is wrong. The rules are right on all of them.

`fires` forms raise an alert where there is nothing; `silent` ones miss what they are for.
"""

import json
import re
from pathlib import Path

import pytest

from alerting import scenarios_load as load
from alerting import scenarios_spike as spike
from alerting import scenarios_workers as workers
from alerting.promtool import Fire, Scenario, run
from alerting.sim import Pool
from poolscope.alerts.rules import CHECKOUTS_SLOW

USE = "http_client_connection_in_use / http_client_connection_max"
WAIT = "http_client_connection_wait_time_seconds"
OPENED = "rate(http_client_connection_opened_total[5m])"
OPENED_BEFORE = "rate(http_client_connection_opened_total[5m] offset 1h)"
ACQUIRED = "http_client_connection_acquisitions_total"
PENDING = "http_client_connection_pending_requests"


def pods_unequal(form):
    """One pod of five whose every second checkout is slow, at a thousandth of the others' traffic."""
    pods = [Pool(form=form, instance=f"shop-{i}:8000").run(30) for i in range(4)]
    pod = Pool(form=form, instance="shop-4:8000").run(30, requests=6, slow=0.5)
    return [*pods, pod], [Fire(CHECKOUTS_SLOW, pod, 2)]


def few_very_slow(form):
    pool = Pool(form=form).run(30, slow=0.02)
    return [pool], [Fire(CHECKOUTS_SLOW, pool, 1.5)]


def pattern_of_half_a_minute(form):
    """Full at every even scrape, half full at every odd one: above the line for half of the time."""
    return [Pool(form=form).run(30, in_use=lambda i: 10 if i % 2 == 0 else 5)], []


def traffic_grows_after_an_hour(form):
    return [Pool(form=form).run(70).run(20, requests=6000)], []


def one_connection_after_an_idle_hour(form):
    return [Pool(form=form).run(70, requests=0).run(0.25, requests=4, new=1).run(20, requests=0)], []


def flat_for_an_hour(form):
    """Twelve connections a minute, to the second, and then fourteen."""
    return [Pool(form=form).run(70, new=0.02).run(20, new=0.0267)], []


def waits_of_three_seconds(form):
    """Three of a hundred waits take between 2.5 and 5 s, and none is longer."""
    pool = Pool(form=form)
    pool.run(30)
    short = [key for key in pool.values if 'le="2.5"' in key]
    for key in short:
        pool.values[key] = [int(value * 0.97) for value in pool.values[key]]
    return [pool], []


def seldom(form):
    """One request a minute, each on a new connection, because the last one has expired."""
    return [Pool(form=form).run(30, requests=1, new=1)], []


NAIVE = [
    ("the clock starts anew at each dip", f"{USE} > 0.8", "10m", load.utilization_with_dips, "silent"),
    ("a missed scrape starts it anew", f"{USE} > 0.8", "10m", load.utilization_missed_scrapes, "silent"),
    ("an average of 30 s", f"avg_over_time(({USE})[10m:15s]) > 0.8", "1m", load.full_at_birth_and_dead_soon, "fires"),
    (
        "an average of the dead",
        f"avg_over_time(({USE})[10m:15s]) > 0.8",
        "1m",
        load.utilization_of_a_dead_process,
        "fires",
    ),
    (
        "a sum over pods",
        "sum by (job) (http_client_connection_in_use) / sum by (job) (http_client_connection_max) > 0.8",
        "1m",
        load.one_full_pod_of_fifty,
        "silent",
    ),
    (
        "a sum over workers",
        "sum without (pid) (http_client_connection_in_use) / sum without (pid) (http_client_connection_max) > 0.8",
        "1m",
        workers.one_full_worker_of_four,
        "silent",
    ),
    ("a limit of zero", f"{USE} > 0.8", "1m", load.limit_zero, "fires"),
    (
        "a grid of 30 s",
        f"count_over_time(({USE} > 0.8)[10m:30s]) >= 16",
        "1m",
        pattern_of_half_a_minute,
        "fires",
    ),
    (
        "a quantile with no bucket above",
        f'histogram_quantile(0.99, rate({WAIT}_bucket{{le=~"2.5|5.0|[+]Inf"}}[5m])) > 5',
        "1m",
        few_very_slow,
        "silent",
    ),
    (
        "a quantile without the bucket",
        f'histogram_quantile(0.99, rate({WAIT}_bucket{{le!="5.0"}}[5m])) > 5',
        "1m",
        waits_of_three_seconds,
        "fires",
    ),
    (
        "a share over all pods",
        f'1 - sum by (job) (rate({WAIT}_bucket{{le="5.0"}}[5m])) / sum by (job) (rate({WAIT}_count[5m])) > 0.01',
        "1m",
        pods_unequal,
        "silent",
    ),
    (
        "a rate against an hour ago, traffic",
        f"{OPENED} > 3 * {OPENED_BEFORE}",
        "5m",
        traffic_grows_after_an_hour,
        "fires",
    ),
    (
        "a rate against an hour ago, zero",
        f"{OPENED} > 3 * {OPENED_BEFORE}",
        "1m",
        one_connection_after_an_idle_hour,
        "fires",
    ),
    (
        "a rate against the pod's own hour",
        f"{OPENED} > 3 * rate(http_client_connection_opened_total[1h])",
        "1m",
        spike.healthy_deploy,
        "fires",
    ),
    (
        "a z-score",
        f"({OPENED} - avg_over_time({OPENED}[1h:1m] offset 10m)) / stddev_over_time({OPENED}[1h:1m] offset 10m) > 3",
        "5m",
        flat_for_an_hour,
        "fires",
    ),
    (
        "a share of new ones",
        (
            f'sum by (instance) (rate({ACQUIRED}{{http_client_connection_source="new"}}[5m]))'
            f" / sum by (instance) (rate({ACQUIRED}[5m])) > 0.5"
        ),
        "5m",
        seldom,
        "fires",
    ),
    (
        "a join that the pid breaks",
        (
            f"sum without (server_address, server_port) (min_over_time({PENDING}[3m])) > 0 unless "
            f"sum without (server_address, server_port, http_client_connection_source) (increase({ACQUIRED}[3m])) > 0"
        ),
        "0m",
        workers.workers_queue_that_moves,
        "fires",
    ),
    (
        "a queue with no past",
        (
            f"sum without (server_address, server_port) (min_over_time({PENDING}[3m])) > 0 unless "
            f"sum without (server_address, server_port, http_client_connection_source) (increase({ACQUIRED}[3m])) > 0"
        ),
        "0m",
        load.cold_start_with_a_queue,
        "fires",
    ),
    (
        "a queue of the dead",
        (
            f"sum without (server_address, server_port) (min_over_time({PENDING}[3m])) > 0 unless "
            f"sum without (server_address, server_port, http_client_connection_source) (increase({ACQUIRED}[3m])) > 0"
        ),
        "0m",
        load.dies_with_a_queue,
        "fires",
    ),
]


@pytest.mark.parametrize("row", NAIVE, ids=lambda row: row[0])
def test_the_simpler_form_is_wrong(row, tmp_path):
    why, expression, hold, maker, wrong = row
    pools, _ = maker("workers" if maker.__module__.endswith("workers") else "native")
    rule = {"alert": "Naive", "expr": expression, "for": hold}
    rules_file = tmp_path / "naive.yml"
    rules_file.write_text(json.dumps({"groups": [{"name": "naive", "rules": [rule]}]}))
    out = run([Scenario(why, pools, []).test()], tmp_path, rules_file)
    assert "err" not in re.sub("expr", "", out)
    fired = 'alertname="Naive"' in out
    assert fired == (wrong == "fires"), out[:400]


OWN = sorted({row[3] for row in NAIVE if row[3].__module__ == __name__}, key=lambda maker: maker.__name__)


@pytest.mark.parametrize("maker", OWN, ids=lambda maker: maker.__name__)
def test_the_rule_is_right_on_the_same_history(maker, tmp_path: Path):
    """For the histories of this file; those of the scenarios are asserted in test_rules.py."""
    pools, fires = maker("native")
    assert run([Scenario(maker.__name__, pools, fires).test()], tmp_path) == ""

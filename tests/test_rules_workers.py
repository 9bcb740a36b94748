"""The simulations of several workers carry the labels that real workers were recorded with, and no others."""

import re

import pytest

from alerting.recorded import FULL, PIDS, SAMPLES
from alerting.scenarios_workers import WORKERS
from poolscope import _contract as c

SCRAPED = {"job", "instance"}
FREE = {c.prometheus_label(label) for label in (c.POOL, c.ADDRESS, c.PORT)}
KNOWN: dict[str, dict[str, set[str]]] = {}
for sampled, labels, _ in SAMPLES:
    for label, value in labels.items():
        KNOWN.setdefault(sampled, {}).setdefault(label, set()).add(value)
SIMULATED = sorted(
    {key for maker in WORKERS for pool in maker("native")[0] if pool.form == "workers" for key in pool.values}
)


def unlike(key: str) -> list[str]:
    """Give what sets a simulated series apart from the recorded ones of its metric."""
    name, inside = re.fullmatch(r"(\w+){(.*)}", key).groups()
    labels = dict(re.findall(r'(\w+)="([^"]*)"', inside))
    if name not in KNOWN:
        return [f"no worker exposes {name}"]
    if labels.keys() - SCRAPED != KNOWN[name].keys():
        return [f"{name} has the labels {sorted(KNOWN[name])}"]
    return [
        f"{name}: {k} is never {v}" for k, v in labels.items() if k not in SCRAPED | FREE and v not in KNOWN[name][k]
    ]


def test_simulated_workers_are_labelled_as_recorded_ones():
    assert [wrong for key in SIMULATED for wrong in unlike(key)] == []


@pytest.mark.parametrize(
    ("metric", "old", "new"),
    [
        (c.IN_USE, f'pid="{PIDS[0]}"', f'worker="{PIDS[0]}"'),
        (c.CHECKOUTS, "{", '{pid="1",'),
        (c.WAIT_TIME, 'le="5.0"', 'le="5"'),
        (c.CLOSED, "evicted", "expelled"),
        (c.ORPHANED, "_orphaned", "_orphans"),
    ],
)
def test_another_label_is_noticed(metric, old, new):
    keys = [key for key in SIMULATED if key.startswith(metric.prometheus_name) and old in key]
    assert keys
    assert all(unlike(key.replace(old, new, 1)) for key in keys)


def test_the_recording_shows_one_full_worker_of_four_and_a_queue():
    levels = {(name, labels.get("pid")): value for name, labels, value in SAMPLES if "pid" in labels and value}
    assert len(PIDS) == 4
    assert levels[c.IN_USE.prometheus_name, FULL] == levels[c.MAX.prometheus_name, FULL]
    assert levels[c.PENDING.prometheus_name, FULL] == 2
    assert [pid for name, pid in levels if name == c.IN_USE.prometheus_name] == [FULL]

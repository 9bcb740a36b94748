"""What the dashboards show of pools of every shape, as a real Prometheus answers their queries.

Names that a regular expression would read otherwise, several workers, pools of one name, none of a limit, HTTP/2, slow
scrapes, and targets that are not ours.
"""

import time

import pytest

from alerting.asking import BOARDS, answers, chosen
from alerting.servers import backfill, prometheus
from alerting.shapes import Shape, history

MINUTES, SPAN = 80, 1800
FLEET, ONE = "connection-pool", "one-pool"
WORKERS = ("101", "102", "103", "104")
FULL = {"in_use": 10, "active": 10, "idle": 0, "waiting": 25, "timed_out": 5, "late": 0.5}
SHAPES = [
    Shape("[::1]:9464", "odd", "pay|ments (a+b)", **FULL),
    Shape("other:9464", "odd", "pay|ments (a+b)"),
    Shape("shop-0:8000"),
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Give a function from a dashboard, and what is chosen on it, to the last value of each of its curves."""
    start = int(time.time()) // 60 * 60 - MINUTES * 60
    folder = tmp_path_factory.mktemp("shapes")
    backfill(folder, history(SHAPES, start))

    def last(name, rate="1m", **values):
        end = start + MINUTES * 60 - 90
        found = answers(url, BOARDS[name], end, SPAN, rate, chosen(BOARDS[name], **values))
        return {place: [float(s["values"][-1][1]) for s in series] for place, series in found.items()}

    with prometheus(folder, "") as url:
        yield last


@pytest.mark.parametrize("name", [FLEET, ONE])
def test_names_that_a_regular_expression_would_read_otherwise_are_found(asked, name):
    """IPv6 addresses have brackets, and a pool may have any name."""
    found = asked(name, job="odd", instance="[::1]:9464", pool="pay|ments (a+b)")
    assert found["Utilization now A" if name == ONE else "Fullest pool A"] == [1]
    assert found["Waiting now A" if name == ONE else "Requests waiting A"] == [25]

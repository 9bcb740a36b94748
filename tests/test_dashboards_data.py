"""Every query and variable of the dashboards against a real Prometheus: with an incident, and on idle pools."""

import time

import pytest

from alerting.asking import BOARDS, answers, values
from alerting.history import fleet, idle, write
from alerting.servers import backfill, prometheus

MINUTES = 125
SPAN = 3000
QUIET = {"Firing alerts", "Process starts"}


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory):
    """Two Prometheus servers with two hours of history each: one with trouble, one idle."""
    start = int(time.time()) - MINUTES * 60
    folders = {name: tmp_path_factory.mktemp(name) for name in ("busy", "idle")}
    backfill(folders["busy"], write(fleet()[3:5] + fleet()[8:], start, MINUTES))
    backfill(folders["idle"], write(idle(), start + 70 * 60, MINUTES - 70))
    with prometheus(folders["busy"], "") as busy, prometheus(folders["idle"], "") as quiet:
        yield {"busy": busy, "idle": quiet, "end": start + MINUTES * 60 - 30}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BOARDS)
def test_every_query_returns_data(name, backfilled):
    found = answers(backfilled["busy"], BOARDS[name], backfilled["end"], SPAN)
    assert [place for place, series in found.items() if isinstance(series, str)] == []
    assert {place for place, series in found.items() if not series} <= QUIET


@pytest.mark.parametrize("name", BOARDS)
def test_every_variable_has_values(name, backfilled):
    found = values(backfilled["busy"], BOARDS[name], backfilled["end"] - SPAN, backfilled["end"])
    assert found["pool"] == ["payments", "search"]
    assert found["job"] == ["checkout", "worker"]
    assert found["instance"] == ["checkout-0:8000", "checkout-3:8000", "worker-0:9100", "worker-1:9100"]


@pytest.mark.parametrize("name", BOARDS)
def test_no_query_errs_on_idle_and_unlimited_pools_and_no_number_is_missing(name, backfilled):
    board = BOARDS[name]
    found = answers(backfilled["idle"], board, backfilled["end"], SPAN)
    assert [(place, series) for place, series in found.items() if isinstance(series, str)] == []
    numbers = [f"{p['title']} A" for p in board["panels"] if p["type"] in ("stat", "state-timeline", "table")]
    for place in numbers:
        assert found[place], place
        for series in found[place]:
            assert not {value for _, value in series["values"]} & {"NaN", "+Inf", "-Inf"}, place


def test_the_incident_is_where_the_dashboard_says(backfilled):
    """The strips: the one checkout is full at the end, and the search pool beside it, which has no limit, is not."""
    found = answers(backfilled["busy"], BOARDS["connection-pool"], backfilled["end"], SPAN)
    (strips,) = [series for place, series in found.items() if place.startswith("When and where")]
    last = {
        (s["metric"]["http_client_connection_pool_name"], s["metric"]["instance"]): float(s["values"][-1][1])
        for s in strips
    }
    assert last["payments", "checkout-3:8000"] > 0.8
    assert last["search", "checkout-0:8000"] == 0
    assert last["payments", "worker-0:9100"] < 0.8

"""What the dashboards show of pools of every shape, as a real Prometheus answers their queries.

Names that a regular expression would read otherwise, several workers, pools of one name, without a limit, with HTTP/2,
slow scrapes, and targets that are not ours.
"""

import time

import pytest

from alerting.asking import BOARDS, answers, chosen
from alerting.servers import backfill, prometheus
from alerting.shapes import Shape, history
from poolscope import _contract as c

MINUTES, SPAN, WEEK = 80, 1800, 7 * 86400
FLEET, ONE = "connection-pool", "one-pool"
WORKERS = ("101", "102", "103", "104")
IN_TROUBLE = {"in_use": 10, "active": 10, "idle": 0, "waiting": 25, "timed_out": 5, "late": 0.5}
SHAPES = [
    Shape("[::1]:9464", "odd", "pay|ments (a+b)", **IN_TROUBLE),
    Shape("other:9464", "odd", "pay|ments (a+b)"),
    Shape("shop-0:8000", "shop"),
    Shape("idle-0:8000", "idle", in_use=0, active=0, idle=0, arrivals=0, opened=0),
    Shape("slow-0:8000", "slow", step=60, **IN_TROUBLE),
    Shape("", "otlp", **IN_TROUBLE),
    Shape("app:8000", "workers", in_use=5, active=5, pids=WORKERS, waiting=3, arrivals=40, hold=0.5),
    Shape("app:8000", "names", active=20, setting_up=5, idle=15, pools=5, arrivals=40, hold=0.5),
    Shape("app:8000", "free", limit=c.UNLIMITED, in_use=40, active=40),
    Shape("app:8000", "http2", in_use=1, active=1, idle=0, arrivals=100, hold=1, protocol="2"),
    Shape("app:8000", "late", arrivals=1, ended=5, timed_out=5, late=1),
    *(Shape(f"pod-{i}:8000", "deployed", opened=1, begins=27 * i, ends=min(80, 27 * i + 27)) for i in range(3)),
    Shape("java-0:8080", "billing", origin="db.internal", ours=False),
]
STARTED = {"shop-0:8000": 733, "idle-0:8000": 2111, "node-0:9100": 3001}
"""When processes started, in seconds of the history. The last one is not ours."""


def others(start):
    """Write what is in that Prometheus besides: processes, and an alert of another pool."""
    lines = ["# TYPE process_start_time_seconds gauge"]
    for instance, began in STARTED.items():
        name = f'process_start_time_seconds{{job="{instance.partition("-")[0]}",instance="{instance}"}}'
        lines += [f"{name} {start + began} {start + t}" for t in range(began, MINUTES * 60, 15)]
    labels = f'job="shop",instance="shop-0:8000",{c.prometheus_label(c.POOL)}="search"'
    alert = f'ALERTS{{alertname="HttpxPoolTimeouts",alertstate="firing",{labels}}}'
    lines += ["# TYPE ALERTS gauge", *(f"{alert} 1 {start + t}" for t in range(0, MINUTES * 60, 15))]
    return "\n".join([*lines, ""])


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    start = int(time.time()) // 60 * 60 - MINUTES * 60
    folder = tmp_path_factory.mktemp("shapes")
    backfill(folder, history(SHAPES, start, others(start)))
    with prometheus(folder, "") as address:
        yield address, start


def curves(url, name, rate="1m", span=SPAN, **values):
    """Give the labels and the last value of each curve, by its place. Between a minute's scrapes, not on them."""
    address, start = url
    found = answers(address, BOARDS[name], start + MINUTES * 60 - 97, span, rate, chosen(BOARDS[name], **values))
    return {place: [(s["metric"], float(s["values"][-1][1])) for s in each] for place, each in found.items()}


def shown(url, name, *places, **choice):
    """Give the last values at some places."""
    found = curves(url, name, **choice)
    return [[value for _, value in found[place]] for place in places]


def app(job):
    return {"job": job, "instance": "app:8000", "pool": "payments"}


@pytest.mark.parametrize(
    ("name", "places"),
    [(FLEET, ("Fullest pool A", "Requests waiting A")), (ONE, ("Utilization now A", "Waiting now A"))],
)
def test_names_that_a_regular_expression_would_read_otherwise_are_found(url, name, places):
    """IPv6 addresses have brackets, and a pool may have any name."""
    choice = {"job": "odd", "instance": "[::1]:9464", "pool": "pay|ments (a+b)"}
    assert shown(url, name, *places, **choice) == [[1], [25]]


@pytest.mark.parametrize("name", [FLEET, ONE])
def test_where_nothing_is_measured_nothing_is_shown(url, name):
    """A zero would say that all is well."""
    found = curves(url, name, job="nobody", instance="nothing", pool="none")
    assert {place: each for place, each in found.items() if each} == {}


RATES = {
    FLEET: ("Slowest 1 % of checkouts A", "Checkouts over 5 s A", "Pool timeouts A", "New per checkout A"),
    ONE: ("Slowest 1 %, wait A", "New per checkout, this pool A"),
}
SLOW = {"job": "slow", "instance": "slow-0:8000", "pool": "payments"}


@pytest.mark.parametrize("name", RATES)
def test_a_rate_that_has_too_few_scrapes_is_missing_and_not_zero(url, name):
    """At a scrape each minute, with the data source's interval left at 15 s."""
    places = (*RATES[name], "Pools by instance F" if name == FLEET else "Origins of this pool F")
    assert shown(url, name, *places, **SLOW) == [[]] * len(places)
    rates = dict(zip(places, shown(url, name, *places, rate="4m", **SLOW), strict=True))
    assert rates[places[0]] == [pytest.approx(9.9)]
    assert rates[places[-1]] == [pytest.approx(9.9 if name == FLEET else 9.5)]


@pytest.mark.parametrize("name", RATES)
def test_a_pool_that_nobody_uses_shows_zeros(url, name):
    choice = {"job": "idle", "instance": "idle-0:8000", "pool": "payments"}
    numbers = [p["title"] + " A" for p in BOARDS[name]["panels"] if p["type"] == "stat"]
    found = dict(zip(numbers, shown(url, name, *numbers, **choice), strict=True))
    found.pop("Oldest hold A", None)
    assert set(map(tuple, found.values())) == {(0,)}


def test_ages_that_several_workers_do_not_measure_are_missing_and_not_zero(url):
    assert shown(url, ONE, "Oldest in the queue A", "Oldest hold A", **app("workers")) == [[], []]


def test_a_pool_without_an_instance_is_seen(url):
    """OpenTelemetry names one only where `service.instance.id` is set."""
    places = ("Fullest pool A", "Requests waiting A", "Pool timeouts A", "Pools by instance A")
    assert shown(url, FLEET, *places, job="otlp") == [[1], [25], [0.5], [1]]
    assert shown(url, ONE, "Utilization now A", job="otlp", instance="", pool="payments") == [[1]]


NEEDED = (FLEET, "Sizing: connections needed against the limit A"), (ONE, "Utilization: sampled, mean and needed C")


@pytest.mark.parametrize(("name", "place"), NEEDED)
@pytest.mark.parametrize(("job", "share"), [("workers", 0.5), ("names", 0.4), ("shop", 0.4), ("free", 0)])
def test_what_is_needed_is_a_share_of_all_workers_and_all_pools_limits(url, name, place, job, share):
    choice = app(job) | ({"instance": "shop-0:8000"} if job == "shop" else {})
    assert shown(url, name, place, **choice) == [[pytest.approx(share)]]


@pytest.mark.parametrize(("name", "place"), NEEDED)
def test_requests_that_share_connections_say_nothing_of_what_is_needed(url, name, place):
    assert shown(url, name, place, **app("http2")) == [[]]


SLOTS = [f"Slots by what they do {ref}" for ref in "ABCDE"]
LIMITED = [f"Connections against the limit {ref}" for ref in "ABCDEF"]


@pytest.mark.parametrize(
    ("job", "levels", "limit"),
    [("workers", [20, 0, 0, 8], [40]), ("names", [20, 5, 0, 15], [50]), ("free", [40, 0, 0, 2], [])],
)
def test_levels_stand_under_the_limit_of_the_same_pools(url, job, levels, limit):
    """And there is no line where there is no limit."""
    found = shown(url, ONE, *SLOTS, "Idle connections against their limit B", **app(job))
    assert found == [*([level] for level in levels), limit, limit]
    limited, without = ([], [[levels[0]], []]) if job == "free" else (levels, [[0], limit])
    assert shown(url, FLEET, *LIMITED, **app(job)) == [*([x] for x in limited), *([[]] * (4 - len(limited))), *without]


@pytest.mark.parametrize(("job", "used", "limit"), [("workers", 20, 40), ("names", 4, 10), ("free", 40, 1e18)])
def test_the_tables_use_and_limit_are_of_the_same_pools(url, job, used, limit):
    assert shown(url, FLEET, "Pools by instance B", "Pools by instance D", **app(job)) == [[used], [limit]]


def test_processes_that_started_are_ours_and_none_is_lost_between_two_points(url):
    """The value is the moment: Grafana draws each at its own, however far apart the points are."""
    found = curves(url, FLEET, span=WEEK)["Process starts"]
    ours = {name: 1000 * (url[1] + began) for name, began in STARTED.items() if not name.startswith("node")}
    assert {labels["instance"]: value for labels, value in found} == ours
    notes = {note["name"]: note for note in BOARDS[FLEET]["annotations"]["list"]}
    assert notes["Process starts"]["useValueForTime"] is True


@pytest.mark.parametrize("place", ["Request duration: p95 by origin A", "Requests in flight by origin A"])
def test_other_services_requests_are_not_shown(url, place):
    found = curves(url, FLEET)
    assert [labels for labels, _ in found[place]] == [{"server_address": "pay.example"}]


def test_alerts_of_other_pools_are_not_shown(url):
    shop = {"job": "shop", "instance": "shop-0:8000"}
    assert shown(url, ONE, "Firing alerts", **shop, pool="payments") == [[]]
    assert shown(url, ONE, "Firing alerts", **shop, pool="search") == [[1]]


def test_the_share_of_timeouts_is_of_the_waits_that_ended(url):
    """Of those that entered it would be 500 % where arrivals fell."""
    assert shown(url, FLEET, "Pool timeouts A", **app("late")) == [[1]]


def test_what_is_usual_is_the_rate_of_the_instances_that_lived(url):
    """Three that lived one after the other, each opening one a second: the line is three times that."""
    ((usual,),) = shown(url, FLEET, "Creation against its usual level B", job="deployed")
    assert usual == pytest.approx(3, rel=0.2)

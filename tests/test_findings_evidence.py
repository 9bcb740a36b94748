"""What the evidence is between two moments: growth, restarts, pools that were not there, names that are old."""

import contextlib
import socket
import time
from unittest import mock

import httpx
import pytest

from harness import Server
from poolscope import InstrumentedSyncTransport
from poolscope import _contract as c
from poolscope._reading import Reading
from poolscope._tally import Histogram
from poolscope.diagnosis._evidence import above, by_pool, mean
from poolscope.diagnosis._findings import findings


class Life:
    """One life of a process's pool, whose requests are read or not."""

    def __init__(self, server, host="127.0.0.1"):
        self.transport = InstrumentedSyncTransport(name="shop", sinks=[])
        self.client = httpx.Client(transport=self.transport)
        self.url = server.url(host=host)

    def trade(self, count, *, read=True):
        for _ in range(count):
            with self.client.stream("GET", self.url) as response:
                if read:
                    response.read()

    def reading(self):
        return self.transport.observer.read()


@pytest.fixture
def server():
    def script(peer):
        for _ in peer.requests():
            peer.respond(200, b"x" * 100_000)

    with Server(script) as server:
        yield server


@pytest.fixture
def life(server):
    with contextlib.ExitStack() as clients:

        def begin(**options):
            life = Life(server, **options)
            clients.enter_context(life.client)
            return life

        yield begin


def judged(before, after, seconds=10.0):
    (evidence,) = by_pool(before, after, seconds)
    return evidence, {finding.code for finding in findings(evidence)}


def test_what_was_counted_before_the_first_moment_is_not_judged(life):
    shop = life()
    shop.trade(12, read=False)
    before = shop.reading()
    shop.trade(5)
    evidence, codes = judged(before, shop.reading())
    assert (evidence.checkouts, codes, evidence.seconds) == (5, set(), 10.0)
    assert judged(Reading(), shop.reading())[1] == {"responses-not-read"}


def test_a_restart_between_the_moments_is_judged_since_it(life):
    """Counters went back: the new life counts whole, and how long it lasted is not known."""
    old, new = life(), life()
    old.trade(30, read=False)
    new.trade(12, read=False)
    evidence, codes = judged(old.reading(), new.reading())
    assert (evidence.checkouts, evidence.seconds, codes) == (12, None, {"responses-not-read"})


def test_a_pool_that_was_not_there_has_no_known_time(life):
    """Where there was nothing at all before, the time is that of the process."""
    shop = life()
    shop.trade(3)
    other = Reading({(c.POOLS_OPENED, ("other",)): 1.0})
    assert judged(other, shop.reading())[0].seconds is None
    assert judged(Reading(), shop.reading())[0].seconds == 10.0


def test_histograms_are_what_they_grew_by(life):
    shop = life()
    shop.trade(4)
    before = shop.reading()
    shop.trade(3)
    evidence, _ = judged(before, shop.reading())
    grown = evidence.growth(c.USE_TIME)
    assert grown.count == 3
    assert 0 < mean(grown) == pytest.approx(grown.sum / 3)
    assert (above(grown, 60.0), above(grown, 0.001) <= 3) == (0, True)
    assert mean(evidence.growth(c.STREAM_WAIT_TIME)) == 0


@pytest.mark.parametrize(
    ("host", "age", "named"), [("api.test", 400, True), ("api.test", 200, False), (None, 400, False)]
)
def test_a_window_in_which_no_connection_came_or_went_is_its_age(life, host, age, named):
    """An address has no name to follow."""
    resolve = socket.getaddrinfo

    def moved(asked, *args, **options):
        return resolve("127.0.0.1" if asked == "api.test" else asked, *args, **options)

    with mock.patch("socket.getaddrinfo", moved):
        shop = life(host=host or "127.0.0.1")
        shop.trade(1)
        before = shop.reading()
        shop.trade(5)
    assert ("connections-too-old" in judged(before, shop.reading(), age)[1]) == named


def test_a_connection_that_came_within_the_window_is_not_old(life):
    with mock.patch("socket.getaddrinfo", lambda *args, **options: [(2, 1, 6, "", ("127.0.0.1", args[1]))]):
        shop = life(host="api.test")
        shop.trade(1)
        before = shop.reading()
        shop.trade(1, read=False)
        shop.trade(5)
    evidence, codes = judged(before, shop.reading(), 400)
    assert evidence.increase(c.OPENED) == 1
    assert codes == set()


def test_evidence_is_quick(life):
    """A pool of the most origins there can be is judged in well under a second."""
    shop = life()
    shop.trade(2)
    after = shop.reading()
    for (metric, labels), value in list(after.numbers.items()):
        if len(labels) > 2:
            for number in range(20):
                after.numbers[metric, (labels[0], f"host{number}.example", *labels[2:])] = value
    began = time.process_time()
    judged(Reading(), after)
    assert time.process_time() - began < 1


def load(*, limit=4.0, requests=100, hold=0.08, wait=0.1, busy=None, pools=1.0):
    """The points of a pool that so many requests came to, each holding and waiting so long."""
    reading, origin = Reading(), ("shop", "shop.example", "443")
    reading.numbers = {
        (c.MAX, ("shop",)): limit,
        (c.POOLS, ("shop",)): pools,
        (c.BUSY_TIME, ("shop",)): requests * hold if busy is None else busy,
        (c.CHECKOUTS, origin): float(requests),
    }
    for metric, seconds in ((c.USE_TIME, hold), (c.WAIT_TIME, wait)):
        histogram = reading.histograms[metric, origin] = Histogram(metric.buckets)
        for _ in range(requests):
            histogram.observe(seconds)
    return reading


@pytest.mark.parametrize(
    ("seconds", "seen", "size"),
    [
        (2.1, {}, 11),
        (2.1, {"busy": 0.0}, 11),  # a sink that has no busy time
        (3.0, {}, None),  # two thirds of the limit
        (None, {}, None),
        (2.1, {"wait": 0.009}, None),  # a wait that is the scheduler's
        (26.0, {"hold": 1.0, "wait": 0.05}, None),  # a wait that nobody feels, beside the hold
        (0.8, {"requests": 39}, None),  # a burst
        (2.1, {"limit": c.UNLIMITED}, None),
        (2.1, {"limit": 10.0}, None),
        (2.1, {"busy": 2.0}, None),  # HTTP/2: four requests at once share a connection
        (2.1, {"pools": 2.0}, None),  # two pools of that limit
    ],
)
def test_a_pool_is_too_small_by_littles_law_alone(seconds, seen, size):
    """47.6 requests a second that hold 80 ms and wait 100 ms are 3.8 that hold and 4.8 that wait."""
    (evidence,) = by_pool(Reading(), load(**seen), seconds)
    found = {finding.code: finding.evidence for finding in findings(evidence)}
    found.pop("unbounded-pool", None)
    assert {code: numbers["connections_needed"] for code, numbers in found.items()} == (
        {"pool-too-small": size} if size else {}
    )


def told(reading, seconds=None):
    """What is said of these points, by the finding's code."""
    (evidence,) = by_pool(Reading(), reading, seconds)
    return {finding.code: finding.says for finding in findings(evidence)}


@pytest.mark.parametrize(("live", "named"), [(16.0, False), (6.0, True), (0.0, True)])
def test_pools_that_live_were_not_thrown_away(live, named):
    """Sixteen workers that have just begun have made sixteen pools for twenty requests, and need them."""
    reading = load(requests=20, pools=live)
    reading.numbers[c.POOLS_OPENED, ("shop",)] = 16.0
    assert ("client-per-request" in told(reading)) == named


def test_a_limit_is_not_too_large_for_connections_that_could_not_be_made():
    reading = load(limit=500.0, requests=2000)
    assert "pool-too-large" not in told(reading)
    reading.numbers[c.OPENED, ("shop", "shop.example", "443")] = 8.0
    assert "500" in told(reading)["pool-too-large"]


def test_what_nobody_saw_is_not_said():
    """From outside a process: no ages of what is open, nothing of what is held."""
    reading, origin = load(), ("shop", "shop.example", "443")
    lived = reading.histograms[c.DURATION, (*origin, "1.1")] = Histogram(c.DURATION.buckets)
    lived.observe(400.0)
    reading.numbers[c.LEAKED, ("shop", "response_unclosed")] = 2.0
    says = told(reading)
    assert says["connections-too-old"] == ("connections to shop.example:443: 1 that ended had lived more than 300 s")
    assert says["responses-not-closed"] == "responses collected unclosed: 2"

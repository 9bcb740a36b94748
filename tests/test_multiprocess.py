"""prometheus_client's multi-process mode under a real gunicorn: four workers, one exposition.

The servers and the pipe of gunicorn's own words are what the test waits for; nothing sleeps.
"""

import os
import signal
import subprocess
import sys
import threading

import pytest

from alerting.recorded import RECORDED
from harness import Server, refused_port
from observing import Exposition, imbalances
from poolscope import _contract as c
from sinks.workers import gunicorn, recording, shape

LIVE = (c.PENDING, c.CHECKED_OUT, c.ESTABLISHING, c.OPEN_CONNECTIONS, c.IN_USE, c.MAX, c.IDLE_MAX, c.POOLS)


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "files"
    path.mkdir()
    return path


def pids(seen: Exposition, metric: c.Metric) -> set[int]:
    return {int(s.labels["pid"]) for s in seen.samples if s.name == metric.prometheus_name}


def gated(peer):
    """Answer the first request of four connections only when all four are there."""
    for request in peer.requests():
        if request.target == "/all":
            peer.reached(f"here {peer.number}")
            peer.wait("answer")
        peer.respond(200, b"ok")


def open_when_all_are_here(server: Server, count: int) -> None:
    for number in range(1, count + 1):
        assert server.gate(f"here {number}").wait(10)
    server.gate("answer").set()


def test_four_workers_give_one_exposition_that_balances(directory):
    """Counters are sums without a pid; gauges stand for each worker; a killed worker's gauges go, its counts stay."""
    with Server(gated) as server, refused_port() as nobody, gunicorn(directory) as app:
        opener = threading.Thread(target=open_when_all_are_here, args=(server, 4))
        opener.start()
        answers = app.together(4, f"/call?url={server.url('/all')}")
        opener.join()
        workers = {pid for pid, _ in answers}
        assert len(workers) == 4
        app.together(8, f"/call?url={server.url('/again')}")
        app.together(4, f"/call?url=http://127.0.0.1:{nobody}/")

        seen = app.scrape()
        assert imbalances(seen) == []
        here = {"pool_name": "app", "port": str(server.port)}
        assert seen(c.CHECKOUTS, **here) == 12
        assert seen(c.ACQUISITIONS, source="new", **here) == 4
        assert seen(c.ACQUISITIONS, source="reused", **here) == 8
        assert seen(c.WAIT_TIME, "_count", **here) == seen(c.USE_TIME, "_count", **here) == 12
        assert seen(c.OPEN_CONNECTIONS, state="idle", **here) == 4
        assert seen(c.CREATE_TIME, "_count", error_type="ConnectError", port=str(nobody)) == 4
        assert seen(c.REQUEST_DURATION, "_count", status_code="200") == 12
        assert seen(c.POOLS_OPENED, pool_name="app") == 4
        for metric in LIVE:
            assert pids(seen, metric) == workers, metric.name
        assert {s.value for s in seen.samples if s.name == c.MAX.prometheus_name} == {5.0}
        assert {s.value for s in seen.samples if s.name == c.IN_USE.prometheus_name} == {0.0}
        assert not any(
            "pid" in s.labels for s in seen.samples if s.name.endswith(("_total", "_count", "_bucket", "_sum"))
        )
        assert "_created" not in seen.text
        types = [line for line in seen.text.splitlines() if line.startswith("# TYPE")]
        assert len(types) == len(set(types))
        for metric in (c.BUSY_TIME, c.OLDEST_PENDING_AGE, c.OLDEST_USE_AGE):
            assert metric.prometheus_name not in seen.text

        victim = min(workers)
        os.kill(victim, signal.SIGKILL)
        assert app.expect("ended") == victim
        app.expect("started")
        later = app.scrape()
        for metric in LIVE:
            assert victim not in pids(later, metric), metric.name
        assert later(c.CHECKOUTS, **here) == 12
        assert later(c.CLOSED, **here) == 0


def test_what_the_rules_are_tested_with_is_what_workers_expose(directory):
    """Recorded again: the same metrics with the same labels as the committed recording."""
    assert shape(recording(directory)) == shape(RECORDED.read_text())


@pytest.mark.parametrize(
    ("old", "new"),
    [('pid="', 'worker="'), ("http_client_connection_checkouts_total", "checkouts"), ('le="5.0"', 'le="5"')],
)
def test_another_shape_is_seen(old, new):
    text = RECORDED.read_text()
    assert old in text
    assert shape(text.replace(old, new)) != shape(text)


def test_every_reason_and_cause_stands_at_zero_before_anything_happened(directory):
    """An alert on increase() sees the first event, because its series was there at zero."""
    with gunicorn(directory) as app:
        seen = app.scrape()
    for metric, label, values in (
        (c.CLOSED, c.REASON, c.REASONS),
        (c.TIMEOUTS, c.CAUSE, c.CAUSES),
        (c.ACQUISITIONS, c.SOURCE, c.SOURCES),
        (c.REQUEUES, c.STAGE, c.STAGES),
    ):
        samples = [s for s in seen.samples if s.name == metric.prometheus_name]
        assert {s.labels[c.prometheus_label(label)] for s in samples} == set(values)
        assert {s.value for s in samples} == {0.0}
        assert len(samples) == len(values)


def test_clients_dropped_unclosed_leave_no_level_behind(directory):
    """Their connections close as dropped with the next pool's making; one of them may still be to be found."""
    with Server() as server, gunicorn(directory) as app:
        for _ in range(20):
            app.get(f"/drop?url={server.url()}")
        seen = app.scrape()
    here = {"pool_name": "short", "port": str(server.port)}
    assert imbalances(seen) == []
    assert seen(c.OPENED, **here) == 20
    assert seen(c.OPEN_CONNECTIONS, **here) <= 4  # at most the last one of each worker
    assert seen(c.POOLS, pool_name="short") <= 4
    assert seen(c.CLOSED, reason="dropped", **here) == 20 - seen(c.OPEN_CONNECTIONS, **here)


def alone(code: str, **variables) -> subprocess.CompletedProcess:
    """Run some code in a process of its own, warnings being errors."""
    environment = {**os.environ, **variables}
    # prometheus_client never closes its own files
    command = [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment, check=False)


EXPOSE = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def exposed_after(code: str, directory) -> Exposition:
    """Run some code that speaks to a server at URL; give what its files say at its end, which has to balance."""
    with Server() as server:
        code = (code + EXPOSE).replace("URL", repr(server.url()))
        done = alone(code, PROMETHEUS_MULTIPROC_DIR=str(directory))
    assert done.stderr == ""
    seen = Exposition(done.stdout)
    assert imbalances(seen) == []
    return seen


def test_two_registries_share_the_files_of_a_process(directory):
    """What two sinks count is counted once each: they do not write over each other."""
    code = """
import httpx
from prometheus_client import CollectorRegistry, generate_latest
from poolscope import InstrumentedSyncTransport, PrometheusSink
registries = [CollectorRegistry(), CollectorRegistry()]
clients = [
    httpx.Client(transport=InstrumentedSyncTransport(name="a", sinks=[PrometheusSink(registry)]))
    for registry in registries
]
for client in clients * 3:
    client.get(URL)
for client in clients:
    client.close()
assert [generate_latest(registry) for registry in registries] == [b"", b""]  # the files alone are exposed
"""
    seen = exposed_after(code, directory)
    assert seen(c.CHECKOUTS, pool_name="a") == 6
    assert (seen(c.POOLS_OPENED, pool_name="a"), seen(c.POOLS, pool_name="a")) == (2, 0)


def test_workers_that_inherit_a_pool_balance_with_their_parent(directory):
    """A request before the fork, as a preloaded application sends it: what the parent opened no worker closes."""
    code = """
import os, time, httpx
from poolscope import InstrumentedSyncTransport, PrometheusSink
limits = httpx.Limits(keepalive_expiry=0.1)
client = httpx.Client(transport=InstrumentedSyncTransport(name="a", sinks=[PrometheusSink()], limits=limits))
streamed = client.send(client.build_request("GET", URL), stream=True)
client.get(URL)
time.sleep(0.2)
for _ in range(3):
    pid = os.fork()
    if not pid:
        client.get(URL), client.get(URL), streamed.close(), client.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
    seen = exposed_after(code, directory)
    assert (seen(c.CHECKOUTS), seen(c.OPENED), seen(c.OPEN_CONNECTIONS), seen(c.CHECKED_OUT)) == (8, 5, 2, 1)
    assert all(sample.value >= 0 for sample in seen.samples)


def test_thousands_of_pools_of_one_name_are_forgotten(directory):
    """Nothing is kept of a pool that ended, and the fullest live pool of a name is the one shown."""
    code = """
import gc, httpx
from prometheus_client import CollectorRegistry
from poolscope import InstrumentedSyncTransport, PrometheusSink
from poolscope.sinks._multiprocess import MultiprocessMetrics
sink, context = PrometheusSink(CollectorRegistry()), httpx.create_ssl_context()
def make():
    return InstrumentedSyncTransport(name="many", sinks=[sink], verify=context, limits=httpx.Limits(max_connections=7))
kept = make()
for _ in range(2_000):
    make()
gc.collect()
metrics = MultiprocessMetrics.of_this_process(opt_in=False)
assert len(metrics._feeds["many"]) <= 4, len(metrics._feeds["many"])
assert len(metrics._points) < 100, len(metrics._points)
"""
    done = alone(code, PROMETHEUS_MULTIPROC_DIR=str(directory))
    assert done.stderr == ""


def test_a_directory_that_is_not_there_is_one_clear_error(tmp_path):
    """Not a fault in the log of each pool: the sink is refused when it is made."""
    code = "from poolscope import PrometheusSink\ntry: PrometheusSink()\nexcept ValueError as exc: print(exc)"
    path = str(tmp_path / "nowhere")
    done = alone(code, PROMETHEUS_MULTIPROC_DIR=path)
    assert done.stdout.strip() == f"PROMETHEUS_MULTIPROC_DIR takes a directory that exists, got {path!r}", done.stderr


def test_child_exit_does_nothing_outside_the_mode():
    """One gunicorn configuration serves with and without the mode."""
    from types import SimpleNamespace

    from poolscope.sinks.prometheus import child_exit

    child_exit(None, SimpleNamespace(pid=1))

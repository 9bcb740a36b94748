"""End to end: the transport under the demo's load, a real Prometheus, a real Alertmanager, a webhook.

The rules' clock runs sixty times as fast: ten minutes are ten seconds. Two processes do the same at the same time, one
with the native sink and one with OpenTelemetry's. Each stage lasts until its alert has arrived from both, and then
until what it set off is over; what else arrives fails the test.
"""

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import promql_parser as promql
import pytest

from alerting import lint
from alerting.asking import BOARDS, answers
from alerting.servers import alertmanager as running_alertmanager
from alerting.servers import get, until
from alerting.servers import prometheus as running_prometheus
from poolscope import _contract as c
from poolscope.alerts.forms import prometheus
from poolscope.alerts.promql import POOL
from poolscope.alerts.routing import alertmanager
from poolscope.alerts.rules import CHECKOUTS_SLOW, CREATION_SPIKE, UTILIZATION, rules
from poolscope.alerts.settings import Settings
from poolscope.cli._server import origins
from poolscope.cli._stages import CHURN, SLOTS, STEADY

FACTOR = 60
FAST = Settings().scaled(FACTOR)
SINKS = ("native", "otel")
SECONDS = 60


class Inbox:
    """A webhook's memory: every change of an alert, in the order of arrival, with the stage it came in."""

    def __init__(self) -> None:
        self.stage = ""
        self.events: list[tuple[str, ...]] = []
        self.last: dict[tuple[str, ...], str] = {}
        self.lock = threading.Lock()

    def take(self, message: dict) -> None:
        with self.lock:
            for alert in message["alerts"]:
                labels = alert["labels"]
                which = (labels["alertname"], labels[POOL], labels["job"])
                if self.last.get(which) != alert["status"]:  # a group is sent again as a whole
                    self.events.append((self.stage, alert["status"], *which))
                self.last[which] = alert["status"]

    def has(self, status: str, alert: str, pool: str) -> bool:
        """Say whether it has come from both processes in this stage or, resolved, in any."""
        with self.lock:
            seen = {e[1:] for e in self.events if status == "resolved" or e[0] == self.stage}
        return all((status, alert, pool, sink) in seen for sink in SINKS)

    @contextmanager
    def served(self):
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                inbox.take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Pools:
    """The load of one process."""

    def __init__(self, kind: str, origin: int, stack: ExitStack) -> None:
        command = [sys.executable, str(Path(__file__).parent / "alerting/load.py"), kind, str(origin)]
        self.process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(self.process.kill)
        self.kind, self.port = kind, int(self.process.stdout.readline())

    def tell(self, *words: object) -> None:
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"


def configuration(pools: list[Pools], rules_file: Path, alertmanager_url: str) -> str:
    targets = [{"targets": [f"127.0.0.1:{p.port}"], "labels": {"job": p.kind}} for p in pools]
    every = f"{round(FAST.utilization_step * 1000)}ms"
    tree = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": "500ms"},
        "rule_files": [str(rules_file)],
        "scrape_configs": [{"job_name": "pools", "static_configs": targets}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]},
    }
    return json.dumps(tree)


@pytest.fixture(scope="module")
def stack():
    with ExitStack() as everything:
        yield everything


@pytest.fixture(scope="module")
def live(stack, tmp_path_factory):
    """Start everything, with a light load on both pools; give what the stages need."""
    folder, inbox = tmp_path_factory.mktemp("live"), Inbox()
    (origin,) = stack.enter_context(origins(1))
    pools = [Pools(kind, origin, stack) for kind in SINKS]
    webhook = stack.enter_context(inbox.served())
    config = alertmanager(webhook, group_wait="500ms", group_interval="500ms")
    manager = stack.enter_context(running_alertmanager(folder, config))
    rules_file = folder / "rules.yml"
    rules_file.write_text(prometheus(rules(FAST), FAST))
    url = stack.enter_context(running_prometheus(folder, configuration(pools, rules_file, manager)))
    for each in pools:
        each.tell("start", CHURN, 1, 0.05, 0)
    return pools, inbox, manager, url


def suppressed(manager: str, alert: str) -> bool:
    """Say whether Alertmanager holds the alert of both processes back."""
    alerts = get(f"{manager}/api/v2/alerts")
    silent = {a["labels"]["job"] for a in alerts if a["labels"]["alertname"] == alert and a["status"]["inhibitedBy"]}
    return silent == set(SINKS)


def begin(inbox: Inbox, pools: list[Pools], stage: str, pool: str, load: tuple[float, ...]) -> None:
    inbox.stage = stage
    for each in pools:
        if pool == CHURN:
            each.tell("stop", pool)
        each.tell("start", pool, *load)


def end(pools: list[Pools], pool: str) -> None:
    for each in pools:
        each.tell("stop", pool)
        if pool == CHURN:
            each.tell("start", pool, 1, 0.05, 0)


@pytest.mark.timeout(240)
def test_each_alert_arrives_in_its_stage_and_nothing_else_does(live):
    pools, inbox, manager, _ = live
    begin(inbox, pools, "utilization", STEADY, (SLOTS, 1.0, 0.5))
    until(lambda: inbox.has("firing", UTILIZATION, STEADY), f"utilization: {inbox.events}", SECONDS)
    end(pools, STEADY)
    until(lambda: inbox.has("resolved", UTILIZATION, STEADY), f"its end: {inbox.events}", SECONDS)

    begin(inbox, pools, "waits", STEADY, (8 * SLOTS, 1.0, 0.0))
    until(lambda: inbox.has("firing", CHECKOUTS_SLOW, STEADY), f"waits: {inbox.events}", SECONDS)
    until(lambda: suppressed(manager, UTILIZATION), "utilization held back by waits", SECONDS)
    end(pools, STEADY)

    begin(inbox, pools, "spike", CHURN, (6, 0.05, 0.5))
    until(lambda: inbox.has("firing", CREATION_SPIKE, CHURN), f"spike: {inbox.events}", SECONDS)
    end(pools, CHURN)
    until(lambda: inbox.has("resolved", CHECKOUTS_SLOW, STEADY), f"end of waits: {inbox.events}", SECONDS)
    until(lambda: inbox.has("resolved", CREATION_SPIKE, CHURN), f"end of spike: {inbox.events}", SECONDS)

    fired = [(stage, alert, pool, job) for stage, status, alert, pool, job in inbox.events if status == "firing"]
    due = (("utilization", UTILIZATION, STEADY), ("waits", CHECKOUTS_SLOW, STEADY), ("spike", CREATION_SPIKE, CHURN))
    assert sorted(fired) == sorted((*each, sink) for each in due for sink in SINKS)


SILENT = {c.REQUESTS_SERVED, c.IDLE_TIME}
"""Opt-in metrics."""


def in_rules_time(board: dict) -> dict:
    """Give a dashboard whose hours and minutes are on the rules' clock."""
    text = json.dumps(board)
    for plain, fast in (("[1h]", "[60s]"), ("offset 10m", "offset 10s"), (":1m]", ":1s]")):
        text = text.replace(plain, fast)
    return json.loads(text)


def silent(name: str) -> bool:
    metric = lint.metric_of(name)
    return metric in SILENT


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_has_data_from_the_transport(live, name):
    *_, url = live
    waits = f'rate({c.WAIT_TIME.prometheus_name}_count{{job="otel"}}[5s])'
    until(lambda: get(f"{url}/api/v1/query", query=waits)["data"]["result"], "waits of both sinks")
    board = in_rules_time(BOARDS[name])
    found = answers(url, board, time.time(), 30, "5s")
    assert [(place, series) for place, series in found.items() if isinstance(series, str)] == []
    about = {place: promql.parse(lint.plain(expr)) for place, expr in lint.queries(board)}
    empty = {place for place, series in found.items() if not series} - {"Firing alerts", "Process starts"}
    assert {p for p in empty if not any(silent(s.name) for s in lint.selectors(about[p]))} == set()

"""How long the rules and the dashboards take on many instances: synthetic history in a real Prometheus.

`python benchmarks/alerts_scale.py [INSTANCES=1000] [--write]`: three pools each, an hour and a quarter at a sample
each 15 s, pushed instance by instance. Every rule's expression is timed at the end of the history, and every panel's
over the dashboard's own hour, a point a minute: the fleet's for all instances, plain and as it reads what the
recording rules made; the other's for one pool. `--write` puts the tables into docs/dashboards.md.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from alerting import asking, lint  # noqa: E402
from alerting.history import Plan, flat, moment  # noqa: E402
from alerting.servers import prometheus  # noqa: E402
from alerting.sim import STEP  # noqa: E402
from poolscope import _contract as c  # noqa: E402
from poolscope.alerts import recording  # noqa: E402
from poolscope.alerts.rules import rules  # noqa: E402
from pushing import RECORDED_EACH, Endpoint, Packed  # noqa: E402

MINUTES = 75
SLICE = 45
"""The head of a Prometheus takes nothing that is an hour older than its newest sample: first these minutes of all."""
POOLS = ("payments", "search", "orders")
HISTORIES = 10
LIMIT = 1.0
UNITS = ("seconds", "processor")
PAGE = ROOT / "docs/dashboards.md"
MARKS = ("<!-- benchmarks/alerts_scale.py --write -->\n", "<!-- end -->")


def name(number: int) -> str:
    return f"shop-{number:05}:8000"


def plans(which: int) -> list[Plan]:
    """Give the pools of one history: the first one's are full, the others' are loaded up to two thirds."""
    load = 240 if not which else 40 + 9 * which
    return [
        Plan("shop", name(0), pool, arrivals=flat(load), origins=((f"{pool}.example", "443", 1.0),)) for pool in POOLS
    ]


def slices(which: int, start: float) -> Iterator[bytes]:
    """Write one instance's history, in two parts."""
    import random

    writer = Packed()
    for first, last in ((0, SLICE), (SLICE, MINUTES)):
        for plan in plans(which):
            noise = random.Random(f"{which} {plan.pool} {first}")
            for i in range(first * 60 // STEP, last * 60 // STEP):
                moment(writer, plan, i * STEP / 60, start + i * STEP, noise)
                if (start + i * STEP) % RECORDED_EACH < STEP:
                    for each in recording.RECORDINGS:
                        labels = {"job": plan.job, "instance": plan.instance, c.POOL: plan.pool}
                        writer.level(each.name, labels, noise.random(), start + i * STEP)
        yield writer.taken()


def fill(url: str, instances: int, start: float) -> None:
    """Push every instance's history, the older part of all of them first."""
    endpoint, written = Endpoint(url), [slices(which, start) for which in range(HISTORIES)]
    for _ in range(2):
        bodies = [next(parts) for parts in written]
        for i in range(instances):
            endpoint.push(bodies[i % HISTORIES].replace(name(0).encode(), name(i).encode()))


@dataclass
class Took:
    """What a query took: seconds on this machine with its other work, and of the server's processor."""

    what: str
    seconds: float
    processor: float

    def cost(self) -> float:
        return self.processor

    def row(self, *more: str) -> str:
        return f"| {' | '.join([self.what, f'{self.seconds:.2f}', f'{self.processor:.2f}', *more])} |"


def processor(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=300) as response:
        return float(re.search(r"^process_cpu_seconds_total (\S+)", response.read().decode(), re.MULTILINE)[1])


def timed(url: str, what: str, query: str, end: float, *, instant: bool) -> Took:
    """Ask for an instant, the best of three, or once over an hour at a point a minute; the answer's transfer counts."""
    return min((once(url, what, query, end, instant=instant) for _ in range(3 if instant else 1)), key=Took.cost)


def once(url: str, what: str, query: str, end: float, *, instant: bool) -> Took:
    span = {"time": end} if instant else {"start": end - 3600, "end": end, "step": 60}
    target = f"{url}/api/v1/{'query' if instant else 'query_range'}?{urllib.parse.urlencode({'query': query, **span})}"
    before, began = processor(url), time.perf_counter()
    with urllib.request.urlopen(target, timeout=300) as response:
        assert json.load(response)["status"] == "success"
    return Took(what, time.perf_counter() - began, processor(url) - before)


def panels(url: str, end: float, name: str, chosen: dict[str, str]) -> Iterator[tuple[Took, Took]]:
    """Time every query of a dashboard: as it is, and as it reads what is recorded."""
    board = asking.BOARDS[name]
    tables = {panel["title"] for panel in lint.panels(board) if panel["type"] == "table"}
    for place, expr in lint.queries(board):
        plain, instant = asking.filled(expr, 3600, "1m", chosen), place[:-2] in tables
        took = timed(url, place, plain, end, instant=instant)
        read = asking.filled(recording.reading(expr), 3600, "1m", chosen)
        yield took, took if read == plain else timed(url, place, read, end, instant=instant)


def measured(url: str, instances: int, end: float) -> Iterator[str]:
    """Time everything, and say it in lines: rules, recording rules, the fleet's panels, the one pool's."""
    series = asking.get(f"{url}/api/v1/query", query='count({job="shop", __name__!~"pool:.*"})', time=end)
    count = int(series["data"]["result"][0]["value"][1])
    yield f"{instances:,} instances of {len(POOLS)} pools, {count:,} series, a sample each {STEP} s,"
    yield f"on {os.cpu_count()} cores that do other work, too:"
    yield from ("", "| evaluated | seconds | of the processor |", "|---|--:|--:|")
    alerts = [timed(url, rule.name, rule.expression, end, instant=True) for rule in rules()]
    recordings = [timed(url, name, expr, end, instant=True) for name, expr in recording.rules()]
    yield from (took.row() for took in alerts)
    for what, all_of in (("all alerts", alerts), ("all recording rules", recordings)):
        yield Took(what, sum(t.seconds for t in all_of), sum(t.processor for t in all_of)).row()
    slowest = max(recordings, key=lambda t: t.processor)
    yield Took(f"the slowest one, `{slowest.what}`", slowest.seconds, slowest.processor).row()
    yield from ("", "| a panel's query over an hour | seconds | of the processor | recorded | of the processor |")
    yield "|---|--:|--:|--:|--:|"
    asked = sorted(panels(url, end, "connection-pool", {}), key=lambda pair: -pair[0].processor)
    for plain, read in asked:
        if max(plain.processor, read.processor) >= LIMIT / 2:
            yield plain.row(f"{read.seconds:.2f}", f"{read.processor:.2f}")
    few = sum(max(plain.processor, read.processor) < LIMIT / 2 for plain, read in asked)
    yield f"| each of the {few} other queries | | < {LIMIT / 2:g} | | < {LIMIT / 2:g} |"
    sums = [sum(getattr(t, unit) for t in which) for which in zip(*asked, strict=True) for unit in UNITS]
    yield f"| all {len(asked)}, one after the other | {' | '.join(f'{value:.1f}' for value in sums)} |"
    alone = [plain for plain, _ in panels(url, end, "one-pool", {"job": "shop", "instance": name(0), "pool": POOLS[0]})]
    slowest = max(alone, key=lambda took: took.seconds)
    yield f"| One pool: the slowest of {len(alone)} | {slowest.seconds:.2f} | {slowest.processor:.2f} | | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("instances", type=int, nargs="?", default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = int(time.time()) - MINUTES * 60
        flags = ("--web.enable-remote-write-receiver", "--query.timeout=5m", "--query.max-samples=200000000")
        with prometheus(Path(folder), "", *flags) as url:
            began = time.perf_counter()
            fill(url, options.instances, start)
            print(f"{time.perf_counter() - began:.0f} s to write", file=sys.stderr)
            table = ""
            for line in measured(url, options.instances, start + MINUTES * 60 - STEP):
                print(line, flush=True)
                table += f"{line}\n"
    if options.write:
        text = PAGE.read_text()
        inside = re.compile(f"(?<={re.escape(MARKS[0])}).*?(?={re.escape(MARKS[1])})", re.DOTALL)
        PAGE.write_text(inside.sub(lambda _: table, text))


if __name__ == "__main__":
    main()

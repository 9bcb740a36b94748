"""How long the rules and the dashboards take on many instances: synthetic history in a real Prometheus.

`python benchmarks/alerts_scale.py [INSTANCES=1000]`: three pools each, an hour and a quarter, a sample each minute
(the rules' own windows on a fourth of the samples), printed per rule and for the ten slowest panels.
"""

import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from alerting import asking, lint  # noqa: E402
from alerting.history import Plan, Writer, moment  # noqa: E402
from alerting.servers import backfill, prometheus  # noqa: E402
from poolscope.alerts.rules import rules  # noqa: E402

MINUTES = 75
POOLS = ("payments", "search", "bank")


def timed(url: str, path: str, **query: object) -> float:
    """Give the seconds that a query takes, answer included."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(query)}", timeout=300) as response:
        response.read()
    return time.perf_counter() - began


def history(instances: int, start: float) -> str:
    """Write one instance's history, and its lines again for every other one: the names differ, the numbers do not."""
    import random

    writer = Writer()
    for name in POOLS:
        plan = Plan("shop", "shop-0:8000", name, origins=((f"{name}.example", "443", 1.0),))
        noise = random.Random(name)
        for minute in range(MINUTES):
            moment(writer, plan, minute, start + minute * 60, noise)
    lines = writer.text().splitlines()
    mark = 'instance="shop-0:8000"'
    out = []
    for line in lines:
        out += [line.replace(mark, f'instance="shop-{i}:8000"') for i in range(instances)] if mark in line else [line]
    return "\n".join([*out, ""])


def main() -> None:
    instances = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        start = int(time.time()) - MINUTES * 60
        backfill(Path(folder), history(instances, start))
        end = start + MINUTES * 60 - 60
        with prometheus(Path(folder), "", "--query.timeout=5m", "--query.max-samples=200000000") as url:
            series = asking.get(f"{url}/api/v1/query", query='count({job="shop"})', time=end)["data"]["result"]
            print(f"{instances} instances, {len(POOLS)} pools each, {series[0]['value'][1]} series")
            for rule in rules():
                print(f"{timed(url, '/api/v1/query', query=rule.expression, time=end):7.2f} s  {rule.name}")
            times = []
            for name, board in asking.BOARDS.items():
                tables = {panel["title"] for panel in lint.panels(board) if panel["type"] == "table"}
                for place, expr in lint.queries(board):
                    query, span = asking.filled(expr, 3600, "4m"), {"start": end - 3600, "end": end, "step": 60}
                    if place[:-2] in tables:
                        seconds = timed(url, "/api/v1/query", query=query, time=end)
                    else:
                        seconds = timed(url, "/api/v1/query_range", query=query, **span)
                    times.append((seconds, name, place))
            for seconds, name, place in sorted(times, reverse=True)[:10]:
                print(f"{seconds:7.2f} s  {name}: {place}")
            print(f"{sum(t[0] for t in times if t[1] == 'connection-pool'):7.2f} s  all of connection-pool, one by one")


if __name__ == "__main__":
    main()

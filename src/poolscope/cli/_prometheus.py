"""Asks a Prometheus for the pools' metrics at one moment, over its HTTP API."""

import json
import math

from poolscope.cli._errors import CommandError
from poolscope.cli._exposition import Scrape
from poolscope.cli._scrape import SCRAPE_SECONDS, Target, fetch

_NAMES = '__name__=~"http_client_(connection_.+|open_connections)"'


async def at_moment(target: Target, selector: str, epoch_seconds: float, seconds: float = SCRAPE_SECONDS) -> Scrape:
    """Give what Prometheus had at that moment. Raises CommandError where it gives no answer that can be read."""
    query = f"{{{_NAMES}{', ' if selector else ''}{selector}}}"
    url = target.url.copy_with(path=target.url.path.removesuffix("/metrics").rstrip("/") + "/api/v1/query")
    asked = Target(url.copy_merge_params({"query": query, "time": f"{epoch_seconds:.3f}"}), _shown(target), target.name)
    body = await fetch(asked, seconds)
    try:
        result = json.loads(body)["data"]["result"]
        series = [(dict(one["metric"]), float(one["value"][1])) for one in result]
        for labels, _ in series:
            float(labels.get("le", 0))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise CommandError(f"{_shown(target)}: not what Prometheus answers to a query") from None
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for labels, value in series:
        if math.isfinite(value):
            samples.setdefault(labels.pop("__name__", ""), []).append((labels, value))
    return Scrape(epoch_seconds, samples)


def _shown(target: Target) -> str:
    return target.shown.removesuffix("/metrics")

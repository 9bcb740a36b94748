"""Asks a Prometheus every question that a dashboard asks: queries, variables, annotations."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from alerting import lint
from alerting.servers import get

ROOT = Path(__file__).parents[2]
BOARDS = {p.stem: json.loads(p.read_text()) for p in sorted((ROOT / "dashboards/grafana").glob("*.json"))}


def filled(expr: str, span: float, rate: str = "1m", chosen: Mapping[str, str] = MappingProxyType({})) -> str:
    """Put values where Grafana does: the chosen one, or all of each variable."""
    expr = expr.replace("$__rate_interval", rate).replace("$__range", f"{span:g}s")
    return re.sub(r"\$(job|instance|pool)\b", lambda found: chosen.get(found[1], ".+"), expr)


def answers(url: str, board: dict, end: float, span: float, rate: str = "1m") -> dict[str, object]:
    """Give each query's series by its place, or the error's text."""
    found: dict[str, object] = {}
    for place, expr in lint.queries(board):
        query = {"query": filled(expr, span, rate), "start": end - span, "end": end, "step": max(1, span / 60)}
        try:
            found[place] = get(f"{url}/api/v1/query_range", **query)["data"]["result"]
        except urllib.error.HTTPError as error:
            found[place] = json.load(error)["error"]
    return found


def values(url: str, board: dict, start: float, end: float) -> dict[str, list[str]]:
    """Give what each variable offers."""
    found = {}
    for name, variable in lint.variables(board).items():
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]).groups()
            match = {"match[]": filled(selector, end - start), "start": start, "end": end}
            found[name] = get(f"{url}/api/v1/label/{label}/values", **match)["data"]
    return found

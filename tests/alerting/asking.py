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


def escaped(value: str) -> str:
    """Give a value as Grafana puts it into a regular expression inside a PromQL string."""
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\" * 4))


def chosen(board: dict, **values: str) -> dict[str, str]:
    """Give what Grafana puts in for each variable: it escapes only where more than one value could be chosen."""
    many = {name: v["allValue"] for name, v in lint.variables(board).items() if v.get("multi")}
    return many | {name: escaped(value) if name in many else value for name, value in values.items()}


def filled(expr: str, span: float, rate: str = "1m", put: Mapping[str, str] = MappingProxyType({})) -> str:
    """Put values where Grafana does. Where none is given: every value at once, whatever the variable takes."""
    expr = expr.replace("$__rate_interval", rate).replace("$__range", f"{span:g}s").replace("$__from", "0")
    for name in ("job", "instance", "pool"):
        found = rf'"\${name}"'
        value = put.get(name)
        expr = (
            re.sub(f"=~?{found}", '=~".+"', expr) if value is None else re.sub(found, lambda _, v=value: f'"{v}"', expr)
        )
    return expr


def answers(
    url: str, board: dict, end: float, span: float, rate: str = "1m", put: Mapping[str, str] = MappingProxyType({})
) -> dict[str, object]:
    """Give each query's series by its place, or the error's text."""
    found: dict[str, object] = {}
    for place, expr in lint.queries(board):
        query = {"query": filled(expr, span, rate, put), "start": end - span, "end": end, "step": max(1, span / 60)}
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

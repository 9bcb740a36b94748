"""What must hold for a dashboard: each rule is a function from a dashboard to complaints, named after what it guards.

The first eight are dashboard-linter's, ported; the rest go beyond it.
"""

import dataclasses
import re
from collections.abc import Iterator
from itertools import combinations

import promql_parser as promql

from poolscope import _contract as c
from poolscope.alerts.promql import POOL
from poolscope.alerts.rules import rules
from poolscope.alerts.settings import Settings

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
FOREIGN = {"ALERTS", "process_start_time_seconds"}
TARGET_LABELS = {"job", "instance", "cluster", "namespace", "le", "pid"}
SUFFIXES = ("_bucket", "_count", "_sum")
NAMES = {metric.prometheus_name: metric for metric in c.METRICS}


def panels(board: dict) -> list[dict]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: dict) -> dict[str, dict]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def queries(board: dict) -> Iterator[tuple[str, str]]:
    """Give every expression with the place it stands at."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for note in board["annotations"]["list"]:
        yield note["name"], note["expr"]


def plain(expr: str) -> str:
    """Put numbers where Grafana puts its own."""
    return expr.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$__from", "0")


def selectors(node) -> Iterator:
    """Give every selector of a syntax tree."""
    if isinstance(node, promql.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "args"):
        child = getattr(node, name, None)
        for each in child if isinstance(child, list) else [child] * (child is not None):
            if not isinstance(each, str):
                yield from selectors(each)


def metric_of(name: str) -> c.Metric | None:
    for suffix in SUFFIXES:
        base = name.removesuffix(suffix)
        if base != name and base in NAMES and NAMES[base].kind == "histogram":
            return NAMES[base]
    found = NAMES.get(name)
    return None if found and found.kind == "histogram" else found


def data_source(board):
    if variables(board).get("datasource", {}).get("type") != "datasource":
        yield "no data source variable"
    places = [*board["templating"]["list"][1:], *board["annotations"]["list"], *panels(board)]
    places += [target for panel in panels(board) for target in panel["targets"]]
    yield from ("another data source" for place in places if place.get("datasource") != SOURCE)


def target_variables(board):
    many = board["uid"].endswith("connection-pool")
    for name in ("job", "instance", "pool"):
        variable = variables(board).get(name, {})
        if variable.get("refresh") != 2:
            yield f"{name} is not refreshed on time change"
        every = ".*" if name == "instance" else ".+"
        if (variable.get("multi", False), variable.get("allValue")) != ((True, every) if many else (False, None)):
            yield f"{name} does not take what it should"


def matched_by(board: dict, variable: str) -> str:
    """Grafana escapes a value for a regular expression only where more than one can be chosen."""
    return str(promql.MatchOp.Re if variables(board)[variable].get("multi") else promql.MatchOp.Equal)


def selectors_are_narrowed(board):
    for place, expr in queries(board):
        for selector in selectors(promql.parse(plain(expr))):
            have = {(m.name, str(m.op), m.value) for m in selector.matchers.matchers}
            metric = metric_of(selector.name)
            names = {"job": "job", "instance": "instance"} | (
                {"pool": POOL} if metric and c.POOL in metric.labels else {}
            )
            need = {(label, matched_by(board, name), f"${name}") for name, label in names.items()}
            if not need <= have:
                yield f"{place}: {selector.name} lacks {sorted(need - have)}"


def rates_follow_the_picture(board):
    for place, expr in queries(board):
        for window in re.findall(r"rate\([^\[]*\[([^\]]*)\]", re.sub(r'"[^"]*"', "", expr)):
            if window != "$__rate_interval" and "offset" not in expr:
                yield f"{place}: rate over {window}"


def panels_say_what_they_are(board):
    for panel in panels(board):
        for what, text in (
            ("title", panel.get("title")),
            ("description", panel.get("description")),
            ("unit", panel["fieldConfig"]["defaults"].get("unit")),
        ):
            if not text:
                yield f"{panel.get('title')}: no {what}"
        if not str(panel.get("description")).endswith("."):
            yield f"{panel.get('title')}: a description is sentences"


def rates_are_no_times(board):
    """A curve of events a second has a unit of its own on a panel of seconds."""
    for panel in panels(board):
        if (panel["type"], panel["fieldConfig"]["defaults"].get("unit")) != ("timeseries", "s"):
            continue
        own = [o for o in panel["fieldConfig"]["overrides"] if "unit" in {p["id"] for p in o["properties"]}]
        for target in panel["targets"]:
            named = [o for o in own if re.fullmatch(o["matcher"]["options"], target["legendFormat"])]
            if "rate(" in target["expr"] and "histogram_quantile" not in target["expr"] and not named:
                yield f"{panel['title']}: {target['legendFormat']}"


def not_editable(board):
    if board.get("editable") is not False:
        yield "editable"


def queries_parse(board):
    for place, expr in queries(board):
        try:
            promql.parse(plain(expr))
        except ValueError as error:
            yield f"{place}: {error}"


def links_are_whole(board):
    known = {f"/d/{uid}" for uid in ("httpx-connection-pool", "httpx-one-pool")}
    text = [link["url"] for link in board.get("links", [])]
    for panel in panels(board):
        for override in panel["fieldConfig"]["overrides"]:
            text += [x["url"] for p in override["properties"] if p["id"] == "links" for x in p["value"]]
    yield from (f"leads nowhere: {url}" for url in text if url.split("?")[0] not in known)


def ids_and_titles_are_unique(board):
    for key in ("id", "title"):
        seen = [panel[key] for panel in board["panels"]]
        yield from (f"{key} {value} twice" for value in {v for v in seen if seen.count(v) > 1})


def nothing_overlaps(board):
    for panel in board["panels"]:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"{panel['title']} leaves the grid"
    for one, two in combinations(board["panels"], 2):
        a, b = one["gridPos"], two["gridPos"]
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        if not apart and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]:
            yield f"{one['title']} overlaps {two['title']}"


def no_panel_says_no_data(board):
    yield from (p["title"] for p in panels(board) if not p["fieldConfig"]["defaults"].get("noValue"))


def no_zero_out_of_nothing(board):
    """`or vector(0)` is a healthy zero where nothing is measured."""
    yield from (place for place, expr in queries(board) if "vector(" in expr)


def lines_are_the_alerts(board):
    """Every threshold is an alert's number, or 1: the limit itself, and the first of anything."""
    known = {getattr(Settings(), f.name) for f in dataclasses.fields(Settings)} | {None, 1}
    for panel in panels(board):
        configs = [panel["fieldConfig"]["defaults"].get("thresholds")]
        for override in panel["fieldConfig"]["overrides"]:
            configs += [p["value"] for p in override["properties"] if p["id"] == "thresholds"]
        for config in filter(None, configs):
            yield from (f"{panel['title']}: {s['value']}" for s in config["steps"] if s["value"] not in known)


def annotations_name_alerts(board):
    names = {rule.name for rule in rules()}
    notes = "\n".join(note["expr"] for note in board["annotations"]["list"])
    said = set(re.findall(r"HttpxPool\w+", notes))
    yield from sorted(names ^ said)


def texts_name_alerts(board):
    names = {rule.name for rule in rules()}
    for panel in panels(board):
        yield from (n for n in re.findall(r"HttpxPool\w+", panel["description"]) if n not in names)


def metrics_are_exported(board):
    for place, expr in queries(board):
        for selector in selectors(promql.parse(plain(expr))):
            if not metric_of(selector.name) and selector.name not in FOREIGN:
                yield f"{place}: {selector.name}"


def labels_exist(board):
    """Every label that a query groups, joins or matches by, and every one that a legend shows."""
    known = {c.prometheus_label(label) for metric in c.METRICS for label in metric.labels} | TARGET_LABELS
    known |= {"alertstate", "alertname"}
    for panel in panels(board):
        for target in panel["targets"]:
            expr = target["expr"]
            lists = re.findall(r"(?:by|on|without|group_left) \(([^()]*)\)", expr)
            used = {name for names in lists for name in names.split(", ") if name}
            used |= {m.name for s in selectors(promql.parse(plain(expr))) for m in s.matchers.matchers}
            used |= set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            yield from (f"{panel['title']}: label {name}" for name in sorted(used - known))


def importable(board):
    if "__inputs" in board or board.get("id") is not None:
        yield "provisioning refuses it"


RULES = [
    queries_parse, data_source, target_variables, selectors_are_narrowed, rates_follow_the_picture,
    panels_say_what_they_are, rates_are_no_times, not_editable, links_are_whole, ids_and_titles_are_unique,
    nothing_overlaps, no_panel_says_no_data, no_zero_out_of_nothing, lines_are_the_alerts, annotations_name_alerts,
    texts_name_alerts, metrics_are_exported, labels_exist, importable,
]  # fmt: skip


def metrics_on(board: dict) -> set[str]:
    """Give the contract's names of the metrics that a dashboard shows."""
    found = set()
    for _, expr in queries(board):
        found |= {metric_of(s.name).name for s in selectors(promql.parse(plain(expr))) if metric_of(s.name)}
    return found

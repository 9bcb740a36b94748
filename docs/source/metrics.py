"""Writes the page of every metric from the contract, with a query for each and the meaning of each label's values."""

from collections.abc import Mapping
from textwrap import fill

from poolscope import _contract as c

_POOL = c.prometheus_label(c.POOL)

QUERIES: dict[c.Metric, tuple[str, str]] = {
    c.CHECKOUTS: ("Requests a second, by pool", "sum by ({P}) (rate({it}[5m]))"),
    c.PENDING: ("The longest queue of one instance", "max by ({P}, server_address) (sum without (pid) ({it}))"),
    c.ACQUISITIONS: (
        "The share of requests that needed a new connection",
        'sum by ({P}) (rate({it}{{http_client_connection_source="new"}}[5m])) / sum by ({P}) (rate({it}[5m]))',
    ),
    c.TIMEOUTS: (
        "Requests that ended in PoolTimeout in an hour, by the cause",
        "sum by ({P}, {cause}) (increase({it}[1h]))",
    ),
    c.ABANDONED: ("Waits that were cancelled or failed, a second", "sum by ({P}, error_type) (rate({it}[5m]))"),
    c.WAIT_TIME: (
        "The wait that 5 % of the requests exceed",
        "histogram_quantile(0.95, sum by (le, {P}) (rate({it}_bucket[5m])))",
    ),
    c.REQUEUES: ("Re-queues for each request", "sum by ({P}) (rate({it}[5m])) / sum by ({P}) (rate({checkouts}[5m]))"),
    c.CHECKED_OUT: ("Who holds the connections", "sum by ({P}, server_address) ({it})"),
    c.USE_TIME: (
        "Connections needed on average: Little's law, arrivals times hold time",
        "sum by ({P}) (rate({it}_sum[5m]))",
    ),
    c.STREAM_WAIT_TIME: (
        "The wait for an HTTP/2 stream that 5 % of the requests exceed",
        "histogram_quantile(0.95, sum by (le, server_address) (rate({it}_bucket[5m])))",
    ),
    c.OPENED: ("New connections a second", "sum by ({P}, server_address) (rate({it}[5m]))"),
    c.CREATE_TIME: (
        "Attempts to connect that failed, a second, by what failed",
        'sum by (server_address, error_type) (rate({it}_count{{error_type!=""}}[5m]))',
    ),
    c.ESTABLISHING: ("Connections in set-up now", "sum by ({P}, server_address) ({it})"),
    c.OPEN_CONNECTIONS: ("Open sockets, active and idle", "sum by ({P}, http_connection_state) ({it})"),
    c.CLOSED: ("Why connections end, a second", "sum by ({P}, http_client_connection_close_reason) (rate({it}[5m]))"),
    c.DURATION: (
        "How long half of the connections live",
        "histogram_quantile(0.5, sum by (le, {P}) (rate({it}_bucket[5m])))",
    ),
    c.IN_USE: ("Utilization; pools without a limit are left out", "{it} / ({max} < 1e15)"),
    c.BUSY_TIME: (
        "Exact mean utilization, bursts between two scrapes included",
        "rate({it}[5m]) / ({max} * {pools} < 1e15)",
    ),
    c.MAX: ("Connections still to be had", "({it} < 1e15) - {in_use}"),
    c.IDLE_MAX: ("Pools that keep fewer connections than they may open", "({it} < 1e15) < {max}"),
    c.LEAKED: (
        "Leaks proved in an hour, by kind",
        "sum by ({P}, http_client_connection_leak_type) (increase({it}[1h]))",
    ),
    c.ORPHANED: ("Slots that are lost until the process ends", "sum by ({P}) ({it})"),
    c.OLDEST_PENDING_AGE: ("How long the oldest request has waited", "max by ({P}) ({it})"),
    c.OLDEST_USE_AGE: ("How long a connection has been held, at most", "max by ({P}) ({it})"),
    c.POOLS: ("Live pools of each name, over all processes", "sum by ({P}) ({it})"),
    c.POOLS_OPENED: (
        "Pools made for each request: near 1 is a client per request",
        "sum by ({P}) (rate({it}[5m])) / sum by ({P}) (rate({checkouts}[5m]))",
    ),
    c.ACTIVE_REQUESTS: ("Requests under way, by origin", "sum by (server_address) ({it})"),
    c.REQUEST_DURATION: (
        "The duration that 5 % of the requests exceed",
        "histogram_quantile(0.95, sum by (le, server_address) (rate({it}_bucket[5m])))",
    ),
    c.REQUESTS_SERVED: ("Requests that a connection serves, on average", "rate({it}_sum[5m]) / rate({it}_count[5m])"),
    c.IDLE_TIME: (
        "How long a connection was idle when it was used again, at the 95th percentile",
        "histogram_quantile(0.95, sum by (le, {P}) (rate({it}_bucket[5m])))",
    ),
}
"""A question that a metric answers, and the query that asks it."""

_CAUSES = {
    "slow_origin": "the origin that was asked for holds the connections, and its answers are slow",
    "other_origin": "another origin holds the connections",
    "connecting": "connections are being set up",
    "streaming": "bodies are being read",
    "unread": "responses have their head, and nobody reads their body",
    "leaked": "responses were dropped unclosed",
    "orphaned": "slots that no request owns",
    "burst": "more requests at once than the limit",
    c.UNKNOWN: "none of these",
}
_REASONS = {
    c.POOL_CLOSED: "the client or its transport was closed",
    c.SERVER_DISCONNECTED: "the server closed it while it was idle, noticed at the pool's next look",
    c.KEEPALIVE_EXPIRED: "it was idle for longer than `keepalive_expiry`",
    c.KEEPALIVE_LIMIT: "more connections were idle than `max_keepalive_connections` (httpcore 1.x counts busy ones, too)",
    c.EVICTED: "it was idle and had to make room for another origin",
    c.UPGRADED: "it was handed over: a WebSocket, or a CONNECT",
    c.FAILED: "a request failed on it",
    c.CANCELLED: "a request on it was cancelled",
    c.CONNECTION_CLOSE: "the exchange was its last: `Connection: close`, HTTP/1.0, GOAWAY",
    c.RESPONSE_UNREAD: "a response was closed before its end",
    c.DROPPED: "it was collected without a close",
}
_LEAKS = {
    "held_too_long": "a request held its connection for longer than the threshold",
    "response_unclosed": "a response was collected unclosed",
    "pool_unclosed": "a client was collected with open connections",
}
VALUES: dict[str, Mapping[str, str]] = {
    c.SOURCE: {
        c.NEW: "made for this request",
        c.REUSED: "it was there, idle",
        c.SHARED: "HTTP/2: in use, or still being set up, by another request",
    },
    c.CAUSE: _CAUSES,
    c.STAGE: {
        c.EARLY: "before the hand-over was final: the wait goes on",
        c.LATE: "after it: the connection is given back, and a new wait begins",
    },
    c.REASON: _REASONS,
    c.STATE: {c.ACTIVE: "a request is on it", c.IDLE: "kept for the next one"},
    c.LEAK: _LEAKS,
}
"""What each value of a label of ours means."""

_HEAD = """# Metrics

Every metric, its labels, and a query that it answers. This page is made from the contract in the code
(`python -m docs.source`), which both sinks read, too.

A label's name in Prometheus is the one shown with dots as underscores: `{pool}` is
`{label}`.
Utilization is `in_use / max`. A limit that is not set is reported as `1e18`. In prometheus_client's multi-process mode
gauges carry a label `pid`, counters and histograms do not; `busy_time` and the two ages are absent there.

Every series of a pool is there, at zero, from the pool's making, and an origin's from its first request. What is counted
before a series' first scrape is in no `increase()`: a pool's first leak is seen where the pool was scraped before it, an
origin's first burst is not. Three alerts add first values (CheckoutsSlow, Timeouts, Leaks); in a query of your own, take
the sum before the increase: `increase((sum by (instance) (http_client_connection_timeouts_total))[5m:15s])`. Origins past
20 a pool or 100 a process are `_OTHER`. So are the names of pools past 100 a process, which is logged once; pools without a
name are called after the function that made them, 20 such names a process, then `default`.

These hold in any one scrape, for each origin:

- checkouts + requeues (late) = acquisitions + timeouts + abandoned + pending requests
- acquisitions = uses (the count of use_time) + requeues (late) + checked out
- opened = closed + open connections
- waits (the count of wait_time) = acquisitions + timeouts + abandoned

Series whose `server_address` and `server_port` are empty are of no server: they stand there from the pool's making, so
that a name has its series before its first request, and stay at zero. `{{server_address!=""}}` leaves them out.
"""


def query(metric: c.Metric) -> str:
    """Give a metric's example query."""
    named = {"max": c.MAX, "pools": c.POOLS, "in_use": c.IN_USE, "checkouts": c.CHECKOUTS}
    names = {key: each.prometheus_name for key, each in named.items()}
    return QUERIES[metric][1].format(it=metric.prometheus_name, P=_POOL, cause=c.prometheus_label(c.CAUSE), **names)


def page() -> str:
    """Give the page."""
    parts = [_HEAD.format(pool=c.POOL, label=_POOL), "## All of them\n", _table()]
    parts += [_section(metric) for metric in c.METRICS]
    parts += ["## What the labels' values mean\n", *(_values(label, table) for label, table in VALUES.items())]
    return "\n".join(parts)


def _short(metric: c.Metric) -> str:
    return metric.name.removeprefix("http.client.").removeprefix("connection.")


def _table() -> str:
    rows = ["| metric | kind | unit | says |", "|---|---|---|---|"]
    for metric in c.METRICS:
        kind = metric.kind + (", off by default" if metric.opt_in else "")
        anchor = metric.name.replace(".", "")
        rows.append(f"| [{_short(metric)}](#{anchor}) | {kind} | {metric.unit} | {metric.description} |")
    return "\n".join(rows) + "\n"


def _section(metric: c.Metric) -> str:
    question, _ = QUERIES[metric]
    suffix = "`, with `_bucket`, `_sum` and `_count" if metric.kind == "histogram" else ""
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    buckets = f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}." if metric.buckets else ""
    opt_in = " Off unless a sink is made with `opt_in=True`." if metric.opt_in else ""
    text = f"{metric.description} In Prometheus `{metric.prometheus_name}{suffix}`. Labels: {labels}.{buckets}{opt_in}"
    asked = f"{question}:\n\n```promql\n{query(metric)}\n```\n"
    return f"### {metric.name}\n\n{fill(text, 118, break_long_words=False, break_on_hyphens=False)}\n\n{asked}"


def _values(label: str, table: Mapping[str, str]) -> str:
    rows = [f"| `{value}` | {meaning} |" for value, meaning in table.items()]
    return "\n".join([f"### {label}\n", "| value | means |", "|---|---|", *rows, ""])

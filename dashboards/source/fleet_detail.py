"""The lower half of the fleet dashboard: churn, origins, what is lost, and the table."""

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue as Value

from poolscope import _contract as c
from poolscope.alerts import recording

from . import queries as q
from .layout import Page
from .parts import BLUE, GREEN, ORANGE, RED, Column, Query, a_second, coloured, graph, rows
from .queries import LABEL, S, or_zero, rate, series, total


def by(metric: c.Metric, label: str) -> Query:
    """Give one curve per value of a label."""
    return Query(total(rate(metric), LABEL(label)), "{{" + LABEL(label) + "}}")


def churn(page: Page) -> None:
    """What is opened and reused, against what is usual, why connections end, and what a set-up costs."""
    page.add(
        8,
        coloured(
            graph(
                "Connections handed over: new, reused, shared",
                "Hand-overs a second. Healthy is almost all reused, or shared with HTTP/2; much new means that nothing is kept alive.",
                "ops",
                by(c.ACQUISITIONS, c.SOURCE),
                stack=True,
            ),
            new=ORANGE,
            reused=GREEN,
            shared=BLUE,
        ),
        dashed_all(creation()),
        graph(
            "New connections per checkout, 5 highest",
            "Per pool and instance. Healthy is a few percent; a client that calls seldom may be at 100 % for good reason.",
            "percentunit",
            Query(q.top(5, recording.fresh(recording.DASHBOARD, q.RATE)), q.NAME),
            line=(S.churn_ratio, ORANGE),
            nothing="no data, or no checkouts",
        ),
    )
    ends(page)


def creation():
    """Give what is opened, and what is usual."""
    opened = f"avg by ({q.FLEET_LABELS}) (sum by ({q.FLEET_LABELS}, instance) ({rate(c.OPENED)}))"
    return graph(
        "Creation against its usual level",
        "Connections an instance opens a second, and three times its service's average of the past hour, dashed. Healthy stays below; a spike with equal traffic is keep-alive that broke.",
        "ops",
        Query(opened, "{{job}} {{" + q.POOL + "}}"),
        Query(q.usual_creation(), "line of {{job}} {{" + q.POOL + "}}"),
        line=(S.creation_per_second, ORANGE),
        fill=0,
    )


def ends(page: Page) -> None:
    """Why connections end, what the next one costs, and how old they were."""
    attempts = rate(c.CREATE_TIME, suffix="_count")
    failed = rate(c.CREATE_TIME, f'{LABEL(c.ERROR)}!=""', suffix="_count")
    setup = graph(
        "Connection set-up time",
        "TCP, proxy and TLS together, and on the right how many attempts fail a second. Healthy is one or two round trips; each new connection pays it.",
        "s",
        Query(q.quantile(0.5, c.CREATE_TIME), "p50"),
        Query(q.quantile(0.99, c.CREATE_TIME), "p99"),
        Query(f"{total(failed)} or 0 * {total(attempts)}", "failures"),
        log=True,
        nothing="no data, or no connection set up",
    )
    page.add(
        8,
        graph(
            "Why connections close",
            "Closes a second by their reason. keepalive_limit and evicted: the pool closed good ones. server_disconnected: the server was first. response_unread: a body was not read.",
            "ops",
            by(c.CLOSED, c.REASON),
            stack=True,
        ),
        a_second(setup, "failures"),
        graph(
            "Connection lifetime",
            "How old connections are when they close. Healthy is minutes; seconds, under load, mean churn.",
            "s",
            Query(q.quantile(0.5, c.DURATION), "p50"),
            Query(q.quantile(0.95, c.DURATION), "p95"),
            log=True,
            nothing="no data, or none closed",
        ),
    )


def dashed_all(panel):
    """Dash the lines of what is usual."""
    dash = {"fill": "dash", "dash": [6, 6]}
    return panel.override_by_regexp("line of .*", [Value("custom.lineStyle", dash), Value("custom.fillOpacity", 0)])


def origins(page: Page) -> None:
    """By origin: who holds, who waits, for how long, and what the requests are."""
    page.add(
        8,
        graph(
            "Who holds: connections checked out by origin",
            "Requests that hold a connection now, by where they go. One origin with nearly all of them starves the others: all origins share one limit.",
            "short",
            Query(q.top(10, total(series(c.CHECKED_OUT), LABEL(c.ADDRESS))), q.ORIGIN),
            stack=True,
        ),
        graph(
            "Who waits: requests in a queue by origin",
            "An origin that waits and holds little is a victim of another one's holds: give it a pool of its own.",
            "short",
            Query(q.top(10, total(series(c.PENDING), LABEL(c.ADDRESS))), q.ORIGIN),
            stack=True,
        ),
        graph(
            "How long they hold: p95 by origin",
            "From the hand-over until the body is closed. Slow answers, and bodies read slowly or never closed, raise it.",
            "s",
            Query(q.quantile(0.95, c.USE_TIME, LABEL(c.ADDRESS)), q.ORIGIN),
            log=True,
            nothing="no data, or no checkouts",
        ),
    )
    requests(page)


def requests(page: Page) -> None:
    """By origin: what the requests themselves do."""
    page.add(
        8,
        graph(
            "Requests in flight by origin",
            "Requests between entering the transport and the end of their body, waiting ones included.",
            "short",
            Query(q.top(10, total(q.ours(series(c.ACTIVE_REQUESTS)), LABEL(c.ADDRESS))), q.ORIGIN),
            stack=True,
        ),
        graph(
            "Request duration: p95 by origin",
            "What the caller sees, the wait included. Where it grows and the hold time does not, the pool is the problem.",
            "s",
            Query(q.quantile(0.95, c.REQUEST_DURATION, LABEL(c.ADDRESS)), q.ORIGIN),
            log=True,
            nothing="no data, or no requests",
        ),
        graph(
            "HTTP/2: wait for a stream, p95 by origin",
            "A second queue, inside one connection: beyond the server's limit of streams requests wait with no timeout. Healthy is zero; HTTP/1.1 has none.",
            "s",
            Query(q.quantile(0.95, c.STREAM_WAIT_TIME, LABEL(c.ADDRESS)), q.ORIGIN),
            line=(S.slow_seconds, RED),
            nothing="no data, or no HTTP/2",
        ),
    )


def lost(page: Page) -> None:
    """Leaks, lost slots, long holds, requeues, and clients made."""
    page.add(
        8,
        graph(
            "Leaks and lost slots",
            "Leaks a minute by type, and slots that no request owns. Healthy is zero for ever: close every response, or use a with block.",
            "short",
            Query(f"60 * {total(rate(c.LEAKED), LABEL(c.LEAK))}", "{{" + LABEL(c.LEAK) + "}}, a minute"),
            Query(total(series(c.ORPHANED)), "lost slots"),
        ),
        graph(
            "Oldest hold, 5 oldest",
            "How long the longest hold of a connection has lasted. A line that climbs for ever is a response that nobody closes.",
            "s",
            Query(q.top(5, f"max by ({q.WHERE}) ({series(c.OLDEST_USE_AGE)})"), q.NAME),
        ),
        graph(
            "Re-queues by stage",
            "Hand-overs that came to nothing, a second: early ones cost a turn in the queue, late ones (GOAWAY) a second wait. Healthy is near zero.",
            "ops",
            by(c.REQUEUES, c.STAGE),
            stack=True,
        ),
        graph(
            "Pools made and alive",
            "Pools made a minute, and alive now, by name. Made as often as requests are sent: a client per request, and nothing can be reused.",
            "short",
            Query(q.top(10, f"60 * {total(rate(c.POOLS_OPENED), q.POOL)}"), "{{" + q.POOL + "}} made a minute"),
            Query(q.top(10, total(series(c.POOLS), q.POOL)), "{{" + q.POOL + "}} alive"),
        ),
    )


def table(one_pool: str):
    """Give the table: fullest first."""

    def where(expr: str) -> str:
        return f"sum by ({q.WHERE}) ({expr})"

    p99 = f"histogram_quantile(0.99, sum by (le, {q.WHERE}) ({rate(c.WAIT_TIME, suffix='_bucket')}))"
    new = f"{where(rate(c.OPENED))} / ({where(rate(c.CHECKOUTS))} > 0)"
    idle = series(c.OPEN_CONNECTIONS, f'{LABEL(c.STATE)}="{c.IDLE}"')
    hour = f"{where('increase(' + series(c.TIMEOUTS) + '[1h])')}"
    full = ((S.utilization_ratio, ORANGE), (1, RED))
    link = f"{one_pool}?${{datasource:queryparam}}&var-job=${{__data.fields.job}}&var-instance=${{__data.fields.instance}}&var-pool=${{__data.fields.pool}}&${{__url_time_range}}"
    return rows(
        "Pools by instance",
        "Every pool, the fullest first. Where pools share a name, In use and Limit are the fullest one's, and all else is of all. Click an instance for its own page; use a column's filter to narrow.",
        {"job": "job", q.POOL: "pool", "instance": "instance"},
        [
            Column("Utilization", q.utilization(), "percentunit", 170, full, gauge=True, decimals=0),
            Column("In use", where(series(c.IN_USE)), "short", 80),
            Column("Idle", where(idle), "short", 70),
            Column("Limit", where(series(c.MAX)), "short", 90, unlimited=True),
            Column("Waiting", where(series(c.PENDING)), "short", 90, ((1, ORANGE),)),
            Column("p99 wait", or_zero(p99, q.WHERE), "s", 90, ((S.slow_seconds, RED),)),
            Column("Timeouts, 1h", hour, "short", 120, ((S.timeout_count, RED),), decimals=0),
            Column("New", or_zero(new, q.WHERE), "percentunit", 80, ((S.churn_ratio, ORANGE),), decimals=0),
            Column("Lost", where(series(c.ORPHANED)), "short", 70, ((1, ORANGE),)),
        ],
        {"instance": ("Open this pool", link)},
    )

"""The rows of the page of one pool below its slots: queue, connections, origins, opt-in metrics."""

from poolscope import _contract as c

from . import queries as q
from .layout import Page
from .parts import BLUE, GREEN, ORANGE, RED, Column, Query, a_second, coloured, graph, rows
from .queries import LABEL, S, rate, series, total


def by(metric: c.Metric, label: str) -> Query:
    """Give one curve per value of a label."""
    return Query(total(rate(metric), LABEL(label)), "{{" + LABEL(label) + "}}")


def queue(page: Page) -> None:
    """Show arrivals and ends, waits, and the verdicts."""
    page.add(
        8,
        graph(
            "Arrivals and how their waits end",
            "Checkouts a second, and of those the ones handed a connection, timed out and abandoned. Healthy: the first two lie on each other.",
            "reqps",
            Query(total(rate(c.CHECKOUTS)), "arrive"),
            Query(total(rate(c.ACQUISITIONS)), "handed over"),
            Query(total(rate(c.TIMEOUTS)), "timed out"),
            Query(total(rate(c.ABANDONED)), "abandoned"),
        ),
        graph(
            "Waiting by origin",
            "Who waits. One that waits and holds little is a victim of another one's holds.",
            "short",
            Query(total(series(c.PENDING), LABEL(c.ADDRESS)), q.ORIGIN),
            stack=True,
        ),
        graph(
            "Wait percentiles, this pool",
            "From entering the pool to the hand-over, the timeout or the end of the wait.",
            "s",
            Query(q.quantile(0.5, c.WAIT_TIME), "p50"),
            Query(q.quantile(0.95, c.WAIT_TIME), "p95"),
            Query(q.quantile(0.99, c.WAIT_TIME), "p99"),
            line=(S.slow_seconds, RED),
            log=True,
            nothing="no data, or no checkouts",
        ),
        graph(
            "Timeouts by cause",
            "The verdict at the moment of each PoolTimeout. The runbook of HttpxPoolTimeouts says what to do for each.",
            "reqps",
            by(c.TIMEOUTS, c.CAUSE),
            stack=True,
        ),
    )


def connections(page: Page) -> None:
    """Show sources, reasons, set-up and lifetimes, and below them what is lost."""
    page.add(
        8,
        sources(),
        graph(
            "Closed by reason",
            "keepalive_limit and evicted: the pool closed good ones. server_disconnected: the server was first. response_unread: a body was not read.",
            "ops",
            by(c.CLOSED, c.REASON),
            stack=True,
        ),
        setup(),
        graph(
            "Lifetime at close",
            "How old connections are when they close. Seconds, under load, mean churn.",
            "s",
            Query(q.quantile(0.5, c.DURATION), "p50"),
            Query(q.quantile(0.95, c.DURATION), "p95"),
            log=True,
            nothing="no data, or none closed",
        ),
    )
    lost(page)


def setup():
    """Give how long a set-up takes, and how many are tried."""
    panel = graph(
        "Set-up time and failures",
        "TCP, proxy and TLS; on the right the attempts a second, failed ones by their error.",
        "s",
        Query(q.quantile(0.95, c.CREATE_TIME), "p95"),
        Query(total(rate(c.CREATE_TIME, suffix="_count"), LABEL(c.ERROR)), "attempts {{" + LABEL(c.ERROR) + "}}"),
        log=True,
        nothing="no data, or no connection set up",
    )
    return a_second(panel, "attempts.*")


def sources():
    """Give the hand-overs by what kind of connection they were."""
    return coloured(
        graph(
            "Handed over by source",
            "New, reused, or shared with HTTP/2. Healthy is almost no new ones.",
            "ops",
            by(c.ACQUISITIONS, c.SOURCE),
            stack=True,
        ),
        new=ORANGE,
        reused=GREEN,
        shared=BLUE,
    )


def lost(page: Page) -> None:
    """Show leaks, requeues, the second queue and makings."""
    page.add(
        7,
        graph(
            "Leaks by type",
            "Leaks proved, a minute. Close every response, or use a with block.",
            "short",
            Query(f"60 * {total(rate(c.LEAKED), LABEL(c.LEAK))}", "{{" + LABEL(c.LEAK) + "}}"),
        ),
        graph(
            "Re-queues, this pool",
            "Hand-overs that came to nothing: early, a turn in the queue; late (GOAWAY), a second wait.",
            "ops",
            by(c.REQUEUES, c.STAGE),
            stack=True,
        ),
        graph(
            "HTTP/2 stream wait",
            "The second queue, inside one connection, past the server's limit of streams. No timeout ends it.",
            "s",
            Query(q.quantile(0.5, c.STREAM_WAIT_TIME), "p50"),
            Query(q.quantile(0.95, c.STREAM_WAIT_TIME), "p95"),
            line=(S.slow_seconds, RED),
            nothing="no data, or no HTTP/2",
        ),
        graph(
            "Clients made",
            "Pools made a minute under this name, and alive. As many as requests: a client per request.",
            "short",
            Query(f"60 * {total(rate(c.POOLS_OPENED))}", "made a minute"),
            Query(total(series(c.POOLS)), "alive"),
        ),
    )


def origins(page: Page) -> None:
    """Give one line per origin: what it holds, waits and costs."""
    where = f"{LABEL(c.ADDRESS)}, {LABEL(c.PORT)}"

    def p95(metric: c.Metric) -> str:
        return q.or_zero(q.quantile(0.95, metric, where), where)

    def zero(expr: str) -> str:
        return f"{expr} or 0 * {total(series(c.CHECKED_OUT), where)}"

    columns = [
        Column("Holds", total(series(c.CHECKED_OUT), where), "short", 80),
        Column("Waits", zero(total(series(c.PENDING), where)), "short", 80, ((1, ORANGE),)),
        Column(
            "Idle sockets", zero(total(series(c.OPEN_CONNECTIONS, f'{LABEL(c.STATE)}="{c.IDLE}"'), where)), "short", 110
        ),
        Column("Checkouts", total(rate(c.CHECKOUTS), where), "reqps", 110),
        Column("Hold p95", p95(c.USE_TIME), "s", 100),
        Column("Wait p95", p95(c.WAIT_TIME), "s", 100, ((S.slow_seconds, RED),)),
        Column("Set-up p95", p95(c.CREATE_TIME), "s", 100),
        Column("In flight", zero(total(series(c.ACTIVE_REQUESTS), where)), "short", 90),
        Column("Request p95", p95(c.REQUEST_DURATION), "s", 110),
    ]
    labels = {LABEL(c.ADDRESS): "origin", LABEL(c.PORT): "port"}
    text = "Where the connections go, the greatest holder first. In flight and request p95 are the whole instance's: those metrics know no pool."
    page.add(9, rows("Origins of this pool", text, labels, columns, {}))


def opt_in(page: Page) -> None:
    """Show what only those see who asked for it."""
    off = "off: an opt-in metric"
    page.add(
        7,
        graph(
            "Requests a connection served",
            "Counted when it closes. Healthy is many; one means that nothing is reused.",
            "short",
            Query(q.quantile(0.5, c.REQUESTS_SERVED), "p50"),
            Query(q.quantile(0.95, c.REQUESTS_SERVED), "p95"),
            nothing=off,
        ),
        graph(
            "Idle time at reuse",
            "How long a connection was idle when it was used again. Close to the server's idle timeout: reuse will fail.",
            "s",
            Query(q.quantile(0.5, c.IDLE_TIME), "p50"),
            Query(q.quantile(0.95, c.IDLE_TIME), "p95"),
            log=True,
            nothing=off,
        ),
    )

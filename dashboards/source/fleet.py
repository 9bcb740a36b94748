"""HTTPX / Connection pool: every pool of every instance. In five seconds: is it the pool, since when, and where."""

from poolscope import _contract as c
from poolscope.alerts import recording
from poolscope.alerts.links import FLEET_UID, ONE_POOL_UID

from . import fleet_detail
from . import queries as q
from .layout import Page
from .parts import BLUE, GREEN, ORANGE, PALE, RED, Query, coloured, dashed, graph, heat, number, strips
from .queries import S, or_zero, rate, series, total

FULL = ((S.utilization_ratio, ORANGE), (1, RED))
SLOW = f"{S.slow_seconds:g} s"


def build() -> Page:
    """Put the fleet dashboard together."""
    page = Page(
        FLEET_UID,
        "HTTPX / Connection pool",
        "Is the connection pool the problem, since when, and where? From cause to harm, left to right and top to bottom.",
    )
    page.variable("job", "Job", f"label_values({c.MAX.prometheus_name}, job)")
    page.variable("instance", "Instance", f'label_values({c.MAX.prometheus_name}{{job=~"$job"}}, instance)')
    page.variable("pool", "Pool", f"label_values({c.MAX.prometheus_name}{{{q.TARGET}}}, {q.POOL})")
    glance(page)
    page.row("Saturation: is the pool full?")
    saturation(page)
    page.row("Waiting: what do requests feel?")
    waiting(page)
    page.row("Churn: are connections reused?")
    fleet_detail.churn(page)
    page.row("Origins: who holds, who waits?")
    fleet_detail.origins(page)
    page.row("Lost and leaked: what never comes back?")
    fleet_detail.lost(page)
    page.row("Which one: every pool and instance")
    page.add(10, fleet_detail.table(f"/d/{ONE_POOL_UID}"))
    return page


def glance(page: Page) -> None:
    """Six numbers, and one strip per pool and instance."""
    page.add(4, *causes(), *harms())
    page.add(
        7,
        strips(
            "When and where: utilization by pool and instance, 20 fullest",
            "One strip per pool and instance: when it began and how far it has spread. Green is below the alert's line, orange above it, red full.",
            "percentunit",
            Query(q.top(20, q.utilization()), q.NAME),
            *FULL,
        ),
    )


def causes() -> tuple:
    """Say how full, how many wait, and how long."""
    return (
        number(
            "Fullest pool",
            "The highest share of a limit that is in use anywhere. Healthy below 80 %; at 100 % requests wait. Look at the strips for where.",
            "percentunit",
            Query(f"max({q.utilization()})"),
            *FULL,
            decimals=0,
        ),
        number(
            "Requests waiting",
            "Requests in a queue for a connection now. Healthy is none, or a few for a moment. See who waits under Origins.",
            "short",
            Query(total(series(c.PENDING))),
            (1, ORANGE),
            decimals=0,
        ),
        number(
            "Slowest 1 % of checkouts",
            f"One request in a hundred waited at least this long for its connection. Healthy is milliseconds; {SLOW} is the default at which httpx gives up.",
            "s",
            Query(or_zero(q.quantile(0.99, c.WAIT_TIME))),
            (S.slow_seconds, RED),
        ),
    )


def harms() -> tuple:
    """Say what users feel, and what each request pays."""
    ended = total(rate(c.WAIT_TIME, suffix="_count"))
    # OpenTelemetry's histograms are born with values, which a rate does not see: of its first waits too many time out.
    timed_out = f"clamp_max({total(rate(c.TIMEOUTS))} / {ended}, 1)"
    return (
        number(
            f"Checkouts over {SLOW}",
            f"The share of waits that took longer than {SLOW}. Healthy is none; above the line the alert HttpxPoolCheckoutsSlow is due.",
            "percentunit",
            Query(or_zero(f"({q.slow_rate()}) / {ended}")),
            (S.slow_ratio, RED),
        ),
        number(
            "Pool timeouts",
            "The share of waits that ended in PoolTimeout: users saw an error. Healthy is none. The causes are under Waiting.",
            "percentunit",
            Query(or_zero(timed_out)),
            (S.timeout_ratio, RED),
        ),
        number(
            "New per checkout",
            "New connections for each request. Healthy is a few percent; close to 100 % nothing is reused and each request pays for TCP and TLS.",
            "percentunit",
            Query(or_zero(f"{total(rate(c.OPENED))} / ({total(rate(c.CHECKOUTS))} > 0)")),
            (S.churn_ratio, ORANGE),
        ),
    )


def saturation(page: Page) -> None:
    """Levels under the limit, shares of it, and what would be needed."""
    page.add(
        9,
        dashed(
            coloured(levels(), serving=BLUE, being_set_up=ORANGE, lost="purple", idle=PALE, without_a_limit="#808080"),
            "limit",
            RED,
        ),
        graph(
            "Utilization, 10 fullest",
            "Slots in use against the limit, as scraped. The line is the alert's: above it for 8 of 10 minutes is HttpxPoolUtilizationHigh.",
            "percentunit",
            Query(q.top(10, q.utilization()), q.NAME),
            lines=FULL,
            side=True,
            top=1,
        ),
        widths=(11, 13),
    )
    page.add(
        8,
        sizing(),
        graph(
            "Mean utilization, 10 fullest",
            "Exact, from the time that slots were busy: it sees bursts between two scrapes. Far below the sampled curve: short bursts. Absent with several workers behind one address.",
            "percentunit",
            Query(q.top(10, recording.mean_utilization(recording.DASHBOARD, q.RATE)), q.NAME),
            lines=FULL,
            top=1,
        ),
    )


def levels():
    """Give what the slots do, under the limit."""
    limited = f"and on ({q.WHERE}) {q.finite(c.MAX)}"
    active, idle = (series(c.OPEN_CONNECTIONS, f'{q.LABEL(c.STATE)}="{state}"') for state in c.STATES)
    return graph(
        "Connections against the limit",
        "Serving a request, being set up, lost and idle, where there is a limit, under the sum of the limits. Healthy leaves room under the dashed line; raise max_connections or shorten the holds.",
        "short",
        Query(f"sum({active} {limited})", "serving"),
        Query(f"sum({series(c.ESTABLISHING)} {limited})", "being set up"),
        Query(f"sum({series(c.ORPHANED)} {limited})", "lost"),
        Query(f"sum({idle} {limited})", "idle"),
        Query(f"sum({active} and on ({q.WHERE}) {q.unlimited(c.MAX)}) or 0 * sum({series(c.MAX)})", "without a limit"),
        Query(q.limit(c.MAX), "limit"),
        stack=True,
    )


def sizing():
    """Give what arrivals and holds would need."""
    return graph(
        "Sizing: connections needed against the limit",
        "Little's law: requests a second times the seconds each holds a connection, as a share of the limit, for the 10 neediest. Healthy below 80 %; above 100 % a queue can only grow. Absent with HTTP/2, where requests share connections.",
        "percentunit",
        Query(q.top(10, recording.demand(recording.DASHBOARD, q.RATE)), q.NAME),
        lines=FULL,
        top=1,
    )


def waiting(page: Page) -> None:
    """The queue, how long it takes, and how it ends."""
    page.add(
        8,
        graph(
            "Requests waiting, 5 longest queues",
            "Requests in the queue, by pool and instance. Healthy is zero with short spikes; a queue that stays needs more connections or shorter holds.",
            "short",
            Query(q.top(5, f"sum by ({q.WHERE}) ({series(c.PENDING)})"), q.NAME),
        ),
        coloured(
            graph(
                "Checkout wait percentiles",
                f"How long requests wait for a connection, waits that time out included. Healthy is milliseconds at p99; the dashed line is {SLOW}.",
                "s",
                *(Query(q.quantile(share, c.WAIT_TIME), f"p{share:.0%}".rstrip("%")) for share in (0.5, 0.95, 0.99)),
                line=(S.slow_seconds, RED),
                log=True,
                nothing="no data, or no checkouts",
            ),
            p50=GREEN,
            p95="yellow",
            p99=BLUE,
        ),
        coloured(
            graph(
                "Slow, timed out and abandoned",
                f"Waits a second that took over {SLOW}, that ended in PoolTimeout, and that the caller cancelled or that failed. Healthy is none of them.",
                "reqps",
                Query(q.slow_rate(), f"over {SLOW}"),
                Query(total(rate(c.TIMEOUTS)), "timed out"),
                Query(total(rate(c.ABANDONED)), "abandoned"),
                fill=40,
            ),
            timed_out=RED,
            abandoned="purple",
            **{f"over_{SLOW.replace(' ', '_')}": ORANGE},
        ),
    )
    distribution(page)


def distribution(page: Page) -> None:
    """How the waits are spread, the oldest one now, and the verdicts."""
    buckets = f"sum by (le) ({rate(c.WAIT_TIME, suffix='_bucket')})"
    page.add(
        8,
        heat(
            "Checkout wait distribution",
            "Where the waits lie, brighter is more. Healthy is one bright row at the bottom; a second one higher up is a queue.",
            "s",
            Query(buckets, "{{le}}", heatmap=True),
        ),
        graph(
            "Oldest request in a queue, 5 oldest",
            "How long the request at the head of the queue has waited. It moves at once where histograms record only at the end: a straight climb is a stalled pool.",
            "s",
            Query(q.top(5, f"max by ({q.WHERE}) ({series(c.OLDEST_PENDING_AGE)})"), q.NAME),
            line=(S.slow_seconds, RED),
        ),
        graph(
            "Why pool timeouts happen",
            "PoolTimeouts a second by the verdict at that moment: a slow origin, another origin, connecting, streaming, unread or leaked responses, lost slots, a burst.",
            "reqps",
            Query(total(rate(c.TIMEOUTS), q.LABEL(c.CAUSE)), "{{" + q.LABEL(c.CAUSE) + "}}"),
            stack=True,
        ),
    )

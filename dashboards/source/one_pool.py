"""HTTPX / One pool: a single pool on a single instance, where an alert's link leads."""

from poolscope import _contract as c
from poolscope.alerts import recording
from poolscope.alerts.links import FLEET_UID, ONE_POOL_UID

from . import one_pool_detail as detail
from . import queries as q
from .fleet import FULL, SLOW
from .layout import Page
from .parts import BLUE, ORANGE, PALE, RED, Query, coloured, dashed, graph, heat, number
from .queries import LABEL, S, or_zero, rate, series, total


def build() -> Page:
    """Put the page of one pool together."""
    page = Page(
        ONE_POOL_UID,
        "HTTPX / One pool",
        "One pool of one process: what its slots do, who waits, why connections come and go.",
        many=False,
    )
    page.variable("job", "Job", f"label_values({c.MAX.prometheus_name}, job)")
    page.variable("instance", "Instance", f'label_values({c.MAX.prometheus_name}{{job=~"$job"}}, instance)')
    page.variable("pool", "Pool", f"label_values({c.MAX.prometheus_name}{{{q.TARGET}}}, {q.POOL})")
    page.link("All pools", f"/d/{FLEET_UID}")
    glance(page)
    page.row("Slots: what does the pool do with its limit?")
    slots(page)
    page.row("Queue: who waits, how long, and how does it end?")
    detail.queue(page)
    page.row("Connections: why do they come and go?")
    detail.connections(page)
    page.row("Origins: one line each")
    detail.origins(page)
    page.row("Opt-in metrics: how well is a connection used?")
    detail.opt_in(page)
    return page


def glance(page: Page) -> None:
    """Say in eight numbers how the pool is."""
    page.add(4, *pressing(), *lasting())


def pressing() -> tuple:
    """Say how full it is, who waits and for how long."""
    return (
        number(
            "Utilization now",
            "Slots in use against the limit. Healthy below 80 %; full means that requests wait.",
            "percentunit",
            Query(f"max({q.utilization()})"),
            *FULL,
            decimals=0,
        ),
        number(
            "Waiting now",
            "Requests in the queue. Healthy is none.",
            "short",
            Query(total(series(c.PENDING))),
            (1, ORANGE),
            decimals=0,
        ),
        number(
            "Oldest in the queue",
            "How long the request at the head of the queue has waited. A straight climb is a stalled pool. Several workers behind one address do not measure it.",
            "s",
            Query(f"max({series(c.OLDEST_PENDING_AGE)})"),
            (S.slow_seconds, RED),
        ),
        number(
            "Slowest 1 %, wait",
            f"The p99 of the wait for a connection. Healthy is milliseconds; the line is {SLOW}.",
            "s",
            Query(or_zero(q.quantile(0.99, c.WAIT_TIME))),
            (S.slow_seconds, RED),
        ),
    )


def lasting() -> tuple:
    """Say what failed, what is held or lost, and what is not reused."""
    timed_out = f"sum(increase({series(c.TIMEOUTS)}[1h]))"
    return (
        number(
            "Timeouts, last hour",
            "PoolTimeouts: each is an error that a caller saw. Healthy is none.",
            "short",
            Query(timed_out),
            (S.timeout_count, RED),
            decimals=0,
        ),
        number(
            "Oldest hold",
            "How long the longest hold has lasted. One that climbs for ever is a response that nobody closes. Several workers behind one address do not measure it.",
            "s",
            Query(f"max({series(c.OLDEST_USE_AGE)})"),
        ),
        number(
            "Lost slots",
            "Slots that no request owns. They come back with a restart only; healthy is zero.",
            "short",
            Query(total(series(c.ORPHANED))),
            (1, ORANGE),
            decimals=0,
        ),
        number(
            "New per checkout, this pool",
            "New connections for each request. Healthy is a few percent.",
            "percentunit",
            Query(or_zero(f"{total(rate(c.OPENED))} / ({total(rate(c.CHECKOUTS))} > 0)")),
            (S.churn_ratio, ORANGE),
        ),
    )


def slots(page: Page) -> None:
    """Show the levels under the limit, the mean against the sample, and the idle ones against theirs."""
    idle = total(series(c.OPEN_CONNECTIONS, f'{LABEL(c.STATE)}="{c.IDLE}"'))
    page.add(
        9,
        dashed(coloured(levels(), serving=BLUE, being_set_up=ORANGE, lost="purple", idle=PALE), "limit", RED),
        graph(
            "Utilization: sampled, mean and needed",
            "As scraped; exact over time; and what arrivals times hold time would need. Needed above 100 %: no queue of this pool can shrink. It is absent with HTTP/2, the mean with several workers behind one address.",
            "percentunit",
            Query(f"max({q.utilization()})", "sampled"),
            Query(recording.mean_utilization(recording.DASHBOARD, q.RATE), "mean"),
            Query(recording.demand(recording.DASHBOARD, q.RATE), "needed"),
            lines=FULL,
            top=1,
        ),
        dashed(
            graph(
                "Idle connections against their limit",
                "Idle ones above the dashed line are closed. A line far below the traffic's needs is keep-alive churn: raise max_keepalive_connections.",
                "short",
                Query(idle, "idle"),
                Query(q.limit(c.IDLE_MAX), "limit of idle ones"),
            ),
            "limit of idle ones",
            ORANGE,
        ),
    )
    distributions(page)


def levels():
    """Give what the slots do, under the limit."""
    state = f'{LABEL(c.STATE)}="{{}}"'
    active, idle = (total(series(c.OPEN_CONNECTIONS, state.format(s))) for s in c.STATES)
    return graph(
        "Slots by what they do",
        "Serving a request, being set up, lost, and idle, under the limit. In use to the brim with little being served: look at set-up and lost.",
        "short",
        Query(active, "serving"),
        Query(total(series(c.ESTABLISHING)), "being set up"),
        Query(total(series(c.ORPHANED)), "lost"),
        Query(idle, "idle"),
        Query(q.limit(c.MAX), "limit"),
        stack=True,
    )


def distributions(page: Page) -> None:
    """Show how the waits and the holds are spread."""
    page.add(
        8,
        heat(
            "Wait distribution",
            "Where the waits lie, brighter is more. Healthy is one bright row at the bottom.",
            "s",
            Query(f"sum by (le) ({rate(c.WAIT_TIME, suffix='_bucket')})", "{{le}}", heatmap=True),
        ),
        heat(
            "Hold distribution",
            "How long requests hold a connection. A second bright row is a second kind of request: consider a pool of its own.",
            "s",
            Query(f"sum by (le) ({rate(c.USE_TIME, suffix='_bucket')})", "{{le}}", heatmap=True),
        ),
    )

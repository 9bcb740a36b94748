"""Findings about a pool's limits and timeouts: what a configuration makes of the load that was seen.

Each function gives the numbers that prove its finding and a line that says them, or None.
"""

from math import ceil

from poolscope import _contract as c
from poolscope.diagnosis import _thresholds as t
from poolscope.diagnosis._evidence import Evidence, above, mean

Proof = tuple[dict[str, float | str], str]


def no_pool_timeout(evidence: Evidence) -> Proof | None:
    """Find requests that may wait for a connection for ever. Without a limit nobody waits."""
    seen = evidence.seen
    if seen is None or evidence.limit is None or not seen.requests or 2 * seen.without_pool_timeout < seen.requests:
        return None
    without = seen.without_pool_timeout
    return (
        {"requests": seen.requests, "requests_without_pool_timeout": without},
        f"{without} of {seen.requests} requests that had a connection made for them came without a pool timeout",
    )


def pool_timeout_too_long(evidence: Evidence) -> Proof | None:
    """Find requests that wait longer than anybody wants their answer."""
    waits = evidence.growth(c.WAIT_TIME)
    longest, oldest = above(waits, t.LONGEST_WAIT_SECONDS), evidence.level(c.OLDEST_PENDING_AGE)
    if longest >= t.TIMEOUT_COUNT or oldest > t.LONGEST_WAIT_SECONDS:
        return (
            {f"waits_over_{t.LONGEST_WAIT_SECONDS:.0f}_seconds": longest, "oldest_wait_seconds": oldest},
            f"{longest} waits lasted more than {t.LONGEST_WAIT_SECONDS:.0f} s; the oldest one now {oldest:.1f} s",
        )
    cancelled = sum(evidence.increase(c.ABANDONED, {c.ERROR: name}) for name in ("CancelledError", "Cancelled"))
    patient = above(waits, t.PATIENCE_SECONDS)
    enough = max(t.TIMEOUT_COUNT, t.TIMEOUT_SHARE * evidence.checkouts, evidence.increase(c.TIMEOUTS))
    if min(cancelled, patient) >= enough:
        return (
            {"waits_cancelled": cancelled, f"waits_over_{t.PATIENCE_SECONDS:.0f}_seconds": patient},
            (
                f"{cancelled:.0f} callers gave up while they waited for a connection, and {patient} waits lasted more"
                f" than {t.PATIENCE_SECONDS:.0f} s"
            ),
        )
    seen = evidence.seen
    pool, read = (None, None) if seen is None else (seen.pool_timeout_seconds, seen.read_timeout_seconds)
    if pool is None or read is None or evidence.limit is None or pool < t.PATIENCE_FACTOR * read:
        return None
    return (
        {"pool_timeout_seconds": pool, "read_timeout_seconds": read},
        f"a request may wait {pool:g} s for a connection, and {read:g} s for an answer",
    )


def unbounded_pool(evidence: Evidence) -> Proof | None:
    """Find a pool in use that has no limit."""
    if not evidence.unlimited or not evidence.checkouts:
        return None
    opened = evidence.increase(c.OPENED)
    now = evidence.level(c.OPEN_CONNECTIONS)
    return (
        {"connections_open": now, "connections_opened": opened},
        f"there is no limit; connections opened: {opened:.0f}, open now: {now:.0f}",
    )


def pool_too_small(evidence: Evidence) -> Proof | None:
    """Find a load that by Little's law needs more than the limit, with requests that wait for it.

    Its hold time is that of uses that ended: slots that somebody keeps for ever are another finding.
    """
    limit, seconds, arrivals = evidence.limit, evidence.seconds, evidence.checkouts
    if limit is None or not seconds or arrivals < t.FEWEST_REQUESTS:
        return None
    uses, waits = evidence.growth(c.USE_TIME), evidence.growth(c.WAIT_TIME)
    if uses.count < t.ROUNDS * limit * evidence.pools:
        return None
    hold, busy = mean(uses), evidence.increase(c.BUSY_TIME)
    demand = arrivals / seconds * hold / evidence.pools
    if busy:
        demand = min(demand, busy / seconds / evidence.pools)  # HTTP/2: requests share connections
    # Not how many wait: httpcore 1.x hands a free connection to whoever runs first, so that few wait long.
    queued = mean(waits) >= t.WAIT_SECONDS and waits.sum >= t.WAITING_SHARE * (waits.sum + uses.sum)
    if demand < t.BUSY_SHARE * limit or not queued:
        return None
    wanted = demand + waits.sum / seconds / evidence.pools
    size = max(ceil(wanted / t.BUSY_SHARE), ceil(limit) + 1)
    return (
        {
            "arrivals_per_second": arrivals / seconds,
            "hold_seconds": hold,
            "wait_seconds": mean(waits),
            "max_connections": limit,
            "connections_needed": size,
        },
        (
            f"{arrivals / seconds:.1f} requests a second, each holding a connection for {hold:.3f} s, keep"
            f" {demand:.1f} of {limit:.0f} connections busy, and wait for one {mean(waits):.3f} s on average; {size}"
            " connections would do"
        ),
    )


def pool_too_large(evidence: Evidence) -> Proof | None:
    """Find a chosen limit far above whatever was open at once: it would not stop a flood."""
    limit = evidence.limit
    if limit is None or limit <= t.DEFAULT_LIMIT or evidence.checkouts < t.MANY_REQUESTS:
        return None
    most = evidence.level_before(c.OPEN_CONNECTIONS) + evidence.increase(c.OPENED) + evidence.level(c.ESTABLISHING)
    if not most or limit < t.IDLE_CAPACITY_FACTOR * most:  # where no attempt to connect succeeded, nothing is known
        return None
    return (
        {"max_connections": limit, "connections_at_most": most, "connections_needed": 2 * most},
        f"the limit is {limit:.0f}, and {evidence.checkouts:.0f} requests had at most {most:.0f} connections open",
    )

"""Findings about connections: why they close, how old they get, how many pools there are.

Each function gives the numbers that prove its finding and a line that says them, or None.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from math import inf

from poolscope import _contract as c
from poolscope._snapshot import PoolSnapshot
from poolscope.diagnosis import _thresholds as t
from poolscope.diagnosis._evidence import Evidence, Where, above, named
from poolscope.diagnosis._limits import Proof


def _closed(evidence: Evidence, reason: str) -> float:
    return evidence.increase(c.CLOSED, {c.REASON: reason})


def keepalive_below_concurrency(evidence: Evidence) -> Proof | None:
    """Find a keep-alive limit that closes connections which are then made anew.

    A single burst does not prove it, and a limit of 0 is somebody's will.
    """
    idle_limit, requests = evidence.idle_limit, evidence.checkouts
    if idle_limit is None or requests < t.FEWEST_REQUESTS:
        return None
    closed, opened = _closed(evidence, c.KEEPALIVE_LIMIT), evidence.increase(c.OPENED)
    burst = min(evidence.limit or inf, t.IDLE_CAPACITY_FACTOR * idle_limit) * evidence.pools
    if closed < max(t.FEWEST_CLOSES, t.CHURN_SHARE * requests) or opened < 2 * burst:
        return None
    return (
        {
            "max_keepalive_connections": idle_limit,
            "connections_opened": opened,
            "connections_closed_for_the_limit": closed,
            "requests": requests,
        },
        (
            f"{opened:.0f} connections were opened for {requests:.0f} requests, and {closed:.0f} closed because"
            f" max_keepalive_connections is {idle_limit:.0f}"
        ),
    )


def keepalive_equal_to_max(evidence: Evidence) -> Proof | None:
    """Find idle connections to one origin that have to be closed before another origin can have one."""
    limit, idle_limit, requests = evidence.limit, evidence.idle_limit, evidence.checkouts
    if limit is None or (idle_limit is not None and idle_limit < limit):
        return None
    evicted = _closed(evidence, c.EVICTED)
    if evicted < max(t.FEWEST_CLOSES, t.CHURN_SHARE * requests):
        return None
    origins = len(evidence.origins())
    return (
        {"max_connections": limit, "origins": origins, "connections_evicted": evicted, "requests": requests},
        (
            f"{evicted:.0f} idle connections were closed to make room for another origin, for {requests:.0f} requests"
            f" to {origins} origins over {limit:.0f} connections that may all stay idle"
        ),
    )


def keepalive_expiry_too_long(evidence: Evidence) -> Proof | None:
    """Find servers that close idle connections as a habit: a request that is sent at that moment fails."""
    by_server, closed = _closed(evidence, c.SERVER_DISCONNECTED), evidence.increase(c.CLOSED)
    left = _closed(evidence, c.POOL_CLOSED)  # open when the client was closed
    most = max(evidence.level_before(c.OPEN_CONNECTIONS), evidence.level(c.OPEN_CONNECTIONS), left)
    if by_server < max(t.FEWEST_CLOSES, t.STALE_SHARE * closed, t.RESTART_FACTOR * most):
        return None
    return (
        {"connections_closed_by_server": by_server, "connections_closed": closed},
        f"{by_server:.0f} of the {closed:.0f} connections that ended were closed by the server while they were idle",
    )


def connections_too_old(evidence: Evidence) -> Proof | None:
    """Find connections to a name that are older than a change of its address may take."""
    for origin in filter(_has_a_name, evidence.origins()):
        ages = [_oldest(evidence.snapshot, origin)]
        lived = above(evidence.growth(c.DURATION, origin), t.OLD_SECONDS)
        still = evidence.increase(c.OPENED, origin) == evidence.increase(c.CLOSED, origin) == 0
        if still and evidence.level_before(c.OPEN_CONNECTIONS, origin):
            ages.append(evidence.seconds or 0.0)
        age = max(ages)
        if lived or age > t.OLD_SECONDS:
            number = f"connections_closed_over_{t.OLD_SECONDS:.0f}_seconds_old"
            return (
                {"origin": named(origin), "oldest_connection_seconds": age, number: lived},
                f"connections to {named(origin)}: {', and '.join(_ages(age, lived))}",
            )
    return None


def _ages(age: float, lived: int) -> Iterator[str]:
    """Say what was seen: from outside a process the age of what is open is only known where nothing opens or closes."""
    if age:
        yield f"the oldest one open is {age:.0f} s old"
    if lived:
        yield f"{lived} that ended had lived more than {t.OLD_SECONDS:.0f} s"


def _oldest(snapshot: PoolSnapshot | None, origin: Where) -> float:
    origins = () if snapshot is None else snapshot.origins
    ages = [one.oldest_connection_seconds for one in origins if (one.address, one.port) == (*origin.values(),)]
    return max(ages, default=0.0)


def _has_a_name(origin: Where) -> bool:
    host = origin[c.ADDRESS]
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host not in {"localhost", c.OTHER}
    return False


def orphaned_slots(evidence: Evidence) -> Proof | None:
    """Find slots that the pool itself lost."""
    lost = evidence.level(c.ORPHANED)
    if not lost:
        return None
    limit = evidence.limit
    of = "" if limit is None else f" of {limit:.0f}"
    return {"slots_lost": lost}, f"slots that belong to no request, and that none can have: {lost:.0f}{of}"


def client_per_request(evidence: Evidence) -> Proof | None:
    """Find pools that are made for a request or two and thrown away."""
    made, requests = evidence.increase_of_all(c.POOLS_OPENED), evidence.increase_of_all(c.CHECKOUTS)
    kept = max(0.0, evidence.level(c.POOLS) - evidence.level_before(c.POOLS))  # one of each worker, or of each tenant
    thrown_away = made - kept
    if thrown_away < t.POOL_COUNT or thrown_away < t.POOL_SHARE * requests:
        return None
    return (
        {"pools_made": made, "requests": requests},
        f"{made:.0f} pools were made for {requests:.0f} requests",
    )


def client_not_closed(evidence: Evidence) -> Proof | None:
    """Find clients that were dropped with sockets open."""
    leaked = evidence.increase_of_all(c.LEAKED, {c.LEAK: c.POOL_UNCLOSED})
    if not leaked:
        return None
    return {"clients_not_closed": leaked}, f"clients collected with open connections: {leaked:.0f}"

"""Plain requests: whole ones over an idle HTTP/1.1 connection, which is nearly all there are. Counted in bulk.

1. A plain request takes no lock and no step of the state machine: its moments are stores on its own checkout.
2. Whoever looks at the pool, and whatever else happens to the request or its connection, first takes it into the state
   machine (`Pool.engage`); from then on it goes the way of all others.
"""

from collections import defaultdict

from poolscope import _contract as c
from poolscope._records import Checkout, Connection
from poolscope._slots import Slots
from poolscope._tally import OriginTally, RequestKind

Group = tuple[OriginTally, str, int | str]
_PROTOCOL = "1.1"


def method_label(method: str) -> str:
    """Give a method as it is labelled."""
    return method if method in c.METHODS else c.OTHER


def request_kind(checkout: Checkout) -> RequestKind:
    """Give the labels that a request's duration is recorded under."""
    protocol = _PROTOCOL if checkout.plain else checkout.protocol
    return method_label(checkout.method), checkout.status, checkout.failure, protocol


def serves(checkout: Checkout, connection: Connection) -> bool:
    """Whether the connection has accepted the request that it was handed to, so that nobody else can have it."""
    if checkout.status:
        return True
    probe = connection.probe()
    return probe is not None and not connection.holders and not probe.is_idle() and not connection.closing


def count(slots: Slots, ended: list[Checkout]) -> None:
    """Count plain requests that ended."""
    groups: defaultdict[Group, list[Checkout]] = defaultdict(list)
    for one in ended:
        connection = one.connection
        if connection is None:
            continue
        connection.requests += 1
        connection.idle_at = one.ended_at or 0.0
        tally = one.tally or connection.tally  # it counts where it came in: its URL may have been changed since
        groups[tally, one.method, one.status].append(one)
        if one.trace is not None:
            tally.wait_time.exemplify(one.offered_at - one.entered_at, one.trace, one.offered_at)
    for (tally, _, _), group in groups.items():
        tally.checkouts += sum([one.tally is None for one in group])
        tally.acquisitions[c.REUSED] += len(group)
        ends = [one.ended_at or 0.0 for one in group]
        uses = [end - one.offered_at for end, one in zip(ends, group, strict=True)]
        slots.busy_seconds += sum(uses)
        tally.use_time.observe_all(uses)
        tally.wait_time.observe_all([one.offered_at - one.entered_at for one in group])
        _, durations = tally.request(request_kind(group[0]))
        durations.observe_all([end - one.started_at for end, one in zip(ends, group, strict=True)])

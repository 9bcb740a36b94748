"""What is so right now, counted from the live state when somebody looks: it costs no request, and cannot drift."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from poolscope import _contract as c
from poolscope._pool import Pool
from poolscope._tally import OriginTally, Point
from poolscope._transitions import ACTIVE, DONE, ESTABLISHING, HOLDING, IDLE


@dataclass(slots=True)
class Levels:
    """One origin's levels: requests that wait and hold, connections by state (and protocol), requests by method."""

    pending: int = 0
    checked_out: int = 0
    establishing: int = 0
    open: Counter[tuple[str, str]] = field(default_factory=Counter)
    active_requests: Counter[str] = field(default_factory=Counter)

    def open_as(self, state: str) -> int:
        """Give how many connections are open in this state."""
        return sum(count for (known, _), count in self.open.items() if known == state)


def levels_of(pool: Pool) -> dict[OriginTally, Levels]:
    """Count. Called with the pool's lock held."""
    found = {tally: Levels() for tally in pool.tallies.by_label.values()}
    for checkout, tally in pool.counted():
        levels = found.get(tally)
        if levels is None:  # a fault of ours; whoever scrapes shall have the rest
            continue
        levels.active_requests[checkout.method] += 1
        if checkout.state == HOLDING:
            levels.checked_out += 1
        elif checkout.state != DONE:
            levels.pending += 1
    for connection in pool.slots.taken.values():
        levels = found[connection.tally]
        if connection.state == ESTABLISHING:
            levels.establishing += 1
        elif connection.state in (ACTIVE, IDLE):
            levels.open[connection.state, connection.protocol] += 1
    return found


def points_of(pool: str, tally: OriginTally, levels: Levels) -> Iterator[tuple[Point, float]]:
    """Give one origin's levels by metric and label values; what was ever above zero stays, at zero."""
    labels = (pool, tally.address, tally.port)
    yield (c.PENDING, labels), levels.pending
    yield (c.CHECKED_OUT, labels), levels.checked_out
    yield (c.ESTABLISHING, labels), levels.establishing
    for protocol in tally.protocols:
        for state in c.STATES:
            yield (c.OPEN_CONNECTIONS, (*labels, state, protocol)), levels.open[state, protocol]
    if tally.address:
        methods = {"GET"} | levels.active_requests.keys() | {kind[0] for kind in tally.request_duration}
        for method in methods:
            yield (c.ACTIVE_REQUESTS, (tally.address, tally.port, method)), levels.active_requests[method]

"""The typed picture of a pool now. Frozen: it does not change when the pool does."""

from dataclasses import dataclass, field

from poolscope import _contract as c
from poolscope._levels import levels_of
from poolscope._losses import Losses
from poolscope._phases import ABANDONED, ORPHANED, phase_of
from poolscope._pool import Pool
from poolscope._records import Checkout, Connection
from poolscope._tally import OriginTally
from poolscope._transitions import ACTIVE, HOLDING, IDLE, OFFERED, WAITING


@dataclass(frozen=True, slots=True)
class OriginSnapshot:
    """One origin's share of the pool: open connections by state, those being set up, and requests that wait.

    oldest_connection_seconds: how long its oldest open connection has been open; 0 where there is none.
    """

    address: str
    port: str
    active: int
    idle: int
    establishing: int
    waiting: int
    oldest_connection_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class HeldConnection:
    """A slot, and the request that holds it. age_seconds: since the hand-over.

    phase: connecting, sending, awaiting headers, unread, streaming, abandoned or orphaned.
    place: the line of the program that took it, runner: the task or thread, trace_id: 32 hexadecimal digits; empty
    where they are not known.
    """

    connection_id: int
    address: str
    port: str
    protocol: str
    method: str
    phase: str
    age_seconds: float
    place: str = ""
    runner: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """The pool now. Limits are None where there is none; held is oldest first.

    in_use: slots that no other request can have, connections in set-up included. waiting: requests in the queue.
    running: requests under way, from where they entered to the end of their bodies, whether they have a connection or
    none that can be seen.
    waiting_seconds: how long each of them has waited, longest first. lost: slots that no request holds any more, phase
    abandoned or orphaned. unseen: connections that the pool has and that are older than the instrumentation.
    taken_at: the monotonic second.
    """

    name: str
    max_connections: int | None
    max_idle_connections: int | None
    keepalive_expiry_seconds: float | None
    in_use: int
    active: int
    idle: int
    establishing: int
    waiting: int
    origins: tuple[OriginSnapshot, ...]
    held: tuple[HeldConnection, ...]
    lost: tuple[HeldConnection, ...] = ()
    waiting_seconds: tuple[float, ...] = ()
    unseen: int = 0
    running: int = 0
    taken_at: float = field(default=0.0, compare=False)

    @property
    def orphaned(self) -> int:
        """How many slots the pool itself lost."""
        return sum(slot.phase == ORPHANED for slot in self.lost)

    @property
    def at_rest(self) -> bool:
        """Whether no request is under way."""
        return not self.running

    def __str__(self) -> str:
        limit = "unlimited" if self.max_connections is None else self.max_connections
        return (
            f"pool {self.name!r}: {self.in_use}/{limit} in use "
            f"({self.active} active, {self.establishing} establishing), {self.idle} idle, {self.waiting} waiting"
            + (f", {len(self.lost)} lost" if self.lost else "")
        )


def picture(pool: Pool, keepalive_expiry: float | None, now: float) -> PoolSnapshot:
    """Take the picture. Called with the pool's lock held."""
    origins = _origins(pool, now)
    held = [
        _held(checkout, checkout.connection, now)
        for checkout in pool.checkouts.copy()
        if checkout.state == HOLDING and checkout.connection is not None
    ]
    return PoolSnapshot(
        name=pool.name,
        max_connections=_limit(pool.max),
        max_idle_connections=_limit(pool.idle_max),
        keepalive_expiry_seconds=keepalive_expiry,
        in_use=pool.slots.in_use,
        active=sum(origin.active for origin in origins),
        idle=sum(origin.idle for origin in origins),
        establishing=sum(origin.establishing for origin in origins),
        waiting=sum(origin.waiting for origin in origins),
        origins=origins,
        held=_oldest_first(held),
        lost=_oldest_first([_lost(connection, pool.losses, now) for connection in pool.losses.lost]),
        waiting_seconds=tuple(
            sorted(
                (now - one.entered_at for one in pool.checkouts.copy() if one.state in (WAITING, OFFERED)), reverse=True
            )
        ),
        unseen=pool.losses.unseen(),
        running=len(pool.checkouts),
        taken_at=now,
    )


def _origins(pool: Pool, now: float) -> tuple[OriginSnapshot, ...]:
    opened_at = _opened_at(pool)
    return tuple(
        OriginSnapshot(
            tally.address,
            tally.port,
            levels.open_as(ACTIVE),
            levels.open_as(IDLE),
            levels.establishing,
            levels.pending,
            now - opened_at.get(tally, now),
        )
        for tally, levels in levels_of(pool).items()
        if tally.address
    )


def _opened_at(pool: Pool) -> dict[OriginTally, float]:
    """Give when each origin's oldest open connection was opened."""
    found: dict[OriginTally, float] = {}
    for connection in pool.slots.taken.values():
        if connection.state in (ACTIVE, IDLE):
            found[connection.tally] = min(connection.opened_at, found.get(connection.tally, connection.opened_at))
    return found


def _oldest_first(slots: list[HeldConnection]) -> tuple[HeldConnection, ...]:
    return tuple(sorted(slots, key=lambda slot: -slot.age_seconds))


def _held(checkout: Checkout, connection: Connection, now: float) -> HeldConnection:
    noted = c.STREAMING if connection.upgraded else checkout.phase  # nobody reads the body of an upgrade's response
    phase = phase_of(noted, checkout.method, connection.state, connection.protocol)
    return _row(checkout, connection, phase, now - checkout.offered_at)


def _lost(connection: Connection, losses: Losses, now: float) -> HeldConnection:
    checkout = losses.abandoned.get(connection)
    if checkout is not None:
        return _row(checkout, connection, ABANDONED, now - checkout.offered_at)
    tally = connection.tally
    age = now - connection.busy_at
    return HeldConnection(connection.id, tally.address, tally.port, connection.protocol, "", ORPHANED, age)


def _row(checkout: Checkout, connection: Connection, phase: str, age: float) -> HeldConnection:
    tally = checkout.tally or connection.tally
    origin = (tally.address, tally.port, connection.protocol, checkout.method)
    span = checkout.trace.span_context if checkout.trace is not None else None
    trace_id = "" if span is None else format(span.trace_id, "032x")
    return HeldConnection(connection.id, *origin, phase, age, checkout.place, checkout.runner, trace_id)


def _limit(value: float) -> int | None:
    return None if value >= c.UNLIMITED else int(value)

"""The typed picture of a pool now. Frozen: it does not change when the pool does."""

from dataclasses import dataclass

from poolscope import _contract as c
from poolscope._levels import levels_of
from poolscope._pool import Pool
from poolscope._records import Checkout, Connection
from poolscope._tally import OriginTally
from poolscope._transitions import ACTIVE, ESTABLISHING, HOLDING, IDLE


@dataclass(frozen=True, slots=True)
class OriginSnapshot:
    """One origin's share of the pool: open connections by state, those being set up, and requests that wait."""

    address: str
    port: str
    active: int
    idle: int
    establishing: int
    waiting: int


@dataclass(frozen=True, slots=True)
class HeldConnection:
    """A connection that a request holds. age_seconds: since the hand-over. phase: connecting, requesting, streaming."""

    connection_id: int
    address: str
    port: str
    protocol: str
    method: str
    phase: str
    age_seconds: float


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """The pool now. Limits are None where there is none; held is oldest first.

    in_use: slots that no other request can have, connections in set-up included. waiting: requests in the queue.
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

    @property
    def at_rest(self) -> bool:
        """Whether no request waits for a connection or holds one."""
        return not self.waiting and not self.held

    def __str__(self) -> str:
        limit = "unlimited" if self.max_connections is None else self.max_connections
        return (
            f"pool {self.name!r}: {self.in_use}/{limit} in use "
            f"({self.active} active, {self.establishing} establishing), {self.idle} idle, {self.waiting} waiting"
        )


def picture(pool: Pool, keepalive_expiry: float | None, now: float) -> PoolSnapshot:
    """Take the picture. Called with the pool's lock held."""
    origins = tuple(
        OriginSnapshot(
            tally.address,
            tally.port,
            levels.open_as(ACTIVE),
            levels.open_as(IDLE),
            levels.establishing,
            levels.pending,
        )
        for tally, levels in levels_of(pool).items()
        if tally.address
    )
    held = [
        _held(checkout, checkout.tally, checkout.connection, now)
        for checkout in pool.checkouts.copy()
        if checkout.state == HOLDING and checkout.tally is not None and checkout.connection is not None
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
        held=tuple(sorted(held, key=lambda one: -one.age_seconds)),
    )


def _held(checkout: Checkout, tally: OriginTally, connection: Connection, now: float) -> HeldConnection:
    phase = "connecting" if connection.state == ESTABLISHING else checkout.phase
    age = now - checkout.offered_at
    return HeldConnection(connection.id, tally.address, tally.port, connection.protocol, checkout.method, phase, age)


def _limit(value: float) -> int | None:
    return None if value >= c.UNLIMITED else int(value)

"""The facts: what happened in a pool, as frozen values. Nothing here imports anything of ours.

An event is in the past tense and says what is known at that moment. Every event names its pool and the origin
(`address`, `port`: the label values, `_OTHER` past the cap, empty where none applies) and the monotonic second `at`.
An event is built only where a sink asked for its type. `trace` is the request's, None where it is not sampled.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """What every event carries. at: seconds of the pool's monotonic clock."""

    pool: str
    address: str
    port: str
    at: float


@dataclass(frozen=True, slots=True)
class RequestStarted(Event):
    """A request entered the transport."""

    method: str


@dataclass(frozen=True, slots=True)
class CheckoutStarted(Event):
    """A request entered the pool and waits (for no time at all where a connection is free)."""


@dataclass(frozen=True, slots=True)
class Acquired(Event):
    """A connection was handed over. source: new, reused or shared."""

    source: str
    wait_seconds: float
    connection_id: int
    trace: object = None


@dataclass(frozen=True, slots=True)
class TimedOut(Event):
    """The wait ended in PoolTimeout."""

    wait_seconds: float
    cause: str
    trace: object = None


@dataclass(frozen=True, slots=True)
class Abandoned(Event):
    """The wait ended otherwise. error_type: the exception's `__qualname__`."""

    wait_seconds: float
    error_type: str
    trace: object = None


@dataclass(frozen=True, slots=True)
class Requeued(Event):
    """A connection was not available after all. stage: early (the wait goes on) or late (a new wait)."""

    stage: str
    connection_id: int


@dataclass(frozen=True, slots=True)
class Released(Event):
    """A request gave its connection back."""

    use_seconds: float
    connection_id: int


@dataclass(frozen=True, slots=True)
class StreamWaited(Event):
    """HTTP/2: a request that held a ready connection got a stream."""

    wait_seconds: float
    connection_id: int


@dataclass(frozen=True, slots=True)
class ConnectStarted(Event):
    """A connection attempt began: TCP or Unix socket, then proxy and TLS where they apply."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class ConnectFailed(Event):
    """A connection attempt failed. error_type: the exception's `__qualname__`."""

    connection_id: int
    connect_seconds: float
    error_type: str


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Event):
    """A connection is ready for use. protocol: 1.1 or 2."""

    connection_id: int
    connect_seconds: float
    protocol: str


@dataclass(frozen=True, slots=True)
class ConnectionIdled(Event):
    """A connection became idle."""

    connection_id: int
    protocol: str


@dataclass(frozen=True, slots=True)
class ConnectionReused(Event):
    """An idle connection became active again. idle_seconds: how long it was idle."""

    connection_id: int
    protocol: str
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class ConnectionClosed(Event):
    """A connection ended. was_active: False where it was idle."""

    connection_id: int
    reason: str
    open_seconds: float
    protocol: str
    was_active: bool
    requests: int


@dataclass(frozen=True, slots=True)
class SlotFreed(Event):
    """A slot ended that never became a connection."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class RequestEnded(Event):
    """A request ended: its body was closed, or it failed. status and error_type are empty where none applies.

    error_type: the `__qualname__` of the exception that ended it, or else a status of 400 or more.

    measured_elsewhere: another instrumentation answers for this request's span and duration.
    """

    method: str
    status: int | str
    error_type: str
    protocol: str
    duration_seconds: float
    measured_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Leaked(Event):
    """A leak was proved. leak_type: held_too_long, response_unclosed or pool_unclosed, which has no request.

    connections: how many it holds. held_seconds: for how long. phase: what its request was about, as in
    `HeldConnection`. request: that request, with its `method`, `place` and `runner`; None for a whole pool.
    """

    leak_type: str
    connections: int
    held_seconds: float = 0.0
    phase: str = ""
    request: Any = None


@dataclass(frozen=True, slots=True)
class GivenBack(Event):
    """A connection that was held too long was given back after all. phase: what its request was about at last."""

    held_seconds: float
    phase: str = ""
    request: Any = None


@dataclass(frozen=True, slots=True)
class SlotOrphaned(Event):
    """A slot belongs to no request any more, and is neither idle nor closed. was: connecting or active."""

    connection_id: int
    was: str


@dataclass(frozen=True, slots=True)
class SlotRecovered(Event):
    """An orphaned slot is free again, or held by a request."""

    connection_id: int


@dataclass(frozen=True, slots=True)
class PoolOpened(Event):
    """A closed pool is used again. Sinks hear of a new one by `attach`. The limits are 1e18 where there are none."""

    max_connections: float
    max_idle_connections: float


@dataclass(frozen=True, slots=True)
class PoolClosed(Event):
    """A pool was closed."""


EVENTS: tuple[type[Event], ...] = tuple(
    value
    for value in list(vars().values())  # not Event.__subclasses__(): that has each class without its slots, too
    if isinstance(value, type) and issubclass(value, Event) and value is not Event
)

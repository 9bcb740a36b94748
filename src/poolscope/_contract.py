"""The telemetry contract: every metric's name, kind, unit, labels and buckets, and every label's values.

One table drives both sinks, the docs, the dashboards and the alert rules. Nothing here imports anything of ours.
Names are OpenTelemetry's where it has one; else `db.client.connection.X` carried over to `http.client.connection.X`.
The Prometheus name is what OpenTelemetry's own translation makes of it, so that one dashboard serves both.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "updown", "gauge", "histogram"]

POOL = "http.client.connection.pool.name"
ADDRESS = "server.address"
PORT = "server.port"
SOURCE = "http.client.connection.source"
CAUSE = "http.client.connection.timeout.cause"
STAGE = "http.client.connection.requeue.stage"
REASON = "http.client.connection.close.reason"
LEAK = "http.client.connection.leak.type"
STATE = "http.connection.state"
PROTOCOL = "network.protocol.version"
ERROR = "error.type"
METHOD = "http.request.method"
STATUS = "http.response.status_code"

NEW, REUSED, SHARED = SOURCES = ("new", "reused", "shared")
EARLY, LATE = STAGES = ("early", "late")
ACTIVE, IDLE = STATES = ("active", "idle")
SLOW_ORIGIN = "slow_origin"
OTHER_ORIGIN = "other_origin"
CONNECTING = "connecting"
STREAMING = "streaming"
UNREAD = "unread"
LEAKED_SLOTS = "leaked"
ORPHANED_SLOTS = "orphaned"
BURST = "burst"
UNKNOWN = "unknown"
CAUSES = (
    SLOW_ORIGIN,
    OTHER_ORIGIN,
    CONNECTING,
    STREAMING,
    UNREAD,
    LEAKED_SLOTS,
    ORPHANED_SLOTS,
    BURST,
    UNKNOWN,
)
POOL_CLOSED = "pool_closed"
SERVER_DISCONNECTED = "server_disconnected"
KEEPALIVE_EXPIRED = "keepalive_expired"
KEEPALIVE_LIMIT = "keepalive_limit"
EVICTED = "evicted"
UPGRADED = "upgraded"
FAILED = "error"
CANCELLED = "cancelled"
CONNECTION_CLOSE = "connection_close"
RESPONSE_UNREAD = "response_unread"
DROPPED = "dropped"
REASONS = (
    POOL_CLOSED,
    SERVER_DISCONNECTED,
    KEEPALIVE_EXPIRED,
    KEEPALIVE_LIMIT,
    EVICTED,
    UPGRADED,
    FAILED,
    CANCELLED,
    CONNECTION_CLOSE,
    RESPONSE_UNREAD,
    DROPPED,
)
HELD_TOO_LONG, RESPONSE_UNCLOSED, POOL_UNCLOSED = LEAKS = ("held_too_long", "response_unclosed", "pool_unclosed")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
OTHER = "_OTHER"

UNLIMITED = 1e18
"""Reported for a limit that is not set: the SDK drops infinities, `sys.maxsize` overflows OTLP, 0 alarms."""
LEAST_UNLIMITED = 1e15
"""Who reads takes a limit from here on for none: a float that went through text need not be 1e18 to the last digit."""

REQ = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
QUEUE = (0.001, *REQ, 30.0, 60.0)
CREATE = (0.001, *REQ)
CONN = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
SERVED = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 10000.0)

P = (POOL,)
B = (POOL, ADDRESS, PORT)
S = (ADDRESS, PORT)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One row of the contract. A row equals itself alone: it is a key wherever a point is, and hashes as an object.

    name: OpenTelemetry's name. unit: UCUM. labels: every label a point carries, in order.
    buckets: upper bounds of a histogram, else empty. opt_in: off unless asked for.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    description: str
    buckets: tuple[float, ...] = ()
    opt_in: bool = False

    @property
    def prometheus_name(self) -> str:
        """The name in a Prometheus exposition: dots to underscores, the unit's and the kind's suffix."""
        unit = "_seconds" if self.unit == "s" else ""
        total = "_total" if self.kind == "counter" else ""
        return prometheus_label(self.name) + unit + total


def prometheus_label(name: str) -> str:
    """Give the Prometheus form of an OpenTelemetry name or attribute key."""
    return name.replace(".", "_")


_C = "http.client.connection."
CHECKOUTS = Metric(_C + "checkouts", "counter", "{checkout}", B, "Requests that entered the pool.")
PENDING = Metric(_C + "pending_requests", "updown", "{request}", B, "Requests that wait for a connection now.")
ACQUISITIONS = Metric(
    _C + "acquisitions", "counter", "{acquisition}", (*B, SOURCE), "Connections handed over to a request."
)
TIMEOUTS = Metric(
    _C + "timeouts", "counter", "{timeout}", (*B, CAUSE), "Waits that ended in PoolTimeout, by its cause."
)
ABANDONED = Metric(
    _C + "abandoned", "counter", "{checkout}", (*B, ERROR), "Waits that ended otherwise: cancelled or failed."
)
WAIT_TIME = Metric(
    _C + "wait_time",
    "histogram",
    "s",
    B,
    "From entering the pool to the hand-over, the timeout or the end of the wait.",
    QUEUE,
)
REQUEUES = Metric(
    _C + "requeues", "counter", "{requeue}", (*B, STAGE), "Connections that were not available after all."
)
CHECKED_OUT = Metric(_C + "checked_out", "updown", "{request}", B, "Requests that hold a connection now.")
USE_TIME = Metric(
    _C + "use_time", "histogram", "s", B, "From the hand-over to the give-back, when the body is closed.", QUEUE
)
STREAM_WAIT_TIME = Metric(
    _C + "stream_wait_time",
    "histogram",
    "s",
    B,
    "HTTP/2: from the hand-over of a ready connection until a stream is free.",
    QUEUE,
)
OPENED = Metric(_C + "opened", "counter", "{connection}", B, "Connections that became ready for use.")
CREATE_TIME = Metric(
    _C + "create_time",
    "histogram",
    "s",
    (*B, ERROR),
    "Setting up a connection: TCP, proxy and TLS; failures carry error.type.",
    CREATE,
)
ESTABLISHING = Metric(_C + "establishing", "updown", "{connection}", B, "Connections being set up now.")
OPEN_CONNECTIONS = Metric(
    "http.client.open_connections", "updown", "{connection}", (*B, STATE, PROTOCOL), "Open sockets."
)
CLOSED = Metric(_C + "closed", "counter", "{connection}", (*B, REASON), "Connections that ended, by the reason.")
DURATION = Metric(
    _C + "duration", "histogram", "s", (*B, PROTOCOL), "A socket's lifetime, recorded when it closes.", CONN
)
IN_USE = Metric(_C + "in_use", "updown", "{connection}", P, "Slots that no other request can have now.")
BUSY_TIME = Metric(_C + "busy_time", "counter", "s", P, "The integral of in_use over time, running uses included.")
MAX = Metric(_C + "max", "updown", "{connection}", P, "The limit of connections; 1e18 where there is none.")
IDLE_MAX = Metric(
    _C + "idle.max", "updown", "{connection}", P, "The limit of idle connections; 1e18 where there is none."
)
LEAKED = Metric(_C + "leaks", "counter", "{leak}", (*P, LEAK), "Leaks that were proved.")
ORPHANED = Metric(_C + "orphaned", "updown", "{connection}", P, "Slots that no request owns, neither idle nor closed.")
OLDEST_PENDING_AGE = Metric(
    _C + "oldest_pending_age", "gauge", "s", P, "How long the oldest waiting request has waited."
)
OLDEST_USE_AGE = Metric(_C + "oldest_use_age", "gauge", "s", P, "How long the oldest hold of a connection has lasted.")
POOLS = Metric(_C + "pools", "updown", "{pool}", P, "Live pools under this name.")
POOLS_OPENED = Metric(_C + "pools.opened", "counter", "{pool}", P, "Pools made under this name.")
ACTIVE_REQUESTS = Metric(
    "http.client.active_requests",
    "updown",
    "{request}",
    (*S, METHOD),
    "Requests between entering the transport and the end of their body.",
)
REQUEST_DURATION = Metric(
    "http.client.request.duration",
    "histogram",
    "s",
    (METHOD, *S, STATUS, ERROR, PROTOCOL),
    "Duration of HTTP client requests.",
    REQ,
)
REQUESTS_SERVED = Metric(
    _C + "requests", "histogram", "{request}", B, "Requests that a connection served.", SERVED, opt_in=True
)
IDLE_TIME = Metric(
    _C + "idle_time", "histogram", "s", B, "How long a connection was idle when reused.", CONN, opt_in=True
)

WAIT_SPAN = "HTTP wait_for_connection"
SETUP_SPAN = "HTTP connection_setup"
SOCKET_SPAN = "socket connect"
TLS_SPAN = "TLS client handshake"
SPANS = (WAIT_SPAN, SETUP_SPAN, SOCKET_SPAN, TLS_SPAN)
"""The first words of our spans' names, or of the events that stand for them; where each went follows."""
VERDICT_EVENT = "pool_timeout"
"""The event on a request's span that says why its wait ended in PoolTimeout."""

CONNECTION_ID = "http.client.connection.id"
WAIT_SECONDS = "http.client.connection.wait_time"
ELAPSED_SECONDS = "http.client.connection.elapsed_time"
"""On an event that stands for a span: how long the span would have lasted."""

METRICS: tuple[Metric, ...] = tuple(value for value in vars().values() if isinstance(value, Metric))

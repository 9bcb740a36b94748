"""What is known of one request and of one connection. One object per request owns that request's state."""

from collections.abc import Callable
from contextvars import ContextVar
from itertools import count
from types import AsyncGeneratorType
from typing import Any, Protocol

from poolscope import _contract as c
from poolscope._phases import REQUESTING
from poolscope._tally import OriginTally
from poolscope._tracing import Trace
from poolscope._transitions import HOLDING, OCCUPIED, RESERVED, WAITING

_ids = count(1)
_ERRORS_FROM = 400


class Probe(Protocol):
    """What may be asked of the pool's own connection object."""

    def is_idle(self) -> bool:
        """Whether it is idle."""

    def is_closed(self) -> bool:
        """Whether it is closed."""


class Armed(Protocol):
    """What may be asked of the stream of a connection."""

    def arm(self) -> None:
        """Report the next write."""

    def arm_read(self) -> None:
        """Note the next read."""


class Target(Protocol):
    """Where a request goes: what a URL of httpx says of it."""

    @property
    def raw_scheme(self) -> bytes:
        """The scheme."""

    @property
    def raw_host(self) -> bytes:
        """The host, in IDNA's form."""

    @property
    def port(self) -> int | None:
        """The port, None where it is the scheme's own."""


def _nothing() -> None:
    return None


def error_type(exc: BaseException) -> str:
    """Give error.type as OpenTelemetry's package has it. Of a group of cancellations, as trio's, it is theirs."""
    while isinstance(exc, BaseExceptionGroup) and not isinstance(exc, ExceptionGroup):
        exc = exc.exceptions[0]
    return type(exc).__qualname__


def frame_of(generator: Any) -> Any:
    """Give the frame of a generator of either colour, None where it came to its end."""
    return generator.ag_frame if isinstance(generator, AsyncGeneratorType) else generator.gi_frame


class Checkout:
    """One request, from entering the transport to the end of its body.

    plain: the state machine has not taken it in (`_plain`). tally: where it counts, None until it has been counted.
    started_at: entered the transport. entered_at: its present wait began. offered_at: was last handed a connection.
    ended_at: ended, None until then. ended: that has been counted.
    joined: that connection was being set up for, or used by, another request. streaming: HTTP/2 gave it a stream.
    read: its body was read to the end, where something of ours iterates it. closing: its body is being closed.
    error: what ended it, empty where nothing did; cancelled: that was no failure. source: new, reused or shared.
    chunks: gives the generator that iterates its body, where nothing of ours does, None once that was collected.
    trace: None where it is not traced. queued: its wait was more than a hand-over (kept for a trace).
    measured_elsewhere: another instrumentation answers for its span and duration.
    cause: why its wait ended in PoolTimeout. place, runner: the line of the program and the task or thread that it
    belongs to, empty where nobody looked.
    """

    # Defaults stand on the class: a request then pays only for what it sets. What is read again and again is set.
    connection: "Connection | None" = None
    tally: OriginTally | None = None
    joined = streaming = read = closing = cancelled = ended = queued = measured_elsewhere = False
    phase = REQUESTING
    state = WAITING
    status: int | str = ""
    protocol = source = place = runner = ""
    cause = c.UNKNOWN
    offered_at = 0.0
    chunks: Callable[[], Any] | None = None

    def __init__(self, target: Target, method: str, now: float) -> None:
        self.target = target
        self.method = method
        self.started_at = self.entered_at = now
        self.plain = True
        self.error = ""
        self.ended_at: float | None = None
        self.trace: Trace | None = None

    @property
    def failure(self) -> str:
        """What goes for error.type: what ended it, or else a status that says of an error."""
        failed = isinstance(self.status, int) and self.status >= _ERRORS_FROM
        return self.error or (str(self.status) if failed else "")

    def fail(self, exc: BaseException) -> None:
        """Note what ended it."""
        self.error = error_type(exc)
        self.cancelled = not isinstance(exc, Exception)

    @property
    def holds(self) -> bool:
        """Whether it holds a connection, as far as can be told without asking the pool."""
        return self.state == HOLDING or (self.plain and self.connection is not None)

    def leaves_idle(self) -> bool:
        """Whether its connection is idle at its end. Where that does not follow, the connection is asked."""
        connection = self.connection
        if connection is None:
            return False
        whole = self.read and connection.protocol == "1.1" and not connection.upgraded
        return whole or connection.says_idle()  # after a whole exchange idle, or its socket was closed, and that we saw


class Connection:
    """One slot of the pool, and the socket it comes to have.

    probe: gives the pool's object for it, None once that was collected. own: that may be held (`_seams.watch`), and
    kept: is so while the connection is `plain`. stream: gives the stream of its socket, None once that was collected.
    in_pool: the pool still knows it. holders: requests that hold it. offered: requests it was offered to, undecided.
    connector: the request that it connects for. upgraded: it speaks another protocol now.
    plain: it is idle, and a plain request may have it. alias: no plain one may, because a request came to it that
    counts for another origin: a transport between us and the pool changes URLs.
    engaged: the plain request that the state machine took in here.
    rivals: plain requests that it was handed to while another had it; the pool does so in the moment before that one
    begins, and then refuses them.
    stranger: somebody came to it past the instrumentation.
    busy_at: since when its slot is taken by somebody. closing: why the pool closes it, empty while it does not.
    socket_closed_at: closed, and the reason may not be known yet. unread: by then a response had not come to its end,
    None where that cannot be told.
    peer: whom its socket speaks to, and setup: the span
    of its set-up; both None where nothing was traced then.
    """

    __slots__ = (
        "alias",
        "busy_at",
        "closing",
        "connecting_at",
        "connector",
        "engaged",
        "holders",
        "id",
        "idle_at",
        "in_pool",
        "kept",
        "offered",
        "opened_at",
        "own",
        "peer",
        "plain",
        "probe",
        "protocol",
        "requests",
        "rivals",
        "setup",
        "socket_closed_at",
        "state",
        "stranger",
        "stream",
        "tally",
        "unread",
        "upgraded",
    )

    def __init__(self, tally: OriginTally, now: float) -> None:
        self.id = next(_ids)
        self.tally = tally
        self.state = RESERVED
        self.protocol = "1.1"
        self.probe: Callable[[], Probe | None] = _nothing
        self.stream: Callable[[], Armed | None] = _nothing
        self.in_pool = True
        self.own = False
        self.kept: Any = None
        self.upgraded = self.stranger = self.alias = False
        self.unread: bool | None = None
        self.holders = self.offered = self.requests = 0
        self.busy_at = self.connecting_at = self.opened_at = self.idle_at = now
        self.connector: Checkout | None = None
        self.plain = False
        self.rivals: list[Checkout] = []
        self.engaged: Checkout | None = None
        self.closing = ""
        self.peer: Any = None
        self.setup: Any = None
        self.socket_closed_at: float | None = None

    def arm(self) -> None:
        """Have its socket, where there is one, report the next write."""
        stream = self.stream()
        if stream is not None:
            stream.arm()

    def arm_read(self) -> None:
        """Have its socket, where there is one, note the next read."""
        stream = self.stream()
        if stream is not None:
            stream.arm_read()

    def says_idle(self) -> bool:
        """Ask the pool's own object, where it is still there, whether it is idle."""
        probe = self.probe()
        return probe is not None and probe.is_idle()

    @property
    def streamless(self) -> bool:
        """Whether no socket of it was ever seen."""
        return self.stream is _nothing

    @property
    def occupied(self) -> bool:
        """Whether no other request can have the slot."""
        return self.in_pool and self.state in OCCUPIED


CURRENT: ContextVar[Checkout | None] = ContextVar("poolscope_checkout", default=None)
"""The request that the running task or thread is in the pool for."""

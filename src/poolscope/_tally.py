"""What has been counted, per origin. Plain numbers: whoever holds the pool's lock may change them, nobody else.

Every label set that the contract can name is there from the start, at zero, because `increase()` cannot see the
first event of a series that is born at 1. Open label sets (error types, statuses) are capped and then fold to `_OTHER`.
"""

from bisect import bisect_left
from collections.abc import Iterator

from poolscope import _contract as c

MAX_ERROR_TYPES = 30
MAX_REQUEST_KINDS = 200

LabelValues = tuple[str | int, ...]
Point = tuple[c.Metric, LabelValues]


class Histogram:
    """Counts of observed values by bucket (upper bound inclusive, the last one unbounded), and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def plus(self, other: "Histogram") -> "Histogram":
        """Give a new histogram that holds the values of both."""
        both = Histogram(self.bounds)
        both.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        both.sum = self.sum + other.sum
        return both

    def copy(self) -> "Histogram":
        """Give a histogram that later observations do not change."""
        return self.plus(Histogram(self.bounds))

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


class OriginTally:
    """The numbers of one origin in one pool. Field names are the contract's last name parts."""

    __slots__ = (
        "abandoned",
        "acquisitions",
        "active_requests",
        "address",
        "checked_out",
        "checkouts",
        "closed",
        "create_time",
        "duration",
        "establishing",
        "idle_time",
        "open",
        "opened",
        "pending",
        "port",
        "request_duration",
        "requests_served",
        "requeues",
        "stream_wait_time",
        "timeouts",
        "use_time",
        "wait_time",
    )

    def __init__(self, address: str, port: str) -> None:
        self.address = address
        self.port = port
        self.checkouts = self.pending = self.checked_out = self.opened = self.establishing = 0
        self.acquisitions = dict.fromkeys(c.SOURCES, 0)
        self.timeouts = dict.fromkeys(c.CAUSES, 0)
        self.abandoned = {"CancelledError": 0}
        self.requeues = dict.fromkeys(c.STAGES, 0)
        self.closed = dict.fromkeys(c.REASONS, 0)
        self.open = {(c.ACTIVE, "1.1"): 0, (c.IDLE, "1.1"): 0}
        self.wait_time = Histogram(c.QUEUE)
        self.use_time = Histogram(c.QUEUE)
        self.stream_wait_time = Histogram(c.QUEUE)
        self.create_time = {"": Histogram(c.CREATE)}
        self.duration = {"1.1": Histogram(c.CONN)}
        self.active_requests: dict[str, int] = {"GET": 0}
        self.request_duration: dict[tuple[str, str | int, str, str], Histogram] = {}
        self.requests_served = Histogram(c.SERVED)
        self.idle_time = Histogram(c.CONN)

    def abandon(self, error_type: str) -> str:
        """Count an abandoned wait; give the error type as counted."""
        error_type = _capped(error_type, self.abandoned)
        self.abandoned[error_type] = self.abandoned.get(error_type, 0) + 1
        return error_type

    def created(self, seconds: float, error_type: str) -> str:
        """Record one connection attempt; give the error type as recorded."""
        error_type = _capped(error_type, self.create_time)
        histogram = self.create_time.get(error_type)
        if histogram is None:
            histogram = self.create_time[error_type] = Histogram(c.CREATE)
        histogram.observe(seconds)
        return error_type

    def lived(self, seconds: float, protocol: str) -> None:
        """Record a socket's lifetime."""
        histogram = self.duration.get(protocol)
        if histogram is None:
            histogram = self.duration[protocol] = Histogram(c.CONN)
        histogram.observe(seconds)

    def request_kind(
        self, method: str, status: int | str, error_type: str, protocol: str
    ) -> tuple[str, str | int, str, str]:
        """Give the labels that a request of this kind is recorded under: these, or folded ones past the cap."""
        kind = (method, status, error_type, protocol)
        if kind not in self.request_duration:
            if len(self.request_duration) >= MAX_REQUEST_KINDS:
                kind = (method, "", c.OTHER, "")  # the method stays: by it a request leaves active_requests
            self.request_duration.setdefault(kind, Histogram(c.REQ))
        return kind

    def numbers(self, pool: str) -> Iterator[tuple[Point, float]]:
        """Give every counter and level of this origin by its metric and label values."""
        labels = (pool, self.address, self.port)
        yield (c.CHECKOUTS, labels), self.checkouts
        yield (c.PENDING, labels), self.pending
        yield (c.CHECKED_OUT, labels), self.checked_out
        yield (c.OPENED, labels), self.opened
        yield (c.ESTABLISHING, labels), self.establishing
        for metric, table in (
            (c.ACQUISITIONS, self.acquisitions),
            (c.TIMEOUTS, self.timeouts),
            (c.ABANDONED, self.abandoned),
            (c.REQUEUES, self.requeues),
            (c.CLOSED, self.closed),
        ):
            for value, count in table.items():
                yield (metric, (*labels, value)), count
        for (state, protocol), count in self.open.items():
            yield (c.OPEN_CONNECTIONS, (*labels, state, protocol)), count
        if self.address:
            for method, count in self.active_requests.items():
                yield (c.ACTIVE_REQUESTS, (self.address, self.port, method)), count

    def histograms(self, pool: str) -> Iterator[tuple[Point, Histogram]]:
        """Give every histogram of this origin by its metric and label values: the live ones, not copies."""
        labels = (pool, self.address, self.port)
        yield (c.WAIT_TIME, labels), self.wait_time
        yield (c.USE_TIME, labels), self.use_time
        yield (c.STREAM_WAIT_TIME, labels), self.stream_wait_time
        yield (c.REQUESTS_SERVED, labels), self.requests_served
        yield (c.IDLE_TIME, labels), self.idle_time
        for error_type, histogram in self.create_time.items():
            yield (c.CREATE_TIME, (*labels, error_type)), histogram
        for protocol, histogram in self.duration.items():
            yield (c.DURATION, (*labels, protocol)), histogram
        for (method, status, error_type, protocol), histogram in self.request_duration.items():
            point = (c.REQUEST_DURATION, (method, self.address, self.port, status, error_type, protocol))
            yield point, histogram


def _capped(error_type: str, table: dict[str, int] | dict[str, Histogram]) -> str:
    """Give the error type, or `_OTHER` where the table is full and does not know it."""
    return error_type if error_type in table or len(table) < MAX_ERROR_TYPES else c.OTHER

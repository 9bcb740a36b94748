"""What has been counted, per origin. Plain numbers: whoever holds the pool's lock may change them, nobody else.

Every label set that the contract can name is there from the start, at zero, because `increase()` cannot see the
first event of a series that is born at 1. Open label sets (error types, statuses) are capped and then fold to `_OTHER`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

from poolscope import _contract as c
from poolscope._tracing import Trace

MAX_ERROR_TYPES = 30
MAX_REQUEST_KINDS = 200

LabelValues = tuple[str | int, ...]
Point = tuple[c.Metric, LabelValues]
Exemplar = tuple[float, Any, float]
RequestKind = tuple[str, str | int, str, str]
"""method, status, error type, protocol"""


class Histogram:
    """Counts of observed values by bucket (upper bound inclusive, the last one unbounded), and their sum.

    exemplars: by bucket, the last value of a sampled request, its span's context, and when (epoch seconds).
    """

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] | None = None

    def exemplify(self, value: float, trace: Trace, now: float) -> None:
        """Keep a value that was observed at the monotonic second `now` as its bucket's exemplar."""
        if trace.span_context is not None:
            self.exemplars = self.exemplars or {}
            self.exemplars[bisect_left(self.bounds, value)] = (value, trace.span_context, trace.epoch + now)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_all(self, values: list[float]) -> None:
        """Count many values. The list is sorted in place."""
        values.sort()
        self.sum += sum(values)
        below = 0
        for i, bound in enumerate(self.bounds):
            upto = bisect_right(values, bound, below)
            self.counts[i] += upto - below
            below = upto
            if below == len(values):
                return
        self.counts[-1] += len(values) - below

    def plus(self, other: "Histogram") -> "Histogram":
        """Give a new histogram that holds the values of both."""
        both = Histogram(self.bounds)
        both.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        both.sum = self.sum + other.sum
        if self.exemplars or other.exemplars:
            both.exemplars = {**(self.exemplars or {}), **(other.exemplars or {})}
        return both

    def copy(self) -> "Histogram":
        """Give a histogram that later observations do not change."""
        same = Histogram.__new__(Histogram)  # no counts are made that are thrown away: a pool's lock is held
        same.bounds = self.bounds
        same.counts = self.counts.copy()
        same.sum = self.sum
        same.exemplars = self.exemplars.copy() if self.exemplars else None
        return same

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


class OriginTally:
    """What one origin counted in one pool. Field names are the contract's last name parts. protocols: seen so far."""

    __slots__ = (
        "abandoned",
        "acquisitions",
        "address",
        "checkouts",
        "closed",
        "create_time",
        "duration",
        "opened",
        "port",
        "protocols",
        "request_duration",
        "requeues",
        "stream_wait_time",
        "timeouts",
        "use_time",
        "wait_time",
    )

    def __init__(self, address: str, port: str) -> None:
        self.address = address
        self.port = port
        self.checkouts = self.opened = 0
        self.acquisitions = dict.fromkeys(c.SOURCES, 0)
        self.timeouts = dict.fromkeys(c.CAUSES, 0)
        self.abandoned = {"CancelledError": 0}
        self.requeues = dict.fromkeys(c.STAGES, 0)
        self.closed = dict.fromkeys(c.REASONS, 0)
        self.protocols = {"1.1"}
        self.wait_time = Histogram(c.QUEUE)
        self.use_time = Histogram(c.QUEUE)
        self.stream_wait_time = Histogram(c.QUEUE)
        self.create_time = {"": Histogram(c.CREATE)}
        self.duration = {"1.1": Histogram(c.CONN)}
        self.request_duration: dict[RequestKind, Histogram] = {}

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

    def request(self, kind: RequestKind) -> tuple[RequestKind, Histogram]:
        """Give the labels that a request's duration is recorded under, folded past the cap; and its histogram."""
        histogram = self.request_duration.get(kind)
        if histogram is None:
            if len(self.request_duration) >= MAX_REQUEST_KINDS:
                kind = (kind[0], "", c.OTHER, "")  # the method stays: by it a request leaves active_requests
            histogram = self.request_duration.setdefault(kind, Histogram(c.REQ))
        return kind, histogram

    def counters(self, pool: str) -> Iterator[tuple[Point, float]]:
        """Give every counter of this origin by its metric and label values."""
        labels = (pool, self.address, self.port)
        yield (c.CHECKOUTS, labels), self.checkouts
        yield (c.OPENED, labels), self.opened
        for metric, table in (
            (c.ACQUISITIONS, self.acquisitions),
            (c.TIMEOUTS, self.timeouts),
            (c.ABANDONED, self.abandoned),
            (c.REQUEUES, self.requeues),
            (c.CLOSED, self.closed),
        ):
            for value, count in table.items():
                yield (metric, (*labels, value)), count

    def histograms(self, pool: str) -> Iterator[tuple[Point, Histogram]]:
        """Give every histogram of this origin by its metric and label values: the live ones, not copies."""
        labels = (pool, self.address, self.port)
        yield (c.WAIT_TIME, labels), self.wait_time
        yield (c.USE_TIME, labels), self.use_time
        yield (c.STREAM_WAIT_TIME, labels), self.stream_wait_time
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

"""Which values of which histograms an event carries: the one place where events become measurements."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import Histogram

from poolscope import _contract as c
from poolscope import events as e
from poolscope._plain import request_kind
from poolscope._records import Checkout
from poolscope._tally import LabelValues

NO_TRACE = Context({"poolscope": "nobody's"})
"""What a measurement is recorded in that has no trace: whose is current then is chance, and an empty one means that."""

Attributes = dict[str, str | int]

Measurement = tuple[c.Metric, float, LabelValues]


def _where(event: e.Event) -> tuple[str, str, str]:
    return event.pool, event.address, event.port


def _wait(event: e.Acquired | e.TimedOut | e.Abandoned) -> Iterator[Measurement]:
    yield c.WAIT_TIME, event.wait_seconds, _where(event)


def _use(event: e.Released) -> Iterator[Measurement]:
    yield c.USE_TIME, event.use_seconds, _where(event)


def _stream_wait(event: e.StreamWaited) -> Iterator[Measurement]:
    yield c.STREAM_WAIT_TIME, event.wait_seconds, _where(event)


def _created(event: e.ConnectionOpened) -> Iterator[Measurement]:
    yield c.CREATE_TIME, event.connect_seconds, (*_where(event), "")


def _failed(event: e.ConnectFailed) -> Iterator[Measurement]:
    yield c.CREATE_TIME, event.connect_seconds, (*_where(event), event.error_type)


def _closed(event: e.ConnectionClosed) -> Iterator[Measurement]:
    yield c.DURATION, event.open_seconds, (*_where(event), event.protocol)
    yield c.REQUESTS_SERVED, event.requests, _where(event)


def _reused(event: e.ConnectionReused) -> Iterator[Measurement]:
    yield c.IDLE_TIME, event.idle_seconds, _where(event)


def _request(event: e.RequestEnded) -> Iterator[Measurement]:
    labels = (event.method, event.address, event.port, event.status, event.error_type, event.protocol)
    yield c.REQUEST_DURATION, event.duration_seconds, labels


MEASURES: dict[type[e.Event], Callable[[Any], Iterator[Measurement]]] = {
    e.Acquired: _wait,
    e.TimedOut: _wait,
    e.Abandoned: _wait,
    e.Released: _use,
    e.StreamWaited: _stream_wait,
    e.ConnectionOpened: _created,
    e.ConnectFailed: _failed,
    e.ConnectionClosed: _closed,
    e.ConnectionReused: _reused,
    e.RequestEnded: _request,
}


def attributes(metric: c.Metric, labels: LabelValues) -> Attributes:
    """Give a point's attributes; a port is a number there."""
    return {
        key: int(value) if key == c.PORT and isinstance(value, str) and value.isdigit() else value
        for key, value in zip(metric.labels, labels, strict=True)
    }


def measured_events(*, opt_in: bool) -> list[type[e.Event]]:
    """Give the events that carry a measurement which is wanted."""
    return [event for event in MEASURES if opt_in or event is not e.ConnectionReused]


class PlainRecorder:
    """Records what plain requests measured, each in one go. pool: its name."""

    def __init__(self, histograms: Mapping[c.Metric, Histogram], pool: str) -> None:
        self._wait, self._use, self._duration = (
            histograms[metric].record for metric in (c.WAIT_TIME, c.USE_TIME, c.REQUEST_DURATION)
        )
        self._pool = pool
        self._attributes: dict[LabelValues, Attributes] = {}

    def __call__(self, one: Checkout) -> None:
        """Record one."""
        if one.connection is None or one.ended_at is None:
            return
        tally, trace = one.connection.tally, one.trace
        where = self._known(c.WAIT_TIME, (self._pool, tally.address, tally.port))
        self._wait(one.offered_at - one.entered_at, where, NO_TRACE if trace is None else trace.context)
        self._use(one.ended_at - one.offered_at, where, NO_TRACE)
        if not one.measured_elsewhere:
            method, *others = tally.request(request_kind(one))[0]
            request = self._known(c.REQUEST_DURATION, (method, tally.address, tally.port, *others))
            self._duration(one.ended_at - one.started_at, request, NO_TRACE)

    def _known(self, metric: c.Metric, labels: LabelValues) -> Attributes:
        """Give a point's attributes, made once: the label sets are as many as the contract's caps allow."""
        known = self._attributes.get(labels)
        if known is None:
            known = self._attributes[labels] = attributes(metric, labels)
        return known

"""Which values of which histograms an event carries: the one place where events become measurements."""

from collections.abc import Callable, Iterator
from typing import Any

from poolscope import _contract as c
from poolscope import _events as e
from poolscope._tally import LabelValues

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


def attributes(metric: c.Metric, labels: LabelValues) -> dict[str, str | int]:
    """Give a point's attributes; a port is a number there."""
    return {
        key: int(value) if key == c.PORT and isinstance(value, str) and value.isdigit() else value
        for key, value in zip(metric.labels, labels, strict=True)
    }


def measured_events(*, opt_in: bool) -> list[type[e.Event]]:
    """Give the events that carry a measurement which is wanted."""
    return [event for event in MEASURES if opt_in or event is not e.ConnectionReused]

"""What an event changes in which counter or level: the one place where events become steps of a number.

For sinks that keep numbers of their own. Whoever can read the pools instead (`Book`) cannot drift.
"""

from collections.abc import Callable, Iterator
from typing import Any

from poolscope import _contract as c
from poolscope import events as e
from poolscope._tally import LabelValues

Change = tuple[c.Metric, LabelValues, int]


def _where(event: e.Event) -> tuple[str, str, str]:
    return event.pool, event.address, event.port


def _checkout_started(event: e.CheckoutStarted) -> Iterator[Change]:
    yield c.CHECKOUTS, _where(event), 1
    yield c.PENDING, _where(event), 1


def _acquired(event: e.Acquired) -> Iterator[Change]:
    yield c.ACQUISITIONS, (*_where(event), event.source), 1
    yield c.PENDING, _where(event), -1
    yield c.CHECKED_OUT, _where(event), 1


def _timed_out(event: e.TimedOut) -> Iterator[Change]:
    yield c.TIMEOUTS, (*_where(event), event.cause), 1
    yield c.PENDING, _where(event), -1


def _abandoned(event: e.Abandoned) -> Iterator[Change]:
    yield c.ABANDONED, (*_where(event), event.error_type), 1
    yield c.PENDING, _where(event), -1


def _requeued(event: e.Requeued) -> Iterator[Change]:
    yield c.REQUEUES, (*_where(event), event.stage), 1
    if event.stage == c.LATE:
        yield c.CHECKED_OUT, _where(event), -1
        yield c.PENDING, _where(event), 1


def _released(event: e.Released) -> Iterator[Change]:
    yield c.CHECKED_OUT, _where(event), -1


def _connect_started(event: e.ConnectStarted) -> Iterator[Change]:
    yield c.ESTABLISHING, _where(event), 1


def _connect_failed(event: e.ConnectFailed) -> Iterator[Change]:
    yield c.ESTABLISHING, _where(event), -1


def _opened(event: e.ConnectionOpened) -> Iterator[Change]:
    yield c.ESTABLISHING, _where(event), -1
    yield c.OPENED, _where(event), 1
    yield _open(event, c.ACTIVE, 1)


def _idled(event: e.ConnectionIdled) -> Iterator[Change]:
    yield _open(event, c.ACTIVE, -1)
    yield _open(event, c.IDLE, 1)


def _reused(event: e.ConnectionReused) -> Iterator[Change]:
    yield _open(event, c.IDLE, -1)
    yield _open(event, c.ACTIVE, 1)


def _closed(event: e.ConnectionClosed) -> Iterator[Change]:
    yield c.CLOSED, (*_where(event), event.reason), 1
    yield _open(event, c.ACTIVE if event.was_active else c.IDLE, -1)


def _open(
    event: e.ConnectionOpened | e.ConnectionIdled | e.ConnectionReused | e.ConnectionClosed, state: str, step: int
) -> Change:
    return c.OPEN_CONNECTIONS, (*_where(event), state, event.protocol), step


def _request_started(event: e.RequestStarted) -> Iterator[Change]:
    yield c.ACTIVE_REQUESTS, (event.address, event.port, event.method), 1


def _request_ended(event: e.RequestEnded) -> Iterator[Change]:
    yield c.ACTIVE_REQUESTS, (event.address, event.port, event.method), -1


def _leaked(event: e.Leaked) -> Iterator[Change]:
    yield c.LEAKED, (event.pool, event.leak_type), 1


def _orphaned(event: e.SlotOrphaned) -> Iterator[Change]:
    yield c.ORPHANED, (event.pool,), 1


def _recovered(event: e.SlotRecovered) -> Iterator[Change]:
    yield c.ORPHANED, (event.pool,), -1


CHANGES: dict[type[e.Event], Callable[[Any], Iterator[Change]]] = {
    e.CheckoutStarted: _checkout_started,
    e.Acquired: _acquired,
    e.TimedOut: _timed_out,
    e.Abandoned: _abandoned,
    e.Requeued: _requeued,
    e.Released: _released,
    e.ConnectStarted: _connect_started,
    e.ConnectFailed: _connect_failed,
    e.ConnectionOpened: _opened,
    e.ConnectionIdled: _idled,
    e.ConnectionReused: _reused,
    e.ConnectionClosed: _closed,
    e.RequestStarted: _request_started,
    e.RequestEnded: _request_ended,
    e.Leaked: _leaked,
    e.SlotOrphaned: _orphaned,
    e.SlotRecovered: _recovered,
}

"""What a target exposed lately, as rows: one for each pool, one for each origin of it.

A row's rates and quantiles lie between two scrapes of the same process: a restart, which a counter that went back
tells, begins the history anew, and so does a scrape that failed.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from poolscope import _contract as c
from poolscope.cli import _numbers as n
from poolscope.cli._exposition import Labels, Scrape, Window, foreign

NUMBERS = (
    n.ACTIVE_NOW,
    n.IDLE_NOW,
    n.ESTABLISHING_NOW,
    n.WAITING,
    n.OLDEST_WAIT,
    *n.WAITS,
    n.CREATED,
    n.REUSED_RATE,
    n.TIMEOUTS_LATELY,
)
_COUNTERS = (c.POOLS_OPENED, c.CHECKOUTS, c.OPENED)
_METRICS = (
    *_COUNTERS,
    *(c.IN_USE, c.MAX, c.POOLS, c.BUSY_TIME, c.CHECKED_OUT, c.OPEN_CONNECTIONS, c.ESTABLISHING, c.PENDING),
    *(c.OLDEST_PENDING_AGE, c.ACQUISITIONS, c.TIMEOUTS, c.CLOSED),
)
_NAMES = frozenset({*(metric.prometheus_name for metric in _METRICS), f"{c.WAIT_TIME.prometheus_name}_bucket"})
_MOST = 100
"""Scrapes that are kept: each is all that a target exposes."""
_POOL, _ADDRESS, _PORT, _REASON = map(c.prometheus_label, (*c.B, c.REASON))


@dataclass(frozen=True, slots=True)
class Key:
    """Which pool, or which origin of it; origin is empty for the whole pool.

    labels: those that are not the contract's, by which an exposition tells processes apart (a federation's `instance`).
    """

    pool: str
    labels: tuple[tuple[str, str], ...]
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. in_use, limit: of the fullest process; an origin has no limit, and its requests count.

    workers, pools: how many speak here. numbers: by their key. closed: why connections were, most frequent first.
    """

    key: Key
    in_use: float
    limit: float
    utilization: float | None
    workers: int
    pools: int
    numbers: Mapping[str, float | None]
    closed: Mapping[str, float]


class History:
    """The scrapes of one target over the last `window_seconds`: two at least, and some hundred however long that is."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._scrapes: deque[tuple[float, dict[Key, Scrape]]] = deque()

    @property
    def seconds(self) -> float:
        """How long a time the rows are over by now."""
        return self._scrapes[-1][0] - self._scrapes[0][0] if self._scrapes else 0.0

    def forget(self) -> None:
        """Begin anew."""
        self._scrapes.clear()

    def add(self, scraped: Scrape) -> tuple[Row, ...]:
        """Take the newest scrape in; return the rows as they are now."""
        parts = _split(scraped)
        if self._scrapes and _went_back(self._scrapes[-1][1], parts):
            self.forget()
        if len(self._scrapes) > 2 and self._scrapes[-1][0] - self._scrapes[-2][0] < self._window_seconds / _MOST:
            self._scrapes.pop()  # the newest one, which the next serves as well
        self._scrapes.append((scraped.at, parts))
        while len(self._scrapes) > 2 and self._scrapes[1][0] <= scraped.at - self._window_seconds:
            self._scrapes.popleft()
        return tuple(_row(key, self._window(key)) for key in parts)

    def _window(self, key: Key) -> Window:
        # A pool that an older scrape did not know yet had counted nothing.
        return Window(tuple(parts.get(key) or Scrape(at, {}) for at, parts in self._scrapes), {})


def _split(scraped: Scrape) -> dict[Key, Scrape]:
    parts: dict[Key, dict[str, list[tuple[Labels, float]]]] = {}
    for name in _NAMES & scraped.samples.keys():
        for labels, value in scraped.samples[name]:
            for key in _keys(labels):
                parts.setdefault(key, {}).setdefault(name, []).append((labels, value))
    return {key: Scrape(scraped.at, samples) for key, samples in parts.items()}


def _keys(labels: Labels) -> Iterable[Key]:
    pool = labels.get(_POOL, "")
    others = foreign(labels)
    yield Key(pool, others)
    address, port = labels.get(_ADDRESS, ""), labels.get(_PORT, "")
    if address:
        host = f"[{address}]" if ":" in address else address
        yield Key(pool, others, host if port in {"", address} else f"{host}:{port}")


def _went_back(before: Mapping[Key, Scrape], after: Mapping[Key, Scrape]) -> bool:
    known = before.keys() & after.keys()
    return any(before[key].total(metric, {}) > after[key].total(metric, {}) for key in known for metric in _COUNTERS)


def _row(key: Key, window: Window) -> Row:
    whole = not key.origin
    in_use, limit = window.fullest() if whole else (window.last(c.CHECKED_OUT), c.UNLIMITED)
    levels = window.scrapes[-1].samples.get(c.CHECKED_OUT.prometheus_name, ())
    closed = {reason: window.increase(c.CLOSED, {c.REASON: reason}) for reason in _reasons(window)}
    return Row(
        key,
        in_use,
        limit,
        window.utilization() if whole else None,
        workers=len({labels.get("pid") for labels, _ in levels}),
        pools=round(window.last(c.POOLS)),
        numbers={number.key: number.of(window) for number in NUMBERS},
        closed={reason: number for number, reason in sorted(((n, r) for r, n in closed.items() if n), reverse=True)},
    )


def _reasons(window: Window) -> set[str]:
    return {labels.get(_REASON, "") for labels, _ in window.scrapes[-1].samples.get(c.CLOSED.prometheus_name, ())}

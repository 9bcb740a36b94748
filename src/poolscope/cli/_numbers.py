"""What is shown of a pool or an origin: each number, from a window of scrapes, and how it is written."""

from collections.abc import Callable
from dataclasses import dataclass

from poolscope._contract import (
    ACQUISITIONS,
    ACTIVE,
    ESTABLISHING,
    IDLE,
    LEAST_UNLIMITED,
    OLDEST_PENDING_AGE,
    OPEN_CONNECTIONS,
    OPENED,
    PENDING,
    REUSED,
    SOURCE,
    STATE,
    TIMEOUTS,
    WAIT_TIME,
    Metric,
)
from poolscope.cli._exposition import Labels, Window
from poolscope.cli._format import count, rate, seconds


@dataclass(frozen=True, slots=True)
class Number:
    """One number. name: its title. key: its name where a program reads it, with the unit.

    of: computes it; None where there is nothing to stand on. write: writes it.
    """

    name: str
    key: str
    of: Callable[[Window], float | None]
    write: Callable[[float | None], str]

    def text(self, window: Window) -> str:
        """Write what the window has of it."""
        return self.write(self.of(window))


def _now(metric: Metric, where: Labels | None = None) -> Callable[[Window], float | None]:
    return lambda window: window.last(metric, where)


def _a_second(metric: Metric, where: Labels | None = None) -> Callable[[Window], float | None]:
    return lambda window: window.rate(metric, where) if window.seconds else None


def _lately(metric: Metric) -> Callable[[Window], float | None]:
    return lambda window: window.increase(metric) if window.seconds else None


def _quantile(q: float) -> Callable[[Window], float | None]:
    return lambda window: window.quantile(WAIT_TIME, q)


WAITING = Number("waiting", "waiting", _now(PENDING), count)
OLDEST_WAIT = Number("oldest wait", "oldest_wait_seconds", _now(OLDEST_PENDING_AGE), seconds)
WAIT_P50, WAIT_P95, WAIT_P99 = WAITS = tuple(
    Number(f"wait p{percent}", f"wait_p{percent}_seconds", _quantile(percent / 100), seconds)
    for percent in (50, 95, 99)
)
TIMEOUTS_EVER = Number("timeouts", "timeouts_total", _now(TIMEOUTS), count)
TIMEOUTS_LATELY = Number("timeouts", "timeouts", _lately(TIMEOUTS), count)
CREATED = Number("created/s", "created_per_second", _a_second(OPENED), rate)
REUSED_RATE = Number("reused/s", "reused_per_second", _a_second(ACQUISITIONS, {SOURCE: REUSED}), rate)
ACTIVE_NOW = Number("active", "active", _now(OPEN_CONNECTIONS, {STATE: ACTIVE}), count)
IDLE_NOW = Number("idle", "idle", _now(OPEN_CONNECTIONS, {STATE: IDLE}), count)
ESTABLISHING_NOW = Number("establishing", "establishing", _now(ESTABLISHING), count)


def in_use(used: float, limit: float) -> str:
    """Write how many slots are in use, of how many."""
    return f"{used:.0f}/{limit:.0f}" if limit < LEAST_UNLIMITED else f"{used:.0f}"

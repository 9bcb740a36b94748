"""Whether a stage showed what it must, judged from scraped expositions alone.

A judge takes the window of one stage (seen through its pool's label) and returns its findings; none of them
knows what the load did. Bounds are shares and orders of magnitude: a slow machine does not change a verdict.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from poolscope._contract import (
    ACQUISITIONS,
    CHECKED_OUT,
    CLOSED,
    KEEPALIVE_LIMIT,
    MAX,
    OLDEST_PENDING_AGE,
    OPENED,
    PENDING,
    PORT,
    REASON,
    REUSED,
    SOURCE,
    TIMEOUTS,
    USE_TIME,
    WAIT_TIME,
)
from poolscope.cli._exposition import Window
from poolscope.cli._format import seconds

_FEWEST = 20
"""Below so many events a share says nothing."""
_CALM_SECONDS = 0.5
"""A wait up to this is the machine's, not the pool's; the waits of a full pool here are some times as long."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a stage had to show. seen: with its numbers. wanted: what was required of them."""

    ok: bool
    seen: str
    wanted: str


Judge = Callable[[Window], list[Finding]]


def share(part: float, whole: float) -> float:
    """Return part / whole; 0 of nothing is 0."""
    return part / whole if whole else 0.0


def reuse(window: Window) -> list[Finding]:
    """Require that connections are used again."""
    total, reused = window.increase(ACQUISITIONS), window.increase(ACQUISITIONS, {SOURCE: REUSED})
    part = share(reused, total)
    return [
        Finding(
            total >= _FEWEST and part >= 0.8,
            f"{part:.1%} of {total:.0f} requests reused a connection; {window.increase(OPENED):.0f} opened",
            "at least 80%",
        )
    ]


def busy(window: Window) -> list[Finding]:
    """Require that nearly every slot is in use from the load's start to its end."""
    utilization = window.middle().utilization() or 0.0
    return [
        Finding(
            utilization > 0.8,
            f"{utilization:.0%} of {window.last(MAX):.0f} slots in use on average; wait p95"
            f" {seconds(window.quantile(WAIT_TIME, 0.95))}",
            "above 80%",
        )
    ]


def waits(window: Window, *, bound: float) -> list[Finding]:
    """Require waits longer than `bound` seconds, which must be a bucket's bound."""
    long = window.count_above(WAIT_TIME, bound)
    oldest = max(window.each(OLDEST_PENDING_AGE))
    return [
        Finding(
            long >= _FEWEST,
            f"{long:.0f} requests waited more than {seconds(bound)}; wait p95"
            f" {seconds(window.quantile(WAIT_TIME, 0.95))}",
            f"at least {_FEWEST}",
        ),
        Finding(oldest > bound, f"a wait of {seconds(oldest)} was seen while it lasted", f"above {seconds(bound)}"),
    ]


def churn(window: Window) -> list[Finding]:
    """Require that connections are closed for the keep-alive limit and made anew."""
    total, opened = window.increase(ACQUISITIONS), window.increase(OPENED)
    closed = window.increase(CLOSED, {REASON: KEEPALIVE_LIMIT})
    return [
        Finding(
            opened >= _FEWEST and share(opened, total) >= 0.5,
            f"{opened:.0f} connections opened for {total:.0f} requests, {window.rate(OPENED):.0f} a second",
            "at least one for two requests",
        ),
        Finding(
            opened >= _FEWEST and share(closed, opened) >= 0.5,
            f"{closed:.0f} of them closed for the keep-alive limit",
            "at least half",
        ),
    ]


def starvation(window: Window, *, slow_port: int, fast_port: int) -> list[Finding]:
    """Require that one origin holds the slots for which requests to the other, a fast one, wait."""
    slow, fast = window.of({PORT: str(slow_port)}), window.of({PORT: str(fast_port)})
    held = share(sum(slow.each(CHECKED_OUT)), window.last(MAX) * len(window.scrapes))
    timeouts, pending = fast.increase(TIMEOUTS), max(fast.each(PENDING))
    waited = share(fast.sum(WAIT_TIME), fast.sum(WAIT_TIME) + fast.sum(USE_TIME))
    return [
        Finding(held >= 0.5, f"the slow origin held {held:.0%} of the slots", "at least 50%"),
        Finding(
            pending >= 1 and waited >= 0.3,
            f"requests to the fast origin waited {waited:.0%} of their time, up to {pending:.0f} at once",
            "at least 30%",
        ),
        Finding(timeouts >= 1, f"{timeouts:.0f} of them timed out waiting", "at least 1"),
    ]


def recovery(window: Window, *, slow_port: int) -> list[Finding]:
    """Require that the queue of the stage before is served, and that the pool is warm from then on."""
    slow = window.of({PORT: str(slow_port)})
    left = [sum(counts) for counts in zip(slow.each(PENDING), slow.each(CHECKED_OUT), strict=True)]
    moments = [scrape.at for scrape, requests in zip(window.scrapes, left, strict=True) if not requests]
    after = window.since(moments[0] if moments else math.inf)
    first, last, wait = window.each(PENDING)[0], window.last(PENDING), after.quantile(WAIT_TIME, 0.95)
    return [
        Finding(
            first >= 1 and last == 0 and bool(moments),
            f"{first:.0f} waited at the start, {last:.0f} at the end; the slow origin's last request ended after"
            f" {seconds(moments[0] - window.scrapes[0].at if moments else None)}",
            "some, then 0",
        ),
        Finding(
            wait is not None and wait <= _CALM_SECONDS and after.increase(TIMEOUTS) == 0,
            f"wait p95 {seconds(wait)} from then on, {after.increase(TIMEOUTS):.0f} timeouts",
            f"at most {seconds(_CALM_SECONDS)}, 0 timeouts",
        ),
        *reuse(after),
    ]

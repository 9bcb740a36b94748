"""The demo's stages: what each asks of which pool, for how long, and who judges it.

Two pools, since a pool's limits are fixed: `demo` keeps every connection it may have, `demo-churn`
may have as many but keep a fifth of them. httpcore 1.0 takes that as "close each finished connection while
there are more than these".
"""

from dataclasses import dataclass
from functools import partial

from poolscope.cli import _judges as judges

SLOTS = 10
STEADY, CHURN = "demo", "demo-churn"
KEPT_ALIVE = {STEADY: SLOTS, CHURN: SLOTS // 5}
"""Each pool's name and its `max_keepalive_connections`."""


@dataclass(frozen=True, slots=True)
class Load:
    """Workers that each send one request after the other.

    port: of the origin they ask. hold_seconds: how long it takes to answer.
    patience_seconds: the pool timeout; None waits for ever.
    pause_seconds: how long a worker rests after each: one that does not overtakes those in the queue.
    spread: by which part of hold_seconds the workers differ, so that their requests do not start all at once.
    """

    port: int
    workers: int
    hold_seconds: float
    patience_seconds: float | None = None
    pause_seconds: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One thing made visible.

    says: what happens, for the reader. seconds: how long the load lasts.
    drain_seconds: about how long its last requests then take; None where the load goes on into the next stage.
    """

    name: str
    says: str
    pool: str
    loads: tuple[Load, ...]
    seconds: float
    drain_seconds: float | None
    judge: judges.Judge

    @property
    def expected_seconds(self) -> float:
        """How long the whole stage takes, about."""
        return self.seconds + (self.drain_seconds or 0.0)


def stages(fast_port: int, slow_port: int, *, short: bool) -> tuple[Stage, ...]:
    """Return the stages at full length, or short."""
    if short:
        warm, busy, wait, churn, starve, recover = 2.0, 3.0, 2.5, 1.5, 3.0, 4.5
        hold, bound, slow = 0.25, 1.0, 0.6
    else:
        warm, busy, wait, churn, starve, recover = 12.0, 15.0, 16.0, 15.0, 20.0, 20.0
        hold, bound, slow = 1.0, 5.0, 2.0
    return (
        _warm_reuse(fast_port, warm),
        _high_utilization(fast_port, busy),
        _checkout_waits(fast_port, wait, hold, bound),
        _creation_spike(fast_port, churn),
        _starvation(fast_port, slow_port, starve, slow),
        _recovery(fast_port, slow_port, recover),
    )


def _warm_reuse(port: int, seconds: float) -> Stage:
    says = f"5 workers, {SLOTS} slots: five connections serve every request"
    return Stage("warm reuse", says, STEADY, (Load(port, 5, 0.02),), seconds, 0.1, judges.reuse)


def _high_utilization(port: int, seconds: float) -> Stage:
    says = f"{SLOTS} workers, {SLOTS} slots, answers of 1 s: full but between two requests"
    load = Load(port, SLOTS, 1.0, spread=0.5)
    return Stage("high utilization", says, STEADY, (load,), seconds, 1.2, judges.busy)


def _checkout_waits(port: int, seconds: float, hold: float, bound: float) -> Stage:
    says = f"{9 * SLOTS} workers, {SLOTS} slots: nearly all of them wait for their turn"
    load = Load(port, 9 * SLOTS, hold, pause_seconds=hold)
    judge = partial(judges.waits, bound=bound)
    return Stage("checkout waits", says, STEADY, (load,), seconds, hold * 9, judge)


def _creation_spike(port: int, seconds: float) -> Stage:
    says = f"{SLOTS} workers, {SLOTS} slots, keep-alive limit {KEPT_ALIVE[CHURN]}: closed, not kept"
    return Stage("creation spike", says, CHURN, (Load(port, SLOTS, 0.05),), seconds, 0.1, judges.churn)


def _starvation(fast_port: int, slow_port: int, seconds: float, hold: float) -> Stage:
    says = f"{2 * SLOTS} workers ask a slow origin, 6 a fast one: the slow one holds the slots the fast one needs"
    # Slots come back all together, once in `hold` seconds. A pool timeout at that very moment costs httpcore 1.0 the
    # slot for good, which is another fault than this one: hence a patience of which `hold` is no multiple.
    impatient = Load(fast_port, 3, 0.005, patience_seconds=hold * 0.4)
    loads = (
        Load(slow_port, 2 * SLOTS, hold),
        Load(fast_port, 3, 0.005),
        impatient,
    )
    judge = partial(judges.starvation, slow_port=slow_port, fast_port=fast_port)
    return Stage("starvation", says, STEADY, loads, seconds, None, judge)


def _recovery(fast_port: int, slow_port: int, seconds: float) -> Stage:
    says = "the slow origin is asked no more: the queue empties, five connections serve every request again"
    judge = partial(judges.recovery, slow_port=slow_port)
    return Stage("recovery", says, STEADY, (Load(fast_port, 5, 0.02),), seconds, 0.1, judge)

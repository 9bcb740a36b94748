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
    warm, busy, wait, churn, starve, recover = (2, 3.5, 2.5, 2, 4, 4) if short else (12, 15, 16, 15, 20, 20)
    hold, bound, slow = (0.25, 1.0, 0.6) if short else (1.0, 5.0, 2.0)
    return (
        Stage(
            "warm reuse",
            f"5 workers, {SLOTS} slots: five connections serve every request",
            STEADY,
            (Load(fast_port, 5, 0.02),),
            warm,
            0.1,
            judges.reuse,
        ),
        Stage(
            "high utilization",
            f"{SLOTS} workers, {SLOTS} slots, answers of 500 ms: full but between two requests",
            STEADY,
            (Load(fast_port, SLOTS, 0.5, spread=0.5),),
            busy,
            0.6,
            judges.busy,
        ),
        Stage(
            "checkout waits",
            f"{9 * SLOTS} workers, {SLOTS} slots: nearly all of them wait for their turn",
            STEADY,
            (Load(fast_port, 9 * SLOTS, hold, pause_seconds=hold),),
            wait,
            hold * 9,
            partial(judges.waits, bound=bound),
        ),
        Stage(
            "creation spike",
            f"{SLOTS} workers, {SLOTS} slots, keep-alive limit {KEPT_ALIVE[CHURN]}: closed, not kept",
            CHURN,
            (Load(fast_port, SLOTS, 0.05),),
            churn,
            0.1,
            judges.churn,
        ),
        Stage(
            "starvation",
            f"{2 * SLOTS} workers ask a slow origin, 6 a fast one: the slow one holds the slots the fast one needs",
            STEADY,
            (
                Load(slow_port, 2 * SLOTS, slow),
                Load(fast_port, 3, 0.005),
                Load(fast_port, 3, 0.005, patience_seconds=slow / 3),
            ),
            starve,
            None,
            partial(judges.starvation, slow_port=slow_port, fast_port=fast_port),
        ),
        Stage(
            "recovery",
            "the slow origin is asked no more: the queue empties, five connections serve every request again",
            STEADY,
            (Load(fast_port, 5, 0.02),),
            recover,
            0.1,
            judges.recovery,
        ),
    )

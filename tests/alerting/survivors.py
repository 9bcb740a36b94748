"""Why a mutant of a rule that survives is no fault: the two rules are the same, on every history there can be."""

from poolscope.alerts.rules import CREATION_SPIKE, STALLED

THERE = "the right side of `and` says only whether there was a pool: its value is not read, and it is there either way"
COUNTED = "the count around it says how many there are: their values are not read"
ANY = "no term is below 0, so the sum is above 0 exactly where the greatest is"

REASONS = {
    (CREATION_SPIKE, "sum without #3 -> max without"): COUNTED,
    (CREATION_SPIKE, "sum without #3 -> count without"): COUNTED,
    (CREATION_SPIKE, "sum without #6 -> max without"): THERE,
    (CREATION_SPIKE, "sum without #6 -> count without"): THERE,
    (CREATION_SPIKE, "sum without #7 -> max without"): ANY,
    (STALLED, "sum without #2 -> max without"): ANY,
    (STALLED, "increase( #1 -> rate("): "a rate is the increase over the window's length: both are 0, or neither",
    **{(STALLED, f"sum without #{nth} -> {other} without"): THERE for nth in (4, 5) for other in ("max", "count")},
    **{(STALLED, f"15s #{nth} -> 7500ms"): "a finer grid finds the same samples, each once more" for nth in (1, 2)},
}


def equivalence(alert: str, what: str) -> str:
    """Give the reason for one survivor, or nothing."""
    return REASONS.get((alert, what), "")

"""Why a mutant of a rule that survives is no fault: the two rules are the same, on every history there can be."""

REASONS: dict[tuple[str, str], str] = {}


def equivalence(alert: str, what: str) -> str:
    """Give the reason for one survivor, or nothing."""
    return REASONS.get((alert, what), "")

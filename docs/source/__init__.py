"""What the docs show of the code is made from the code: the pages of every metric and every event, the drawings of the states."""

from poolscope import _transitions as t

from . import events, metrics
from .drawing import draw


def made() -> dict[str, str]:
    """Give each file that is made, by its path below docs."""
    return {
        "metrics.md": metrics.page(),
        "events.md": events.page(),
        "pictures/checkout-states.svg": draw("One request", t.CHECKOUT, {t.WAITING, t.OFFERED}, {t.HOLDING}),
        "pictures/connection-states.svg": draw(
            "One connection", t.CONNECTION, {t.RESERVED, t.ESTABLISHING}, {t.ACTIVE}
        ),
    }

"""What the docs show of the code is made from it: the pages of every name, metric and event, the drawings of the states."""

from poolscope import _transitions as t

from . import api, events, metrics
from .drawing import draw


def made() -> dict[str, str]:
    """Give each file that is made, by its path below docs."""
    return {
        "metrics.md": metrics.page(),
        "events.md": events.page(),
        "api.md": api.page(),
        "pictures/checkout-states.svg": draw("One request", t.CHECKOUT, {t.WAITING, t.OFFERED}, {t.HOLDING}),
        "pictures/connection-states.svg": draw(
            "One connection", t.CONNECTION, {t.RESERVED, t.ESTABLISHING}, {t.ACTIVE}
        ),
    }

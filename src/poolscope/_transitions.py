"""The one transition table of a pool's state machine.

1. A thing is in exactly one state, and only a row of its table moves it.
2. An event that no row names for that state is ignored: nothing changes, nothing is raised.

A *checkout* is one request's dealings with the pool. A *connection* is one slot of the pool, from the moment it is
taken; it has a socket between `opened` and `closed`.
"""

from typing import Protocol

WAITING = "waiting"
"""In the queue, or about to be handed a connection."""
OFFERED = "offered"
"""Handed a connection that may yet turn out not to be available."""
HOLDING = "holding"
"""Holds a connection: it connects for this request, or this request's bytes are on it."""
DONE = "done"

CHECKOUT = {
    (WAITING, "offered"): OFFERED,
    (OFFERED, "withdrawn"): WAITING,
    (OFFERED, "committed"): HOLDING,
    (HOLDING, "withdrawn"): WAITING,
    (WAITING, "timed_out"): DONE,
    (OFFERED, "timed_out"): DONE,
    (WAITING, "abandoned"): DONE,
    (OFFERED, "abandoned"): DONE,
    (HOLDING, "released"): DONE,
}

RESERVED = "reserved"
"""The pool gave the slot away; no socket yet, or none any more between two attempts."""
ESTABLISHING = "establishing"
ACTIVE = "active"
IDLE = "idle"
CLOSED = "closed"

CONNECTION = {
    (RESERVED, "connecting"): ESTABLISHING,
    (ESTABLISHING, "failed"): RESERVED,
    (ESTABLISHING, "opened"): ACTIVE,
    (ACTIVE, "idled"): IDLE,
    (IDLE, "used"): ACTIVE,
    (ACTIVE, "closed"): CLOSED,
    (IDLE, "closed"): CLOSED,
    (RESERVED, "freed"): CLOSED,
    (ESTABLISHING, "freed"): CLOSED,
}

OCCUPIED = frozenset({RESERVED, ESTABLISHING, ACTIVE})
"""The states of a connection whose slot no other request can have (HTTP/2 shares it, but it is the same slot)."""


class Stateful(Protocol):
    """What the table moves."""

    state: str


def on(table: dict[tuple[str, str], str], event: str) -> dict[str, str]:
    """Give the table's rows for one event, by the state they leave: what the steps of every request look up."""
    return {state: target for (state, named), target in table.items() if named == event}


def move(thing: Stateful, table: dict[tuple[str, str], str], event: str) -> bool:
    """Move the thing as its table says. False, and nothing changed, where the table has no row for it."""
    state = table.get((thing.state, event))
    if state is None:
        return False
    thing.state = state
    return True

"""The phases of a slot: what the request that holds it is about, or why nobody holds it.

Connecting, sending, awaiting headers, unread (there is a response), streaming (its body is being read); abandoned where
the response was collected unclosed, orphaned where the pool lost the slot.
"""

from poolscope import _contract as c
from poolscope._transitions import ESTABLISHING, RESERVED

REQUESTING = "requesting"
"""Between the hand-over and the response, of a request of which no more was noted."""
SENDING = "sending"
AWAITING_HEADERS = "awaiting headers"
ABANDONED = "abandoned"
ORPHANED = "orphaned"

BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "CONNECT"})
"""Methods whose requests have sent everything with their first write."""


def phase_of(noted: str, method: str, state: str, protocol: str) -> str:
    """Give the phase of a request that holds a connection. noted: by the request itself. state: the connection's.

    HTTP/2 does not tell sending from awaiting headers.
    """
    if state in (RESERVED, ESTABLISHING):
        return c.CONNECTING
    if noted != REQUESTING:
        return noted
    return AWAITING_HEADERS if method in BODILESS or protocol == "2" else SENDING

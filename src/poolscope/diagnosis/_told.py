"""Which lines of a log were written already: each thing once, or now and then, and never without bound."""

import time

from poolscope._locks import new_lock

MOST_PLACES = 1000
"""So many places are remembered; of a further one nothing is told."""


class Once:
    """Remembers keys, as many as `MOST_PLACES`."""

    def __init__(self) -> None:
        self._seen: set[object] = set()

    def first(self, key: object) -> bool:
        """Whether this is the first time that the key is given, and there is room to remember it."""
        if key in self._seen or len(self._seen) >= MOST_PLACES:
            return False
        self._seen.add(key)
        return True


class Sometimes:
    """Lets one through in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next_at = float("-inf")
        self._left_out = 0
        self._lock = new_lock()

    def turn(self) -> int | None:
        """Give how many were left out since the last one that was let through; None where this one is, too."""
        with self._lock:
            now = time.monotonic()
            if now < self._next_at:
                self._left_out += 1
                return None
            self._next_at = now + self._seconds
            left_out, self._left_out = self._left_out, 0
            return left_out

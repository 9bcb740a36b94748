"""Gives each PoolTimeout its verdict: as a note, as a typed object, as a line in the log, on the request's span.

1. What it adds to an exception is one note. Its class, its arguments and its attributes stay.
2. A thousand time-outs at once cost one look at the pool: a picture serves those who waited by
   then, for `_FRESH_SECONDS`.
3. One line in the log a pool in `_LOG_EVERY_SECONDS`; the next one says how many were left out.
"""

import logging
import time
from contextlib import suppress
from weakref import WeakKeyDictionary

from poolscope._observer import Observer
from poolscope._records import Checkout
from poolscope._snapshot import PoolSnapshot
from poolscope.diagnosis import _places
from poolscope.diagnosis._told import Sometimes
from poolscope.diagnosis._verdict import Verdict, judge

logger = logging.getLogger("poolscope")

_FRESH_SECONDS = 0.1
_LOG_EVERY_SECONDS = 10.0
_FIND_EVERY_SECONDS = 1.0

_verdicts: "WeakKeyDictionary[BaseException, Verdict]" = WeakKeyDictionary()


def verdict(exc: BaseException) -> Verdict | None:
    """Give the verdict of a PoolTimeout, or of an exception that one caused; None where there is none.

    Raises TypeError where exc is no exception.
    """
    if not isinstance(exc, BaseException):
        raise TypeError(f"exc takes an exception, got {exc!r}")
    seen: set[int] = set()
    link: BaseException | None = exc
    while link is not None and id(link) not in seen:
        with suppress(TypeError):  # somebody's own exception need not be hashable; those that have a verdict are
            if link in _verdicts:
                return _verdicts[link]
        seen.add(id(link))
        link = link.__cause__ or link.__context__
    return None


class Verdicts:
    """Judges the time-outs of one pool."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._picture: tuple[float, PoolSnapshot] | None = None
        self._logged = Sometimes(_LOG_EVERY_SECONDS)
        self._found = Sometimes(_FIND_EVERY_SECONDS)

    def explain(self, checkout: Checkout, exc: BaseException) -> None:
        """Say why this request got no connection. Called where it fails, before it is counted."""
        if not self._observer.pooled or checkout.connection is not None:
            return
        now = time.monotonic()
        seen = self._look(checkout.entered_at, now)
        self._observer.engage(checkout)
        if checkout.tally is None:
            return
        found = judge(seen, checkout.tally.address, checkout.tally.port, checkout.entered_at, now)
        checkout.cause = found.cause
        _verdicts[exc] = found
        exc.add_note(f"poolscope: {found}")
        self._observer.tell(checkout, "judged", found.attributes())
        left_out = self._logged.turn()
        if left_out is not None:
            more = f"; {left_out} more since the last of these lines" if left_out else ""
            line = str(found).replace("\n  ", "; ")
            extra = {"poolscope_verdict": found.as_dict()}
            logger.warning("poolscope: PoolTimeout: %s%s", line, more, extra=extra)

    def _look(self, since: float, now: float) -> PoolSnapshot:
        known = self._picture
        if known is not None and known[0] >= since and now - known[0] < _FRESH_SECONDS:
            return known[1]
        if self._found.turn() is not None:
            _places.find({one for one in self._observer.pool.checkouts.copy() if one.connection is not None})
        seen = self._observer.snapshot()
        self._picture = (now, seen)
        return seen

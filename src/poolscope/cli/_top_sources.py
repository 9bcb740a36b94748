"""The targets of `poolscope top`, each looked at again and again on its own: an absent one holds up no other."""

import asyncio
import time
from collections.abc import Callable

from poolscope.cli._errors import CommandError
from poolscope.cli._scrape import SCRAPE_SECONDS, Target, scrape
from poolscope.cli._top_history import History, Row


class Source:
    """One target. rows: what it said last. error: why it says nothing now, since the monotonic second `since`."""

    def __init__(self, target: Target, window_seconds: float) -> None:
        self.name = target.name
        self.rows: tuple[Row, ...] = ()
        self.error = ""
        self.since = time.monotonic()
        self._target = target
        self._history = History(window_seconds)

    @property
    def seconds(self) -> float:
        """How long a time its rows are over."""
        return self._history.seconds

    async def look(self, seconds: float = SCRAPE_SECONDS) -> None:
        """Scrape it once. What it said before stays beside the error where that fails."""
        try:
            scraped = await scrape(self._target, seconds)
            # Beside the loop, as the keys are read there; nobody else adds meanwhile.
            rows = await asyncio.to_thread(self._history.add, scraped)
        except CommandError as failed:
            self._history.forget()
            if not self.error:
                self.since = time.monotonic()
            self.error = str(failed)
        else:
            self.rows, self.error = rows, ""

    async def watch(self, interval_seconds: float, changed: Callable[[], object]) -> None:
        """Look every `interval_seconds` for ever; call `changed` after each look."""
        while True:
            began = time.monotonic()
            await self.look()
            changed()
            await asyncio.sleep(max(0.0, interval_seconds - (time.monotonic() - began)))

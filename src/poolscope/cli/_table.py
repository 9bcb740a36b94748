"""The numbers of pools over a window of scrapes: as a table for a terminal, as a line where there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from poolscope._contract import (
    ACQUISITIONS,
    ACTIVE,
    CHECKED_OUT,
    ESTABLISHING,
    IDLE,
    IN_USE,
    MAX,
    OLDEST_PENDING_AGE,
    OPEN_CONNECTIONS,
    OPENED,
    PENDING,
    REUSED,
    SOURCE,
    STATE,
    TIMEOUTS,
    UNLIMITED,
    WAIT_TIME,
)
from poolscope.cli._exposition import Labels, Window
from poolscope.cli._format import count, rate, seconds

_FULL, _HIGH = 0.95, 0.8
_COLUMN_WIDTH = 13


@dataclass(frozen=True, slots=True)
class Column:
    """A pool, or one origin of it. where: its labels. whole: the pool itself, so that limits apply."""

    title: str
    where: Labels
    whole: bool = True


ROWS: tuple[tuple[str, Callable[[Window], str]], ...] = (
    ("waiting", lambda w: count(w.last(PENDING))),
    ("oldest wait", lambda w: seconds(w.last(OLDEST_PENDING_AGE))),
    ("wait p50", lambda w: seconds(w.quantile(WAIT_TIME, 0.5))),
    ("wait p95", lambda w: seconds(w.quantile(WAIT_TIME, 0.95))),
    ("wait p99", lambda w: seconds(w.quantile(WAIT_TIME, 0.99))),
    ("timeouts", lambda w: count(w.last(TIMEOUTS))),
    ("created/s", lambda w: rate(w.rate(OPENED))),
    ("reused/s", lambda w: rate(w.rate(ACQUISITIONS, {SOURCE: REUSED}))),
    ("active", lambda w: count(w.last(OPEN_CONNECTIONS, {STATE: ACTIVE}))),
    ("idle", lambda w: count(w.last(OPEN_CONNECTIONS, {STATE: IDLE}))),
    ("establishing", lambda w: count(w.last(ESTABLISHING))),
)
"""Every number but the use of the slots; what tells of trouble first, as a small terminal shows the first rows."""
_POOL_ONLY = frozenset({"oldest wait"})


def in_use(window: Window) -> str:
    """Write how many slots are in use, of how many."""
    limit = window.last(MAX)
    return f"{window.last(IN_USE):.0f}/{limit:.0f}" if limit < UNLIMITED else f"{window.last(IN_USE):.0f}"


def line(title: str, window: Window) -> str:
    """Write a pool's numbers in one line."""
    utilization = window.utilization()
    used = "" if utilization is None else f" ({utilization:.0%})"
    return f"{title}: in use {in_use(window)}{used}, " + ", ".join(f"{name} {of(window)}" for name, of in ROWS)


def table(window: Window, columns: Sequence[Column], width: int) -> Table:
    """Draw the numbers, a column for each pool and origin. Where the width is short, origins go first."""
    fitting = max(1, (width - 14) // (_COLUMN_WIDTH + 2))
    if len(columns) > fitting:
        columns = [column for column in columns if column.whole][:fitting]
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    drawn.add_column("")
    for column in columns:
        drawn.add_column(column.title, justify="right", width=_COLUMN_WIDTH, no_wrap=True)
    views = [(column, window.of(column.where)) for column in columns]
    drawn.add_row("in use", *(_used(column, view) for column, view in views))
    drawn.add_row("utilization", *(_bar(column, view) for column, view in views))
    for name, of in ROWS:
        drawn.add_row(
            name, *(_cell(name, of(view) if column.whole or name not in _POOL_ONLY else "") for column, view in views)
        )
    return drawn


def _used(column: Column, view: Window) -> str:
    return in_use(view) if column.whole else count(view.last(CHECKED_OUT))


def _bar(column: Column, view: Window) -> Table | str:
    utilization = view.utilization() if column.whole else None
    if utilization is None:
        return ""
    style = "red" if utilization >= _FULL else "yellow" if utilization >= _HIGH else "green"
    drawn = Table.grid(padding=(0, 1, 0, 0))
    bar = ProgressBar(
        total=1.0, completed=utilization, width=_COLUMN_WIDTH - 5, complete_style=style, finished_style=style
    )
    drawn.add_row(bar, Text(f"{utilization:>4.0%}"))
    return drawn


def _cell(name: str, value: str) -> Text:
    alarming = name in {"waiting", "timeouts"} and value != "0"
    return Text(value, style="bold red" if alarming else "dim" if value in {"0", "0.0", "-"} else "")

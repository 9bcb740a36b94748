"""The numbers of pools over a window of scrapes: as a table for a terminal, as a line where there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from poolscope._contract import CHECKED_OUT
from poolscope.cli import _numbers as n
from poolscope.cli._exposition import Labels, Window
from poolscope.cli._format import count

_FULL, _HIGH = 0.95, 0.8
_COLUMN_WIDTH = 13


@dataclass(frozen=True, slots=True)
class Column:
    """A pool, or one origin of it. where: its labels. whole: the pool itself, so that limits apply."""

    title: str
    where: Labels
    whole: bool = True


ROWS = (
    n.WAITING,
    n.OLDEST_WAIT,
    *n.WAITS,
    n.TIMEOUTS_EVER,
    n.CREATED,
    n.REUSED_RATE,
    n.ACTIVE_NOW,
    n.IDLE_NOW,
    n.ESTABLISHING_NOW,
)
"""Every number but the use of the slots; what tells of trouble first, as a small terminal shows the first rows."""


def line(title: str, window: Window) -> str:
    """Write a pool's numbers in one line."""
    utilization = window.utilization()
    used = "" if utilization is None else f" ({utilization:.0%})"
    return f"{title}: in use {n.in_use(*window.fullest())}{used}, " + ", ".join(
        f"{number.name} {number.text(window)}" for number in ROWS
    )


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
    for number in ROWS:
        drawn.add_row(
            number.name,
            *(
                cell(number, number.text(view) if column.whole or number is not n.OLDEST_WAIT else "")
                for column, view in views
            ),
        )
    return drawn


def _used(column: Column, view: Window) -> str:
    return n.in_use(*view.fullest()) if column.whole else count(view.last(CHECKED_OUT))


def _bar(column: Column, view: Window) -> Table | str:
    return bar(view.utilization(), _COLUMN_WIDTH) if column.whole else ""


def bar(utilization: float | None, width: int) -> Table | str:
    """Draw a share of the limit, in the colour of the alerts; nothing where there is no limit."""
    if utilization is None:
        return ""
    style = "red" if utilization >= _FULL else "yellow" if utilization >= _HIGH else "green"
    drawn = Table.grid(padding=(0, 1, 0, 0))
    drawn.add_row(
        ProgressBar(total=1.0, completed=utilization, width=width - 5, complete_style=style, finished_style=style),
        Text(f"{utilization:>4.0%}"),
    )
    return drawn


def cell(number: n.Number, text: str) -> Text:
    """Draw a number: what tells of trouble stands out, what is nothing steps back."""
    alarming = number.name in {"waiting", "timeouts"} and text not in {"0", "-"}
    return Text(text, style="bold red" if alarming else "dim" if text in {"0", "0.0", "-"} else "")

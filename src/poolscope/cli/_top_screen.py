"""`poolscope top` in a terminal: a frame of the table, and the terminal that it is drawn on.

However it ends, the terminal is as it was: its cursor, its text, its keyboard.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from poolscope.cli import _numbers as n
from poolscope.cli._format import count, printable, seconds
from poolscope.cli._table import bar, cell
from poolscope.cli._top_sources import Source
from poolscope.cli._top_view import KEYS, Line, View

_ERRORS_SHOWN = 3
_FILTERS = ("pool", "origin")
_BAR_WIDTH = 13


@dataclass(frozen=True, slots=True)
class _Column:
    """width: in characters; where it is short, what has the highest rank goes first."""

    title: str
    width: int
    rank: int
    draw: Callable[[Line], RenderableType]
    justify: Any = "right"


def name(line: Line) -> str:
    """Write which pool or origin a row is, and how many pools and processes it stands for."""
    key, row = line.row.key, line.row
    if key.origin:
        return f"  {printable(key.origin)}"
    several = [f"{number} {what}" for number, what in ((row.workers, "workers"), (row.pools, "pools")) if number > 1]
    labels = [f"{printable(label)}={printable(value)}" for label, value in key.labels]
    notes = ", ".join([*labels, *several])
    return f"{printable(key.pool) or '(no name)'} ({notes})" if notes else printable(key.pool) or "(no name)"


def closes(line: Line) -> str:
    """Write why connections were closed, the most frequent reason first."""
    return ", ".join(f"{printable(reason)} {count(number)}" for reason, number in line.row.closed.items()) or "-"


def _of(number: n.Number, title: str, width: int, rank: int) -> _Column:
    return _Column(title, width, rank, lambda line: cell(number, number.write(line.row.numbers[number.key])))


_COLUMNS = (
    _Column("in use", 9, 0, lambda line: n.in_use(line.row.in_use, line.row.limit)),
    _Column("utilization", _BAR_WIDTH, 0, lambda line: bar(line.row.utilization, _BAR_WIDTH), "left"),
    _of(n.WAITING, "waiting", 7, 0),
    _of(n.ACTIVE_NOW, "active", 6, 4),
    _of(n.IDLE_NOW, "idle", 5, 4),
    _of(n.ESTABLISHING_NOW, "estab", 5, 5),
    _of(n.WAIT_P50, "p50", 6, 6),
    _of(n.WAIT_P95, "p95", 6, 1),
    _of(n.WAIT_P99, "p99", 6, 5),
    _of(n.CREATED, "created/s", 9, 2),
    _of(n.REUSED_RATE, "reused/s", 8, 3),
    _of(n.TIMEOUTS_LATELY, "timeouts", 8, 1),
    _Column("closed", 20, 7, lambda line: Text(closes(line), style="dim" if not line.row.closed else ""), "left"),
)
_TARGET = _Column("target", 20, 0, lambda line: Text(line.source.name, style="cyan"), "left")
_NAME_WIDTH = 18


def frame(view: View, sources: Sequence[Source], interval_seconds: float, width: int, height: int) -> RenderableType:
    """Draw everything, as large as the terminal is."""
    lines = view.lines(sources)
    errors = _errors(sources)
    room = max(1, height - len(errors) - 4)
    view.offset = min(view.offset, max(0, len(lines) - room))
    shown = lines[view.offset : view.offset + room]
    over = max((source.seconds for source in sources), default=0.0)
    head = Text.assemble(
        ("poolscope top", "bold"),
        f"  {time.strftime('%H:%M:%S')}  every {interval_seconds:g} s",
        f", rates and waits over {seconds(over)}" if over else ", rates after the next look",
        ("  PAUSED", "bold yellow") if view.paused else "",
    )
    place = f"  {view.offset + 1}-{view.offset + len(shown)} of {len(lines)}" if shown else ""
    body: RenderableType = _table(shown, len(sources) > 1, width) if shown else Text(_nothing(view, sources), "dim")
    foot = Text.assemble(
        f"sort {view.sort}{' reversed' if view.reverse else ''}{place}",
        _filters(view),
        no_wrap=True,
        overflow="ellipsis",
    )
    keys = Text(KEYS, style="dim", no_wrap=True, overflow="ellipsis")
    return Group(head, *errors, body, foot, keys)


def _nothing(view: View, sources: Sequence[Source]) -> str:
    if any(source.rows for source in sources):
        filters = [f"{which} contains {getattr(view, which)!r}" for which in _FILTERS if getattr(view, which)]
        return f"no pool fits the filters: {', '.join(filters)}"
    return "no pool yet"


def _filters(view: View) -> str:
    parts = [
        f"  {which} contains {printable(getattr(view, which))}{'_' if view.editing == which else ''}"
        for which in _FILTERS
        if getattr(view, which) or view.editing == which
    ]
    return "".join(parts)


def _errors(sources: Sequence[Source]) -> list[Text]:
    silent = [source for source in sources if source.error]
    lines = [
        Text(
            f"{source.error} (for {seconds(time.monotonic() - source.since)})",
            style="red",
            no_wrap=True,
            overflow="ellipsis",
        )
        for source in silent[:_ERRORS_SHOWN]
    ]
    if len(silent) > _ERRORS_SHOWN:
        lines.append(Text(f"and {len(silent) - _ERRORS_SHOWN} other targets", style="red"))
    return lines


def _table(lines: Sequence[Line], several: bool, width: int) -> Table:
    columns = [*_COLUMNS, _TARGET] if several else list(_COLUMNS)
    while len(columns) > 1 and _NAME_WIDTH + sum(column.width + 1 for column in columns) > width:
        columns.remove(max(reversed(columns), key=lambda column: column.rank))
    drawn = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold", expand=True)
    drawn.add_column("pool", ratio=1, no_wrap=True, overflow="ellipsis")
    for column in columns:
        drawn.add_column(column.title, justify=column.justify, width=column.width, no_wrap=True, overflow="ellipsis")
    for line in lines:
        style = "dim" if line.source.error else ""
        drawn.add_row(Text(name(line)), *(column.draw(line) for column in columns), style=style)
    return drawn


class Screen:
    """A terminal that shows frames and reads keys. pressed: told what was typed. changed: called after a resize."""

    def __init__(self, console: Console, pressed: Callable[[str], object], changed: Callable[[], object]) -> None:
        self._console = console
        self._pressed = pressed
        self._changed = changed
        self._live = Live(console=console, auto_refresh=False, screen=True)
        self._keyboard: tuple[int, Any] | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for name_of, handler in (("SIGWINCH", self._changed), ("SIGTSTP", self._stop_for_now)):
            if hasattr(signal, name_of):
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(getattr(signal, name_of), handler)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def draw(self, drawn: RenderableType) -> None:
        """Show a frame."""
        self._live.update(drawn, refresh=True)

    def _take(self) -> None:
        self._live.start()
        try:
            import termios  # noqa: PLC0415 - absent on Windows
            import tty  # noqa: PLC0415
        except ImportError:
            return
        # No keyboard, no keys: numbers come all the same. Standard input may be closed, or no terminal.
        with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
            fd = sys.stdin.fileno()
            self._keyboard = fd, termios.tcgetattr(fd)
            tty.setcbreak(fd)
            asyncio.get_running_loop().add_reader(fd, self._read, fd)

    def _give_back(self) -> None:
        self._live.stop()
        if self._keyboard is not None:
            import termios  # noqa: PLC0415

            fd, was = self._keyboard
            self._keyboard = None
            asyncio.get_running_loop().remove_reader(fd)
            termios.tcsetattr(fd, termios.TCSADRAIN, was)

    def _read(self, fd: int) -> None:
        try:
            typed = os.read(fd, 1024)
        except OSError:  # the terminal is gone; SIGHUP comes
            typed = b""
        if not typed:
            asyncio.get_running_loop().remove_reader(fd)
        self._pressed(typed.decode(errors="replace"))

    def _stop_for_now(self) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        self._changed()

"""What the reader of `poolscope top` wants to see: which rows, in which order, and the keys that change it. No I/O."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from poolscope.cli import _numbers as n
from poolscope.cli._top_history import Row
from poolscope.cli._top_sources import Source

KEYS = "q quit  space pause  s sort  r reverse  e origins  p/o filter  esc unfilter  ↑↓"  # of 80 columns
_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_UP, _DOWN, _PAGE_UP, _PAGE_DOWN = {"\x1b[A", "\x1bOA", "k"}, {"\x1b[B", "\x1bOB", "j"}, {"\x1b[5~"}, {"\x1b[6~"}
_ENTER, _ESCAPE, _BACKSPACE = {"\r", "\n"}, {"\x1b"}, {"\x7f", "\b"}
_PAGE = 10


def _number(number: n.Number) -> Callable[[Row], float]:
    return lambda row: _or_least(row.numbers[number.key])


def _or_least(value: float | None) -> float:
    return -1.0 if value is None else value


SORTS: dict[str, Callable[[Row], float]] = {
    "utilization": lambda row: row.in_use if row.key.origin else _or_least(row.utilization),
    "waiting": _number(n.WAITING),
    "wait": _number(n.WAIT_P95),
    "created": _number(n.CREATED),
    "timeouts": _number(n.TIMEOUTS_LATELY),
    "name": lambda _: 0.0,
}
"""What rows are sorted by, the most first; equals by their names."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row and the target that it is of."""

    source: Source
    row: Row


@dataclass
class View:
    """What is wanted. pool, origin: parts of names. origins: a row for each, too. offset: rows scrolled over."""

    sort: str = "utilization"
    reverse: bool = False
    pool: str = ""
    origin: str = ""
    origins: bool = False
    paused: bool = False
    offset: int = 0
    editing: str = ""
    quitting: bool = False
    _held: Sequence[Line] | None = field(default=None, init=False)

    def lines(self, sources: Iterable[Source]) -> Sequence[Line]:
        """Return the rows to show, in their order; while paused, those of the moment it began."""
        if not self.paused:
            self._held = None
        elif self._held is None:
            self._held = [Line(source, row) for source in sources for row in source.rows]
        held = self._held
        lines = [Line(source, row) for source in sources for row in source.rows] if held is None else held
        return self._ordered(lines)

    def _ordered(self, lines: Sequence[Line]) -> list[Line]:
        wanted = [line for line in lines if self.pool.casefold() in line.row.key.pool.casefold()]
        origins: dict[object, list[Line]] = {}
        for line in wanted:
            if line.row.key.origin and self.origin.casefold() in line.row.key.origin.casefold():
                origins.setdefault(_pool_of(line), []).append(line)
        pools = [line for line in wanted if not line.row.key.origin and (not self.origin or _pool_of(line) in origins)]
        shown: list[Line] = []
        for line in self._sorted(pools):
            shown.append(line)
            if self.origins or self.origin:
                shown += self._sorted(origins.get(_pool_of(line), []))
        return shown

    def _sorted(self, lines: list[Line]) -> list[Line]:
        by = SORTS[self.sort]
        lines.sort(key=lambda line: (line.row.key.pool, line.row.key.origin, line.row.key.labels, line.source.name))
        descending = (self.sort != "name") != self.reverse
        if self.sort == "name":
            return lines[::-1] if self.reverse else lines
        return sorted(lines, key=lambda line: by(line.row), reverse=descending)

    def press(self, typed: str) -> None:
        """Take what was typed, one key or several."""
        for key in _KEY.findall(typed):
            if self.editing:
                self._edit(key)
            else:
                self._command(key)

    def _edit(self, key: str) -> None:
        text: str = getattr(self, self.editing)
        if key in _ENTER:
            self.editing = ""
        elif key in _ESCAPE:
            setattr(self, self.editing, "")
            self.editing = ""
        elif key in _BACKSPACE:
            setattr(self, self.editing, text[:-1])
        elif key.isprintable():
            setattr(self, self.editing, text + key)
        self.offset = 0

    def _command(self, key: str) -> None:
        steps = {**dict.fromkeys(_UP, -1), **dict.fromkeys(_DOWN, 1)}
        steps |= {**dict.fromkeys(_PAGE_UP, -_PAGE), **dict.fromkeys(_PAGE_DOWN, _PAGE)}
        names = list(SORTS)
        if key in steps:
            self.offset = max(0, self.offset + steps[key])
        elif key in _ESCAPE:
            self.pool = self.origin = ""
        elif key == "s":
            self.sort = names[(names.index(self.sort) + 1) % len(names)]
        elif key in {"r", "e", " ", "q"}:
            flag = {"r": "reverse", "e": "origins", " ": "paused", "q": "quitting"}[key]
            setattr(self, flag, not getattr(self, flag))
        elif key in {"p", "o"}:
            self.editing = {"p": "pool", "o": "origin"}[key]


def _pool_of(line: Line) -> object:
    return line.source.name, line.row.key.pool, line.row.key.labels

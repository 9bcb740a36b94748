"""`poolscope top` where there is no terminal: a line a pool, or a JSON object a look."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from poolscope._contract import LEAST_UNLIMITED
from poolscope.cli import _numbers as n
from poolscope.cli._top_history import NUMBERS
from poolscope.cli._top_screen import closes, name
from poolscope.cli._top_sources import Source
from poolscope.cli._top_view import Line


def text(lines: Sequence[Line], sources: Sequence[Source]) -> str:
    """Write a line for each row. The target's name stands in it where there are several."""
    now = time.strftime("%H:%M:%S")
    prefixes = {source.name: f"{now} {source.name} " if len(sources) > 1 else f"{now} " for source in sources}
    return "".join(prefixes[line.source.name] + _line(line) + "\n" for line in lines if not line.source.error)


def _line(line: Line) -> str:
    row = line.row
    utilization = "" if row.utilization is None else f" ({row.utilization:.0%})"
    numbers = ", ".join(f"{number.name} {number.write(row.numbers[number.key])}" for number in NUMBERS)
    return f"{name(line)}: in use {n.in_use(row.in_use, row.limit)}{utilization}, {numbers}, closed {closes(line)}"


def data(lines: Sequence[Line], sources: Sequence[Source]) -> str:
    """Write everything as one line of JSON. A number that has nothing to stand on is null, as is an absent limit."""
    return json.dumps(
        {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "targets": [
                {"name": source.name, "error": source.error or None, "window_seconds": round(source.seconds, 3)}
                for source in sources
            ],
            "rows": [_object(line) for line in lines if not line.source.error],
        }
    )


def _object(line: Line) -> dict[str, Any]:
    row = line.row
    return {
        "target": line.source.name,
        "pool": row.key.pool,
        "origin": row.key.origin or None,
        "labels": dict(row.key.labels),
        "in_use": row.in_use,
        "max": row.limit if row.limit < LEAST_UNLIMITED else None,
        "utilization": row.utilization,
        "workers": row.workers,
        "pools": row.pools,
        **row.numbers,
        "closed": row.closed,
    }

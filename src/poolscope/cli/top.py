"""`poolscope top`: every pool of one or several processes, from their /metrics, in a table that lives in the terminal.

1. What is shown comes from expositions alone; which exporter wrote them does not matter.
2. A target that is absent, slow or talks nonsense costs a line, and the others nothing.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from poolscope.cli import _loop
from poolscope.cli._errors import CommandError
from poolscope.cli._options import between
from poolscope.cli._scrape import Target, is_url
from poolscope.cli._top_plain import data, text
from poolscope.cli._top_screen import Screen, frame
from poolscope.cli._top_sources import Source
from poolscope.cli._top_view import SORTS, View


@dataclass(frozen=True, slots=True)
class _Wanted:
    """interval_seconds: from look to look. once: look twice, so that there are rates, and end. json: for a program."""

    interval_seconds: float
    once: bool
    json: bool


def top(
    urls: Annotated[list[str], typer.Argument(metavar="URL...", help="Where the metrics are: localhost:9464.")],
    *,
    interval: Annotated[
        float, typer.Option(parser=between(0.1, 3600), metavar="SECONDS", help="From look to look.")
    ] = 2.0,
    window: Annotated[
        float, typer.Option(parser=between(0.1, 86400), metavar="SECONDS", help="What rates and waits are over.")
    ] = 10.0,
    sort: Annotated[str, typer.Option(help=f"What comes first: {', '.join(SORTS)}.")] = "utilization",
    pool: Annotated[str, typer.Option(help="Only pools whose name contains this.")] = "",
    origin: Annotated[str, typer.Option(help="Only origins that contain this, and their pools.")] = "",
    origins: Annotated[bool, typer.Option("--origins", help="A row for each origin, too.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look for one interval, print, end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print an object for each look, on a line.")] = False,
) -> int:
    """Show what connection pools do now, from the metrics of the processes that have them.

    Without a terminal it prints a line for each pool and look. Exit status of --once: 1 if a target gave no metrics.
    """
    if sort not in SORTS:
        raise CommandError(f"--sort: {sort!r} is no order; there are {', '.join(SORTS)}")
    targets = {target.shown: target for target in map(_target, urls)}
    sources = [Source(target, window) for target in targets.values()]
    view = View(sort=sort, pool=pool, origin=origin, origins=origins)
    console = Console(highlight=False, markup=False, emoji=False)
    live = sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal and not (once or json)
    wanted = _Wanted(interval, once, json)
    try:
        if live:
            return _loop.run(_show(console, view, sources, wanted))
        return _loop.run((_once if once else _print)(view, sources, wanted))
    except* BrokenPipeError:  # who read it has seen enough
        _hush()
    return 0


def _target(typed: str) -> Target:
    if Path(typed).is_file() and not is_url(typed):
        raise CommandError(f"URL: {typed} is a file: poolscope doctor reads those")
    return Target.parse(typed)


async def _show(console: Console, view: View, sources: Sequence[Source], wanted: _Wanted) -> int:
    changed = asyncio.Event()

    def pressed(typed: str) -> None:
        view.press(typed)
        changed.set()

    async with asyncio.TaskGroup() as group:
        looks = [group.create_task(source.watch(wanted.interval_seconds, changed.set)) for source in sources]
        with Screen(console, pressed, changed.set) as screen:
            while not view.quitting:
                screen.draw(frame(view, sources, wanted.interval_seconds, console.width, console.height))
                await changed.wait()
                changed.clear()
        for look in looks:
            look.cancel()
    return 0


async def _once(view: View, sources: Sequence[Source], wanted: _Wanted) -> int:
    await asyncio.gather(*(source.look() for source in sources))
    await asyncio.sleep(wanted.interval_seconds)
    await asyncio.gather(*(source.look() for source in sources))
    told: dict[str, str] = {}
    _write(view, sources, wanted, told)
    return 1 if told else 0


async def _print(view: View, sources: Sequence[Source], wanted: _Wanted) -> int:
    told: dict[str, str] = {}
    async with asyncio.TaskGroup() as group:
        for source in sources:
            group.create_task(source.watch(wanted.interval_seconds, lambda: None))
        while True:
            await asyncio.sleep(wanted.interval_seconds)
            _write(view, sources, wanted, told)


def _write(view: View, sources: Sequence[Source], wanted: _Wanted, told: dict[str, str]) -> None:
    """Write what is known now. told: the errors that were written already, by target."""
    lines = view.lines(sources)
    sys.stdout.write(data(lines, sources) + "\n" if wanted.json else text(lines, sources))
    sys.stdout.flush()
    for source in sources:
        if source.error and told.get(source.name) != source.error:
            sys.stderr.write(f"poolscope: {source.error}\n")
    told.clear()
    told.update({source.name: source.error for source in sources if source.error})


def _hush() -> None:
    """Let the end of the process not complain of what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Where doctor's evidence comes from: two scrapes, two moments of Prometheus, or one exposition since its start."""

import asyncio
import math
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from poolscope._reading import Reading
from poolscope.cli._errors import CommandError
from poolscope.cli._exposition import Scrape
from poolscope.cli._prometheus import at_moment
from poolscope.cli._readings import Process, readings
from poolscope.cli._scrape import Target, fetch, read, scrape
from poolscope.diagnosis._evidence import Evidence, by_pool
from poolscope.diagnosis._findings import Finding, findings

_STARTED = re.compile(rb"^process_start_time_seconds(?:\{[^}]*\})? ([0-9.e+]+)", re.MULTILINE)
_MOMENT = re.compile(rb"^(?:process_start_time_seconds|[A-Za-z_:][\w:]*_created)(?:\{.*\})? ([0-9.e+]+)", re.MULTILINE)
_DAY_SECONDS = 86400.0
_LONGEST_LIFE_SECONDS = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One pool of one process, and what is wrong with it. seconds: judged over so long; None where not known."""

    process: Process
    pool: str
    seconds: float | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Diagnoses:
    """What a source says. source: how to call it. seconds: between its two moments; None where not known.

    note: why these may be wrong; None where nothing tells.
    """

    source: str
    seconds: float | None
    pools: tuple[Diagnosis, ...]
    note: str | None = None


async def of_url(target: Target, interval_seconds: float) -> Diagnoses:
    """Scrape twice and judge what happened between; once, and judge all since the start, where the interval is 0."""
    if not interval_seconds:
        body = await fetch(target)
        return since_start(body, target.shown, time.time())
    first = await scrape(target)
    await asyncio.sleep(interval_seconds)
    second = await scrape(target)
    return _between(target.shown, first, second, second.at - first.at)


async def of_prometheus(target: Target, window_seconds: float, selector: str) -> Diagnoses:
    """Judge what happened in the last so many seconds, as Prometheus has it."""
    now = time.time()
    first, second = [await at_moment(target, selector, at) for at in (now - window_seconds, now)]
    shown = target.shown.removesuffix("/metrics")
    if not second.samples:
        raise CommandError(f"{shown}: no metric of a connection pool{' for that selector' if selector else ''}")
    # Where it had nothing then, the service began later: how long it ran is not known.
    return _between(shown, first, second, window_seconds if first.samples else None)


def of_file(name: str, taken_at: float | None = None) -> Diagnoses:
    """Judge all that a saved exposition has counted; - is standard input.

    taken_at: the epoch second that it is of, which for a file is else the time that the file system has.
    """
    try:
        if name == "-":
            return since_start(sys.stdin.buffer.read(), "standard input", taken_at or time.time())
        body, written = Path(name).read_bytes(), Path(name).stat().st_mtime
    except OSError as error:
        host = isinstance(error, FileNotFoundError) and re.fullmatch(r"[\w.-]+", name)
        hint = f"; a URL has a port or a scheme: http://{name}" if host else ""
        raise CommandError(f"TARGET: cannot read {name}: {error.strerror or error}{hint}") from None
    newest = max(map(_number, _MOMENT.findall(body)), default=math.nan)
    if taken_at is None:
        return replace(since_start(body, name, written), note=_doubt(written, newest))
    if taken_at < newest:
        raise CommandError(f"--taken: {_date(taken_at)} is before {_date(newest)}, which {name} names")
    return since_start(body, name, taken_at)


def _doubt(written: float, newest: float) -> str | None:
    late = written - newest
    if not _DAY_SECONDS < late < _LONGEST_LIFE_SECONDS:
        return None
    days = f"{late / _DAY_SECONDS:.0f} day{'' if round(late / _DAY_SECONDS) == 1 else 's'}"
    return (
        f"Judged as of {_date(written)}, the file's time: {days} after the newest moment in it. "
        "If it was copied, --taken says when it was written."
    )


def _date(epoch_seconds: float) -> str:
    return f"{datetime.fromtimestamp(epoch_seconds, UTC):%Y-%m-%d %H:%M} UTC"


def since_start(body: bytes, source: str, taken_at: float) -> Diagnoses:
    """Judge one exposition since its process started. taken_at: the epoch second that it is of."""
    scraped = read(body, source)
    started = _STARTED.findall(body)  # several processes in one exposition have begun at different times
    age = taken_at - _number(started[0]) if len(started) == 1 else 0.0
    return _between(source, Scrape(0.0, {}), scraped, age if 0 < age < _LONGEST_LIFE_SECONDS else None)


def _number(written: bytes) -> float:
    try:
        return float(written)
    except ValueError:
        return math.nan


def _between(source: str, first: Scrape, second: Scrape, seconds: float | None) -> Diagnoses:
    before, after = readings(first), readings(second)
    judged = [
        Diagnosis(process, evidence.pool, evidence.seconds, tuple(findings(evidence)))
        for process, reading in sorted(after.items())
        for evidence in _evidence(before, process, reading, seconds)
    ]
    if not judged:
        raise CommandError(f"{source}: no connection pool has a name there")
    return Diagnoses(source, seconds, tuple(judged))


def _evidence(
    before: dict[Process, Reading], process: Process, reading: Reading, seconds: float | None
) -> Iterator[Evidence]:
    # A process that was not there at the first moment began later: how long it ran is not known.
    known = not before or process in before
    return by_pool(before.get(process, Reading()), reading, seconds if known else None)

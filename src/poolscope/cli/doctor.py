"""`poolscope doctor`: what is wrong with the pools of a running service, from its metrics, and how to fix it.

Exit status: 0 where nothing is as severe as --fail-on, 1 where something is, 2 where there was nothing to judge.
"""

import json as _json
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from poolscope.alerts.links import Links
from poolscope.cli import _diagnoses, _loop
from poolscope.cli._diagnoses import Diagnoses, Diagnosis
from poolscope.cli._errors import CommandError
from poolscope.cli._format import printable
from poolscope.cli._options import base_url, between, moment
from poolscope.cli._scrape import Target, is_url
from poolscope.cli._selector import checked_selector
from poolscope.diagnosis._findings import RULES, SEVERITIES, Finding

_NEVER = "never"
_WRAP = partial(
    textwrap.wrap, break_long_words=False, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False
)
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_INSIDE = [rule.code for rule in RULES if rule.inside]
_TIMED = [rule.code for rule in RULES if rule.timed]


def doctor(
    target: Annotated[str, typer.Argument(help="A URL (localhost:9464), a saved exposition, or - to read one.")] = "",
    *,
    interval: Annotated[
        float | None,
        typer.Option(
            parser=between(0, 3600), metavar="SECONDS", help="Between two scrapes of a URL, 10; 0: since its start."
        ),
    ] = None,
    taken: Annotated[
        str, typer.Option(metavar="TIME", help="When a saved exposition was written: ISO 8601, or epoch seconds.")
    ] = "",
    prometheus: Annotated[str, typer.Option(metavar="URL", help="Ask this Prometheus instead of a TARGET.")] = "",
    window: Annotated[
        float | None,
        typer.Option(parser=between(1, 31536000), metavar="SECONDS", help="What to ask Prometheus about, 3600."),
    ] = None,
    selector: Annotated[str, typer.Option(help="""Matchers for Prometheus: 'job="billing"'.""")] = "",
    pages: Annotated[
        str, typer.Option("--findings", metavar="URL", help="Where the findings' pages are: a base URL.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    fail_on: Annotated[
        str, typer.Option(help=f"Exit with 1 at findings so severe: {', '.join(SEVERITIES)}, {_NEVER}.")
    ] = "warning",
) -> int:
    """Name what is wrong with a service's connection pools, and how to fix it: poolscope doctor TARGET."""
    if fail_on not in {*SEVERITIES, _NEVER}:
        raise CommandError(f"--fail-on: {fail_on!r} is no severity; there are {', '.join(SEVERITIES)}, and {_NEVER}")
    if bool(target) == bool(prometheus):
        raise CommandError(f"doctor takes a TARGET or --prometheus URL, got {'both' if target else 'neither'}")
    links = Links(findings=base_url("--findings", pages, Links().findings))
    seen = _look(_Asked(target, interval, taken, prometheus, window, selector))
    if json:
        typer.echo(_json.dumps(_data(seen, links), indent=2))
    else:
        _print(seen, links)
    severe = () if fail_on == _NEVER else SEVERITIES[SEVERITIES.index(fail_on) :]
    return int(any(finding.severity in severe for pool in seen.pools for finding in pool.findings))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whom to ask, and the options that only some of them understand. What is not given is None or empty."""

    target: str
    interval: float | None
    taken: str
    prometheus: str
    window: float | None
    selector: str

    def refuse(self, what: str, *options: str) -> None:
        """Raise CommandError if one of these options is given: it changes nothing without what it is for."""
        for option in options:
            if getattr(self, option) not in {None, ""}:
                raise CommandError(f"--{option} changes nothing without {what}")


def _look(asked: _Asked) -> Diagnoses:
    a_url, a_file = "a URL to scrape", "a saved exposition"
    if asked.prometheus:
        asked.refuse(a_url, "interval")
        asked.refuse(a_file, "taken")
        matchers, window = checked_selector(asked.selector), 3600.0 if asked.window is None else asked.window
        return _loop.run(_diagnoses.of_prometheus(Target.parse(asked.prometheus), window, matchers))
    asked.refuse("--prometheus", "window", "selector")
    if is_url(asked.target):
        asked.refuse(a_file, "taken")
        interval = 10.0 if asked.interval is None else asked.interval
        return _loop.run(_diagnoses.of_url(Target.parse(asked.target), interval))
    asked.refuse(a_url, "interval")
    return _diagnoses.of_file(asked.target, moment("--taken", asked.taken) if asked.taken else None)


def _print(seen: Diagnoses, links: Links) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    long = "since its start" if seen.seconds is None else f"over {seen.seconds:.0f} s"
    count = sum(len(pool.findings) for pool in seen.pools)
    lines = [Text(f"{seen.source}: {_many(len(seen.pools), 'pool')}, {_many(count, 'finding')} {long}")]
    for pool in seen.pools:
        for finding in pool.findings:
            lines += [Text(), *_lines(pool, finding, links)]
    sound = [_name(pool) for pool in seen.pools if not pool.findings]
    if sound:
        lines += [Text(), Text(f"Nothing found: {', '.join(sound)}", style="green")]
    lines += [Text(), *(Text(note, style="dim") for note in _notes(seen))]
    for line in lines:
        _write(console, line)


def _write(console: Console, line: Text) -> None:
    """Write a line; a terminal's are broken between words alone, and go on under their beginning."""
    if not sys.stdout.isatty():
        console.print(line, soft_wrap=True)
        return
    indent, at = "  " if line.plain.startswith("  ") else "", 0
    width = max(1, console.width - len(indent))
    for part in _WRAP(line.plain.strip(), width) or [""]:
        at = line.plain.index(part, at)
        console.print(indent, line[at : at + len(part)], sep="", soft_wrap=True)
        at += len(part)


def _lines(pool: Diagnosis, finding: Finding, links: Links) -> Iterator[Text]:
    style = _STYLES[finding.severity]
    yield Text.assemble((finding.severity, style), " ", (finding.code, "bold"), f": {_name(pool)}")
    for line in (f"{finding.says}.", finding.fix, links.finding(finding.code)):
        yield Text(f"  {printable(line)}")


def _name(pool: Diagnosis) -> str:
    labels = "".join(f" {name}={value}" for name, value in pool.process)
    return printable(f"pool {pool.pool!r}{labels}")


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _notes(seen: Diagnoses) -> Iterator[str]:
    if any(pool.seconds is None for pool in seen.pools):
        yield f"How long they ran is not known, so these were not looked for: {', '.join(_TIMED)}."
    yield f"Only the process itself can see these, by transport.diagnose(): {', '.join(_INSIDE)}."
    if seen.note:
        yield seen.note


def _data(seen: Diagnoses, links: Links) -> dict[str, Any]:
    return {
        "source": seen.source,
        "seconds": seen.seconds,
        "note": seen.note,
        "pools": [
            {
                "pool": pool.pool,
                "labels": dict(pool.process),
                "seconds": pool.seconds,
                "findings": [_finding(finding, links) for finding in pool.findings],
            }
            for pool in seen.pools
        ],
        "not_seen_from_outside": _INSIDE,
    }


def _finding(finding: Finding, links: Links) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "evidence": dict(finding.evidence),
        "says": finding.says,
        "fix": finding.fix,
        "url": links.finding(finding.code),
    }

"""`poolscope doctor`: what is wrong with the pools of a running service, from its metrics, with what mends it.

Exit status: 0 where nothing is as severe as --fail-on, 1 where something is, 2 where there was nothing to judge.
"""

import json as _json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from poolscope.cli import _diagnoses, _loop
from poolscope.cli._diagnoses import Diagnoses, Diagnosis
from poolscope.cli._errors import CommandError
from poolscope.cli._format import printable
from poolscope.cli._scrape import Target
from poolscope.cli._selector import checked_selector
from poolscope.diagnosis._findings import RULES, SEVERITIES, Finding

_NEVER = "never"
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_INSIDE = [rule.code for rule in RULES if rule.inside]
_TIMED = [rule.code for rule in RULES if rule.timed]


def doctor(
    target: Annotated[str, typer.Argument(help="A URL (localhost:9464), a saved exposition, or - to read one.")] = "",
    *,
    interval: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds between two scrapes of a URL; 0: since its start.")
    ] = 10.0,
    prometheus: Annotated[str, typer.Option(metavar="URL", help="Ask this Prometheus instead of a TARGET.")] = "",
    window: Annotated[float, typer.Option(min=1, max=31536000, help="Seconds to ask Prometheus about.")] = 3600.0,
    selector: Annotated[str, typer.Option(help="""Matchers for Prometheus: 'job="billing"'.""")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    fail_on: Annotated[
        str, typer.Option(help=f"Exit with 1 at findings so severe: {', '.join(SEVERITIES)}, {_NEVER}.")
    ] = "warning",
) -> int:
    """Name what is wrong with a service's connection pools, and what mends it: poolscope doctor TARGET."""
    if fail_on not in {*SEVERITIES, _NEVER}:
        raise CommandError(f"--fail-on: {fail_on!r} is no severity; there are {', '.join(SEVERITIES)}, and {_NEVER}")
    if bool(target) == bool(prometheus):
        raise CommandError(f"doctor takes a TARGET or --prometheus URL, got {'both' if target else 'neither'}")
    if selector and not prometheus:
        raise CommandError("--selector changes nothing without --prometheus")
    seen = _look(target, interval, prometheus, window, checked_selector(selector))
    if json:
        typer.echo(_json.dumps(_data(seen), indent=2))
    else:
        _print(seen)
    severe = () if fail_on == _NEVER else SEVERITIES[SEVERITIES.index(fail_on) :]
    return int(any(finding.severity in severe for pool in seen.pools for finding in pool.findings))


def _look(target: str, interval: float, prometheus: str, window: float, selector: str) -> Diagnoses:
    if prometheus:
        return _loop.run(_diagnoses.of_prometheus(Target.parse(prometheus), window, selector))
    if _diagnoses.is_url(target):
        return _loop.run(_diagnoses.of_url(Target.parse(target), interval))
    return _diagnoses.of_file(target)


def _print(seen: Diagnoses) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    long = "since its start" if seen.seconds is None else f"over {seen.seconds:.0f} s"
    count = sum(len(pool.findings) for pool in seen.pools)
    lines = [Text(f"{seen.source}: {_many(len(seen.pools), 'pool')}, {_many(count, 'finding')} {long}")]
    for pool in seen.pools:
        for finding in pool.findings:
            lines += [Text(), *_lines(pool, finding)]
    sound = [_name(pool) for pool in seen.pools if not pool.findings]
    if sound:
        lines += [Text(), Text(f"Nothing found: {', '.join(sound)}", style="green")]
    lines += [Text(), *(Text(note, style="dim") for note in _notes(seen))]
    for line in lines:
        console.print(line, soft_wrap=True)


def _lines(pool: Diagnosis, finding: Finding) -> Iterator[Text]:
    style = _STYLES[finding.severity]
    yield Text.assemble((finding.severity, style), " ", (finding.code, "bold"), f": {_name(pool)}")
    for line in (f"{finding.says}.", finding.fix, finding.url):
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


def _data(seen: Diagnoses) -> dict[str, Any]:
    return {
        "source": seen.source,
        "seconds": seen.seconds,
        "pools": [
            {
                "pool": pool.pool,
                "labels": dict(pool.process),
                "seconds": pool.seconds,
                "findings": [_finding(finding) for finding in pool.findings],
            }
            for pool in seen.pools
        ],
        "not_seen_from_outside": _INSIDE,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "evidence": dict(finding.evidence),
        "says": finding.says,
        "fix": finding.fix,
        "url": finding.url,
    }

"""Measures what poolscope costs, beside the bare client and its rivals, and holds law 4's budgets against it.

`python benchmarks/bench.py` runs every case and every kind (two hours on two idle cores); `--only CASE...` some cases,
`--ours` only the kinds with a budget.
What it measured goes into results.json figure by figure, so a run may be parted; a changed source empties it. From that
file alone the table and the chart in docs/performance.md are made. Exit status 1, with a line for each budget missed.
"""

import argparse
import json
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from threading import Lock

import measuring
import report
import servers
from cases import CASES, LOADS, Case
from kinds import KINDS

RESULTS = Path(__file__).with_name("results.json")
PACKAGES = ("httpx", "httpcore", "httpx2", "opentelemetry-sdk", "opentelemetry-instrumentation-httpx", "httpx-metrics")
CLOCKED = 5
"""Stretches that are timed, of which the best counts."""


class Results:
    """The figures of this and earlier runs on the same sources, kept in the file."""

    def __init__(self, *, anew: bool) -> None:
        self._lock = Lock()
        self.found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        if anew or self.found.get("sources") != report.sources():
            self.found = {
                "sources": report.sources(),
                "python": platform.python_version(),
                "packages": {name: version(name) for name in PACKAGES},
                "cases": {},
            }

    def add(self, case: str, kind: str, **figures: float) -> None:
        """Keep figures, and write the file."""
        with self._lock:
            self.found["cases"].setdefault(case, {}).setdefault(kind, {}).update(figures)
            RESULTS.write_text(json.dumps(self.found, indent=2) + "\n")

    def missing(self, case: str, kind: str, figure: str) -> bool:
        """Whether nothing was measured of this yet."""
        return figure not in self.found["cases"].get(case, {}).get(kind, {})


def count(case: Case, kind: str, port: str, results: Results) -> None:
    """Count one kind's instructions in one case, unless that was done."""
    load = LOADS[case.load]
    if not load.counted or not results.missing(case.name, kind, "instructions"):
        return
    try:
        figure = measuring.instructions(load.stretch, load.connections, case.name, kind, port)
        results.add(case.name, kind, instructions=figure)
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)


def time(case: Case, kind: str, port: str, results: Results) -> None:
    """Time one kind in one case, unless that was done."""
    if results.missing(case.name, kind, "wall_microseconds"):
        arguments = (LOADS[case.load].clocked, case.name, kind, port)
        wall, processor = measuring.microseconds(*arguments, stretches=CLOCKED)
        results.add(case.name, kind, wall_microseconds=wall, processor_microseconds=processor)


def missed(found: dict) -> list[str]:
    """Give one line for each budget that is missed: in instructions, or where they are not counted in time."""
    lines = []
    for name, rows in found["cases"].items():
        for kind, ratio in report.ratios(rows).items():
            budget = KINDS[kind].budget
            if budget is not None and ratio > budget:
                lines.append(f"{name}: {kind} costs {ratio:.3f} of bare, its budget is {budget:.2f}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--ours", action="store_true", help="only what has a budget, beside the bare client")
    parser.add_argument("--anew", action="store_true", help="forget what was measured before")
    parser.add_argument("--jobs", type=int, default=2, help="how many are counted at a time (2)")
    options = parser.parse_args()
    results = Results(anew=options.anew)
    pairs = [
        (CASES[name], kind)
        for name in options.only or CASES
        for kind, about in KINDS.items()
        if CASES[name].setting.flavour in about.flavours and not (options.ours and kind != "bare" and not about.budget)
    ]
    with servers.running() as ports, ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda pair: count(*pair, ports[pair[0].protocol], results), pairs))
        for case, kind in pairs:  # times are taken one by one
            time(case, kind, ports[case.protocol], results)
    report.write(results.found)
    lines = missed(results.found)
    print(report.table(results.found), *lines, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

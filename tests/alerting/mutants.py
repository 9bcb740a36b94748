"""Breaks the rules one token at a time and asks the histories whether they notice.

`python tests/alerting/mutants.py` runs every mutant and writes mutants.json beside this file: how many were killed,
which survived (survivors.py says why that is no fault), and the hash of what the result stands for. Takes minutes.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from alerting.promtool import RULES, Scenario, run
from alerting.scenarios_churn import CHURN
from alerting.scenarios_load import LOAD
from alerting.scenarios_seen import SEEN
from alerting.scenarios_spike import SPIKE
from alerting.scenarios_workers import WORKERS
from alerting.survivors import equivalence
from alerting.texts import text_test
from poolscope.alerts.forms import prometheus
from poolscope.alerts.rules import Rule, rules
from poolscope.alerts.settings import Settings

SCENARIOS = [f"scenarios_{name}.py" for name in ("load", "spike", "churn", "workers", "seen")]
SOURCES = ["sim.py", "texts.py", "promtool.py", *SCENARIOS, "recorded.py", "workers.prom", "mutants.py"]
RESULT = Path(__file__).with_name("mutants.json")
SHARE = 0.95
SWAPS = {
    ">=": ["<=", "=="], ">": ["<", "=="], " / ": [" * "], "- ": ["+ "], "* ": ["/ "],
    "\nand\n": ["\nor\n", "\nunless\n"], "\nunless\n": ["\nand\n", "\nor\n"],
    "increase(": ["delta(", "rate("], "rate(": ["increase(", "irate("], "resets(": ["changes("],
    "min_over_time(": ["max_over_time(", "avg_over_time("], "avg_over_time(": ["min_over_time(", "sum_over_time("],
    "count_over_time(": ["sum_over_time("], "sum without": ["max without", "count without"],
    "sum by": ["max by", "count by"], "avg by": ["sum by", "min by"], "=~": ["!~"], '="': ['!="'],
}  # fmt: skip
TOKEN = re.compile("|".join(re.escape(token) for token in sorted(SWAPS, key=len, reverse=True)))
NUMBER = re.compile(r"(?<![\w.\[:\]])\d+(?:\.\d+)?(?![\w.|\]])")
WINDOW = re.compile(r"(\d+)(ms|s|m|h)(?=[\]: )\n]|$)")
LABELS = re.compile(r"(without|by|on) \(([^)]*)\)")


@dataclass(frozen=True)
class Mutant:
    """One rule with one fault; `what` says which."""

    rule: Rule
    what: str


def expressions(text: str) -> Iterator[tuple[str, str]]:
    """Give every expression that is one fault away, and what was done."""
    for match in TOKEN.finditer(text):
        for swap in SWAPS[match.group()]:
            yield splice(text, match, swap)
    for match in NUMBER.finditer(text):
        value = float(match.group())
        for other in (value * 0.5, value * 2) if value else (2,):
            yield splice(text, match, f"{other:g}")
    for match in WINDOW.finditer(text):
        for factor in (0.5, 2):
            yield splice(text, match, f"{round(int(match[1]) * factor * 1000 * UNITS[match[2]])}ms")
    for match in LABELS.finditer(text):
        names = match[2].split(", ")
        for name in names:
            left = ", ".join(other for other in names if other != name)
            yield splice(text, match, f"{match[1]} ({left})")


UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def splice(text: str, match: re.Match[str], new: str) -> tuple[str, str]:
    nth = text[: match.start()].count(match.group()) + 1
    return text[: match.start()] + new + text[match.end() :], f"{match.group().strip()} #{nth} -> {new.strip()}"


def mutants(rule: Rule) -> list[Mutant]:
    """Give every mutant of one rule."""
    made = [Mutant(replace(rule, expression=e), what) for e, what in expressions(rule.expression)]
    for field in ("hold", "keep"):
        value = getattr(rule, field)
        for other in (value * 2, value / 4) if value else (60,):
            made += [Mutant(replace(rule, **{field: other}), f"{field} {value:g} -> {other:g}")]
    other = "info" if rule.severity != "info" else "warning"
    return [*made, Mutant(replace(rule, severity=other), f"severity -> {other}")]


@cache
def cases(alert: str) -> tuple[list[dict], list[dict]]:
    """Give the histories that set an alert off, and all others; both ask for this alert alone."""
    due, others = [], []
    for form in ("native", "otel"):
        for maker in (*LOAD, *SPIKE, *CHURN, *WORKERS, *SEEN):
            pools, fires = maker(form)
            mine = [fire for fire in fires if fire.alert == alert]
            if form == "otel" and not mine:
                continue
            test = Scenario(f"{maker.__name__} ({form})", pools, mine, only=alert).test()
            (due if mine else others).append(test)
    return [text_test(alert, "native"), *due], others


def killer(mutant: Mutant) -> str:
    """Give the history that notices a mutant, or nothing."""
    due, others = cases(mutant.rule.name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mutant.yml"
        file.write_text(prometheus([mutant.rule], Settings()))
        native = [test for test in due if "(otel)" not in test["name"]]
        for tests in (native, [test for test in due if test not in native], others):
            out = run(tests, Path(folder), file) if tests else ""
            if out:
                name = re.search(r"name: (.+?),?\n", out)
                return name[1] if name else "does not load"
    return ""


def sources() -> str:
    """Hash the rules and the histories that a result stands for."""
    digest = hashlib.sha256(RULES.read_bytes())
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()


def report(every: list[Mutant], survivors: list[Mutant]) -> int:
    """Write the result and say it."""
    rows = [{"alert": m.rule.name, "mutant": m.what} for m in survivors]
    result = {
        "sources": sources(),
        "mutants": len(every),
        "killed": len(every) - len(survivors),
        "share": round(1 - len(survivors) / len(every), 4),
        "survivors": rows,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        sys.stdout.write(f"{row['alert']}: {row['mutant']}: {equivalence(row['alert'], row['mutant'])}\n")
    sys.stdout.write(f"{result['killed']} of {result['mutants']} killed ({result['share']:.1%})\n")
    return 0 if result["share"] >= SHARE else 1


def again(every: list[Mutant]) -> int:
    """Run the survivors of the last result alone: sound where histories were added to and nothing else has changed."""
    result = json.loads(RESULT.read_text())
    last = {(row["alert"], row["mutant"]) for row in result["survivors"]}
    alive = [m for m in every if (m.rule.name, m.what) in last and not killer(m)]
    return report(every, alive)


def main() -> int:
    every = [mutant for rule in rules() for mutant in mutants(rule)]
    if "--again" in sys.argv:
        return again(every)
    for rule in rules():
        cases(rule.name)
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        killed = list(pool.map(killer, every))
    return report(every, [m for m, by in zip(every, killed, strict=True) if not by])


if __name__ == "__main__":
    sys.exit(main())

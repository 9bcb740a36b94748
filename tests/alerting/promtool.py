"""Runs scenarios under `promtool test rules`: which alerts fire, with which labels, from which minute to which.

A scenario is asserted on every half minute of its history, except within `SLACK` seconds of a change, because
Prometheus 2 counts the point on a window's left edge and Prometheus 3 does not.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from alerting.sim import STEP, Pool
from poolscope.alerts.rules import rules

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards/prometheus/poolscope.rules.yml"
SLACK = 29
EVALUATION = 30
SEVERITY = {rule.name: rule.severity for rule in rules()}


def tool(name: str) -> str:
    """Give a tool's path, or fail with the line that says how to get it."""
    there = ROOT / ".cache/tools/bin" / name
    found = str(there) if there.exists() else shutil.which(name)
    assert found, f"{name} is missing: run `make tools`"
    return found


@dataclass(frozen=True)
class Fire:
    """One alert of one pool, from minute `start` to minute `end`, or to the end of the history."""

    alert: str
    pool: Pool
    start: float
    end: float | None = None
    more: dict[str, str] = field(default_factory=dict)

    def at(self, second: float) -> bool:
        return self.start * 60 <= second and (self.end is None or second < self.end * 60)

    @property
    def edges(self) -> list[float]:
        return [self.start * 60] + ([] if self.end is None else [self.end * 60])

    @property
    def labels(self) -> dict[str, str]:
        return {"alertname": self.alert, "severity": SEVERITY[self.alert], **self.pool.labels, **self.more}


@dataclass(frozen=True)
class Scenario:
    """What was simulated and what it has to set off."""

    name: str
    pools: list[Pool]
    fires: list[Fire]
    only: str = ""

    def test(self) -> dict:
        length = max(pool.length for pool in self.pools) * STEP
        edges = [edge for fire in self.fires for edge in fire.edges]
        queries = [
            self.query(second) for second in range(0, length, EVALUATION) if all(abs(second - e) > SLACK for e in edges)
        ]
        series = [series for pool in self.pools for series in pool.series()]
        return {"name": self.name, "interval": "15s", "input_series": series, "promql_expr_test": queries}

    def query(self, second: int) -> dict:
        name = f', alertname="{self.only}"' if self.only else ""
        samples = [
            {"labels": "ALERTS" + braces({"alertstate": "firing"} | fire.labels), "value": 1}
            for fire in self.fires
            if fire.at(second)
        ]
        return {
            "expr": f'ALERTS{{alertstate="firing"{name}}}',
            "eval_time": f"{second}s",
            "exp_samples": samples,
        }


def braces(labels: dict[str, str]) -> str:
    """Write a label set."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def run(tests: list[dict], folder: Path, rules_file: Path = RULES) -> str:
    """Run promtool on some tests; give what it has to complain of, or nothing."""
    document = {
        "rule_files": [os.path.relpath(rules_file, folder)],
        "evaluation_interval": f"{EVALUATION}s",
        "tests": tests,
    }
    file = folder / "rules_test.yml"
    file.write_text(json.dumps(document))
    done = subprocess.run([tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr) or "promtool failed without a word"


Maker = Callable[[str], Scenario]

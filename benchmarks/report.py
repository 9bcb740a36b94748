"""Draws what results.json holds: the tables in docs/performance.md between its marks, and the chart beside it.

`report.py` makes them again from the file.
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cases import CASES, LOADS
from kinds import KINDS
from proof.page import fill

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/performance.md"
CHART = ROOT / "docs/pictures/cost.svg"
RUN = ("cases", "kinds", "measuring", "one_run", "passing", "servers")
"""What takes part in a measurement, besides the library."""
ORDER = ("instructions", "processor_microseconds")


def sources() -> str:
    """Hash what the figures stand for: the library, the cases and the kinds."""
    digest = hashlib.sha256()
    paths = sorted((ROOT / "src/poolscope").glob("_*.py"))
    paths += sorted((ROOT / "src/poolscope/sinks").glob("*.py"))
    paths += [ROOT / f"benchmarks/{name}.py" for name in RUN]
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _figure(rows: dict[str, dict[str, float]]) -> str:
    """Give the figure that a case's ratios are of: the processor's time only where no instructions were counted."""
    return next((figure for figure in ORDER if any(figure in row for row in rows.values())), ORDER[0])


def ratios(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Give what each kind of a case costs, bare being 1; nothing of a kind where it or the bare client has no count."""
    figure = _figure(rows)
    bare = rows.get("bare", {}).get(figure)
    return {kind: rows[kind][figure] / bare for kind in KINDS if bare and figure in rows.get(kind, {})}


def _shown(row: dict[str, float], figure: str) -> str:
    return f"{row[figure]:,.0f}" if figure in row else ""


def table(found: dict) -> str:
    """Give a table for each case that was run, in lines, and the names of those that were not; say if it is old."""
    lines = [] if found["sources"] == sources() else ["The sources have changed since this was counted.", ""]
    for name, case in CASES.items():
        rows = found["cases"].get(name)
        if not rows:
            continue
        lines += [f"**{name}**: {LOADS[case.load].says}.", ""]
        lines += ["| | instructions | ratio | budget | wall µs | processor µs |", "|---|--:|--:|--:|--:|--:|"]
        costs = ratios(rows)
        of = "" if _figure(rows) == ORDER[0] else " of the time"
        for kind, about in KINDS.items():
            if kind in rows:
                row = rows[kind]
                cells = [kind, _shown(row, "instructions"), f"{costs[kind]:.3f}{of}" if kind in costs else ""]
                cells += ["" if about.budget is None else f"{about.budget:.2f}"]
                cells += [_shown(row, "wall_microseconds"), _shown(row, "processor_microseconds")]
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    left = [f"`{name}`" for name in CASES if name not in found["cases"]]
    if left:
        lines += [f"Not run on these sources: {', '.join(left)}.", ""]
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    lines.append(f"CPython {found['python']}, {packages}.")
    return "\n".join(lines) + "\n"


def chart(found: dict) -> None:
    """Draw every case's ratios as bars beside each other."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "poolscope"  # the same figures give the same file
    from matplotlib import pyplot as plt

    names = [name for name in CASES if ratios(found["cases"].get(name, {}))]
    figure, places = plt.subplots(1, len(names), figsize=(2 + 4 * len(names), 4), sharey=True, squeeze=False)
    for place, name in zip(places[0], names, strict=True):
        costs = ratios(found["cases"][name])
        kinds = [kind for kind in KINDS if kind != "bare"]
        more = [100 * (costs.get(kind, 1.0) - 1) for kind in kinds]
        bars = place.barh(kinds, more, color=["#3274a1" if k.startswith("poolscope") else "#a0a0a0" for k in kinds])
        place.bar_label(bars, [f"{m:.1f} %" if kind in costs else "" for kind, m in zip(kinds, more, strict=True)])
        place.set_title(name)
        place.margins(x=0.25)
        place.invert_yaxis()
    figure.supxlabel("more than the bare client costs")
    figure.tight_layout()
    CHART.parent.mkdir(exist_ok=True)
    figure.savefig(CHART, metadata={"Date": None})


def write(found: dict) -> None:
    """Put the tables into the page, and draw the chart."""
    fill(PAGE, "bench", table(found))
    chart(found)


if __name__ == "__main__":
    write(json.loads((ROOT / "benchmarks/results.json").read_text()))

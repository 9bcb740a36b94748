"""Turns scraped samples into readings: the contract's points, for each process that an exposition tells apart.

Gauges of several workers behind one address carry a `pid`: they become one reading as pools of one name do.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping

from poolscope import _contract as c
from poolscope._reading import Reading
from poolscope._tally import Histogram, LabelValues
from poolscope.cli._exposition import Labels, Scrape, foreign

Process = tuple[tuple[str, str], ...]
"""The labels that are not the contract's, such as a federation's `instance`."""
_Part = tuple[Process, str]


def readings(scrape: Scrape) -> dict[Process, Reading]:
    """Give each process's points."""
    parts: dict[_Part, Reading] = defaultdict(Reading)
    for metric in c.METRICS:
        names = [c.prometheus_label(label) for label in metric.labels]
        if metric.kind == "histogram":
            _add_histograms(parts, metric, names, scrape)
            continue
        for labels, value in scrape.samples.get(metric.prometheus_name, ()):
            numbers = parts[_part(labels)].numbers
            point = metric, _values(labels, names)
            numbers[point] = numbers.get(point, 0.0) + value
    whole: dict[Process, Reading] = defaultdict(Reading)
    for (process, _), part in parts.items():
        part.fullest.update(_utilizations(part))
        whole[process].add(part)
    return whole


def _add_histograms(parts: Mapping[_Part, Reading], metric: c.Metric, names: list[str], scrape: Scrape) -> None:
    below: dict[tuple[_Part, LabelValues], dict[float, float]] = defaultdict(lambda: defaultdict(float))
    sums: dict[tuple[_Part, LabelValues], float] = defaultdict(float)
    for labels, value in scrape.samples.get(f"{metric.prometheus_name}_bucket", ()):
        below[_part(labels), _values(labels, names)][float(labels.get("le", "inf"))] += value
    for labels, value in scrape.samples.get(f"{metric.prometheus_name}_sum", ()):
        sums[_part(labels), _values(labels, names)] += value
    for (part, values), cumulative in below.items():
        histogram = Histogram(metric.buckets)
        counted = 0.0
        for bound, count in sorted(cumulative.items()):
            index = min(bisect_left(metric.buckets, bound), len(metric.buckets))
            histogram.counts[index] += max(0, round(count - counted))
            counted = max(counted, count)
        histogram.sum = sums[part, values]
        parts[part].histograms[metric, values] = histogram


def _part(labels: Labels) -> _Part:
    return foreign(labels), labels.get("pid", "")


def _values(labels: Labels, names: list[str]) -> LabelValues:
    return tuple(labels.get(name, "") for name in names)


def _utilizations(reading: Reading) -> dict[str, float]:
    limits = {values: limit for (metric, values), limit in reading.numbers.items() if metric is c.MAX and limit}
    return {str(values[0]): reading.numbers.get((c.IN_USE, values), 0.0) / limit for values, limit in limits.items()}

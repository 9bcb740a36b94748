"""Reads scraped expositions and says what happened between them.

1. Every number comes from the text of an exposition, never from the process that wrote it.
2. What is absent is 0 where things are counted, and None where a quantile or a ratio has nothing to stand on.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from prometheus_client.parser import text_string_to_metric_families

from poolscope._contract import BUSY_TIME, IN_USE, LEAST_UNLIMITED, MAX, METRICS, POOLS, Metric, prometheus_label

Labels = Mapping[str, str]
"""Label values by the contract's names; a sample matches if it carries them all."""

_OF_THE_CONTRACT = frozenset({prometheus_label(label) for metric in METRICS for label in metric.labels})
_PREFIX = "http_client_"  # of every name in the contract; what else a process exposes may be much
_LARGEST = 1e30  # no count, limit or second is; sums of what is stay finite


@dataclass(frozen=True, slots=True)
class Scrape:
    """One exposition. at: its monotonic second. samples: (labels, value) by sample name."""

    at: float
    samples: Mapping[str, Sequence[tuple[Labels, float]]]

    @classmethod
    def parse(cls, text: str, at: float) -> "Scrape":
        """Read what an exposition in the Prometheus text format says of connection pools, and nothing else of it.

        Raises ValueError where that cannot be read.
        """
        samples: dict[str, list[tuple[Labels, float]]] = {}
        ours = "\n".join(line for line in text.split("\n") if line.startswith(_PREFIX))
        for family in text_string_to_metric_families(ours):
            for sample in family.samples:
                float(sample.labels.get("le", 0))
                if abs(sample.value) <= _LARGEST:  # which NaN is not, either
                    samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return cls(at, samples)

    def matching(self, name: str, where: Labels) -> list[tuple[Labels, float]]:
        """Return the samples called `name` that carry all the labels of `where`."""
        wanted = {prometheus_label(key): value for key, value in where.items()}.items()
        return [pair for pair in self.samples.get(name, ()) if wanted <= pair[0].items()]

    def total(self, metric: Metric, where: Labels) -> float:
        """Return the sum of a counter's or gauge's samples."""
        return math.fsum(value for _, value in self.matching(metric.prometheus_name, where))


def foreign(labels: Labels) -> tuple[tuple[str, str], ...]:
    """Give the labels by which one exposition tells several processes apart, such as a federation's `instance`.

    A `pid` is not among them: the workers behind one address are one service.
    """
    names = labels.keys() - _OF_THE_CONTRACT - {"le", "pid"}
    return tuple(sorted((name, labels[name]) for name in names if not name.startswith("otel_scope_")))


@dataclass(frozen=True, slots=True)
class Window:
    """Some scrapes in order, seen through the labels of `where`: what happened from the first to the last."""

    scrapes: tuple[Scrape, ...]
    where: Labels

    def of(self, where: Labels) -> "Window":
        """Return the same scrapes seen through further labels."""
        return replace(self, where={**self.where, **where})

    def since(self, at: float) -> "Window":
        """Return the part that begins at `at`; the last scrape is always in it."""
        return replace(self, scrapes=tuple(s for s in self.scrapes[:-1] if s.at >= at) + self.scrapes[-1:])

    def middle(self) -> "Window":
        """Return the part without the first and the last quarter of the scrapes."""
        quarter = len(self.scrapes) // 4
        return replace(self, scrapes=self.scrapes[quarter : len(self.scrapes) - quarter])

    @property
    def seconds(self) -> float:
        """The time from the first scrape to the last."""
        return self.scrapes[-1].at - self.scrapes[0].at

    def increase(self, metric: Metric, where: Labels | None = None) -> float:
        """Return how much a counter grew; 0 where its process began anew."""
        labels = {**self.where, **(where or {})}
        return max(0.0, self.scrapes[-1].total(metric, labels) - self.scrapes[0].total(metric, labels))

    def rate(self, metric: Metric, where: Labels | None = None) -> float:
        """Return a counter's growth a second."""
        return self.increase(metric, where) / self.seconds if self.seconds else 0.0

    def each(self, metric: Metric, where: Labels | None = None) -> list[float]:
        """Return a gauge at every scrape."""
        labels = {**self.where, **(where or {})}
        return [scrape.total(metric, labels) for scrape in self.scrapes]

    def last(self, metric: Metric, where: Labels | None = None) -> float:
        """Return a gauge, or a counter's whole count, at the last scrape."""
        return self.scrapes[-1].total(metric, {**self.where, **(where or {})})

    def fullest(self) -> tuple[float, float]:
        """Return how many slots are in use, of how many; of several processes those of the fullest: a sum hides it."""
        return _fullest(self.scrapes[-1], self.where)

    def utilization(self) -> float | None:
        """Return the mean share of the limit that was in use; None where there is no limit.

        busy_time is exact, the moments of the scrapes are not: a full pool would come out at some per cent above 1.
        Where there is none (prometheus_client's multi-process mode), the scrapes are samples.
        """
        _, limit = self.fullest()
        if not 0 < limit < LEAST_UNLIMITED:
            return None
        if self.seconds and self.scrapes[-1].matching(BUSY_TIME.prometheus_name, self.where):
            return min(1.0, self.rate(BUSY_TIME) / (limit * max(1.0, self.last(POOLS))))
        pairs = [_fullest(scrape, self.where) for scrape in self.scrapes]
        shares = [used / limit for used, limit in pairs if limit]
        return math.fsum(shares) / len(shares)

    def buckets(self, metric: Metric) -> list[tuple[float, float]]:
        """Return a histogram's growth in order: (upper bound, observations up to it)."""
        name = metric.prometheus_name + "_bucket"
        counts: dict[float, float] = {}
        for sign, taken in ((1, self.scrapes[-1]), (-1, self.scrapes[0])):
            for labels, value in taken.matching(name, self.where):
                bound = float(labels["le"])
                counts[bound] = counts.get(bound, 0.0) + sign * value
        return sorted(counts.items())

    def sum(self, metric: Metric) -> float:
        """Return by how much the sum of a histogram's observations grew."""
        name = metric.prometheus_name + "_sum"
        first, last = (
            math.fsum(value for _, value in taken.matching(name, self.where))
            for taken in (self.scrapes[0], self.scrapes[-1])
        )
        return max(0.0, last - first)

    def count_above(self, metric: Metric, bound: float) -> float:
        """Return how many observations were above `bound`, which must be one of the histogram's own."""
        counts = dict(self.buckets(metric))
        return counts.get(math.inf, 0.0) - counts.get(bound, 0.0)

    def quantile(self, metric: Metric, q: float) -> float | None:
        """Return a histogram's quantile as PromQL computes it; None where nothing was observed."""
        counts = self.buckets(metric)
        rank = q * counts[-1][1] if counts else 0.0
        low = below = 0.0
        for bound, count in counts:
            if count >= rank > 0:
                return low if bound == math.inf else low + (bound - low) * (rank - below) / (count - below)
            low, below = bound, count
        return None


def _fullest(scrape: Scrape, where: Labels) -> tuple[float, float]:
    limits = {labels.get("pid"): value for labels, value in scrape.matching(MAX.prometheus_name, where)}
    used = {labels.get("pid"): value for labels, value in scrape.matching(IN_USE.prometheus_name, where)}
    pairs = [(used.get(pid, 0.0), limit) for pid, limit in limits.items() if limit > 0]
    return max(pairs, key=lambda pair: pair[0] / pair[1], default=(math.fsum(used.values()), 0.0))

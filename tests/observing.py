"""Reads what a scrape says, and holds it against METRICS' equations: nothing here looks into the library."""

from collections import defaultdict

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from poolscope import _contract as c

ORIGIN = tuple(c.prometheus_label(label) for label in c.B)


class Exposition:
    """One scrape. Labels are given by the last part of their name: `reason="evicted"`, `port="80"`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def __call__(self, metric: c.Metric, suffix: str = "", **labels: str) -> float:
        """Give the sum of a metric's samples that carry these labels."""
        return sum(value for value, _ in self._matching(metric.prometheus_name + suffix, labels))

    def by(self, metric: c.Metric, suffix: str = "", **labels: str) -> dict[tuple[str, ...], float]:
        """Give a metric's sums by pool and origin."""
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for value, has in self._matching(metric.prometheus_name + suffix, labels):
            sums[tuple(has.get(label, "") for label in ORIGIN)] += value
        return sums

    def reasons(self) -> dict[str, int]:
        """Give how often connections were closed, by reason, zeros left out."""
        label = c.prometheus_label(c.REASON)
        counts: dict[str, int] = defaultdict(int)
        for value, has in self._matching(c.CLOSED.prometheus_name, {}):
            counts[has[label]] += int(value)
        return {reason: count for reason, count in counts.items() if count}

    def _matching(self, name: str, labels: dict[str, str]):
        for sample in self.samples:
            if sample.name == name and all(_value(sample.labels, key) == value for key, value in labels.items()):
                yield sample.value, sample.labels


def _value(labels: dict[str, str], key: str) -> str | None:
    return next((value for label, value in labels.items() if label.endswith(f"_{key}") or label == key), None)


def scrape(registry: CollectorRegistry) -> Exposition:
    """Scrape a registry."""
    return Exposition(generate_latest(registry).decode())


def imbalances(seen: Exposition) -> list[str]:
    """Give what is wrong with the four equations, by origin, and what is negative."""
    terms = {
        "checkouts": seen.by(c.CHECKOUTS),
        "late": seen.by(c.REQUEUES, stage=c.LATE),
        "acquisitions": seen.by(c.ACQUISITIONS),
        "timeouts": seen.by(c.TIMEOUTS),
        "abandoned": seen.by(c.ABANDONED),
        "pending": seen.by(c.PENDING),
        "uses": seen.by(c.USE_TIME, "_count"),
        "checked_out": seen.by(c.CHECKED_OUT),
        "opened": seen.by(c.OPENED),
        "closed": seen.by(c.CLOSED),
        "open": seen.by(c.OPEN_CONNECTIONS),
        "waits": seen.by(c.WAIT_TIME, "_count"),
    }
    wrong = [f"negative: {s.name}{s.labels} {s.value}" for s in seen.samples if s.value < 0]
    for origin in set().union(*terms.values()):  # any of them: an origin with connections alone has to balance, too
        at = {name: values[origin] for name, values in terms.items()}
        equations = {
            "checkouts": (
                at["checkouts"] + at["late"],
                at["acquisitions"] + at["timeouts"] + at["abandoned"] + at["pending"],
            ),
            "acquisitions": (at["acquisitions"], at["uses"] + at["late"] + at["checked_out"]),
            "opened": (at["opened"], at["closed"] + at["open"]),
            "waits": (at["waits"], at["acquisitions"] + at["timeouts"] + at["abandoned"]),
        }
        wrong += [f"{name} {origin}: {a} != {b}" for name, (a, b) in equations.items() if a != b]
    return wrong

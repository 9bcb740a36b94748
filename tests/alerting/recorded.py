"""What four workers behind one address exposed, recorded by `tests/sinks/workers.py`: one full, two requests wait.

Gauges carry a `pid` there, counters and histograms do not. The simulations of workers take their label sets from it.
"""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from poolscope import _contract as c

RECORDED = Path(__file__).with_name("workers.prom")
Sample = tuple[str, dict[str, str], float]


def samples(text: str) -> list[Sample]:
    """Give every sample's name, labels and value."""
    families = text_string_to_metric_families(text)
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


SAMPLES = samples(RECORDED.read_text())
IN_USE = {labels["pid"]: value for name, labels, value in SAMPLES if name == c.IN_USE.prometheus_name}
PIDS = sorted(IN_USE, key=int)
"""The workers' process ids."""
FULL = max(IN_USE, key=IN_USE.__getitem__)
"""The worker that was full."""
POOL = "app"

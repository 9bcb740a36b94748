"""prometheus_client's multi-process mode for one test: its values in files, under a process id of the test's choosing.

prometheus_client chooses its mode when it is imported; here it is chosen for a test. Another id stands for a fork.
"""

import os
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

from ledger import key
from poolscope import _contract as c
from poolscope import events as e
from poolscope._reading import Reading
from poolscope.sinks import _multiprocess
from poolscope.sinks._multiprocess import MultiprocessMetrics

NAMED = {metric.prometheus_name + end: (metric, end) for metric in c.METRICS for end in ("", "_count", "_sum")}


class Mode:
    """The mode, in a directory, as the process `pid`."""

    def __init__(self, directory):
        self.directory, self.pid, self.files = directory, 41, []

    def open(self, name):
        self.files.append(Mode.mapped(name))
        return self.files[-1]

    mapped = values.MmapedDict

    def shown(self):
        """Give what the files say, levels of this process alone: each point's value, or a histogram's count and sum."""
        parts = {}
        for family in MultiProcessCollector(CollectorRegistry(), str(self.directory)).collect():
            for sample in family.samples:
                if sample.name in NAMED and sample.labels.get("pid", str(self.pid)) == str(self.pid):
                    metric, end = NAMED[sample.name]
                    point = key((metric, tuple(sample.labels[c.prometheus_label(label)] for label in metric.labels)))
                    parts[point, end] = sample.value
        return {
            point: (parts[point, "_count"], parts[point, "_sum"]) if end else value
            for (point, end), value in parts.items()
        }

    def counted(self):
        """Give what is not zero of it."""
        return {point: value for point, value in self.shown().items() if value not in (0, (0, 0))}

    def level(self, metric, name="pool"):
        return self.shown()[key((metric, (name,)))]


@pytest.fixture
def mode(tmp_path, monkeypatch):
    made = Mode(tmp_path)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "MmapedDict", made.open)
    monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue(lambda: made.pid))
    system = SimpleNamespace(getpid=lambda: made.pid, environ=os.environ, path=os.path)
    monkeypatch.setattr(_multiprocess, "os", system)
    monkeypatch.setattr(MultiprocessMetrics, "_one", None)
    yield made
    for file in made.files:
        file.close()


class Pool:
    """A pool that is as the test says; it counts how often it is read, and looked at."""

    def __init__(self, name="pool", *, in_use=0, limits=(4, 2), live=True, owned=True, over=True, origins=()):
        self.name, self.in_use, self.limits, self.origins = name, in_use, limits, origins
        self.live, self.owned, self.over = live, owned, over
        self.reads = self.looks = 0
        self.last_words = []
        self.feed = None

    def read(self):
        self.reads += 1
        limits = zip((c.MAX, c.IDLE_MAX), self.limits or (), strict=False)
        numbers = {(c.CHECKOUTS, (self.name, *origin)): 7.0 for origin in self.origins}
        return Reading({**numbers, **{(metric, (self.name,)): limit for metric, limit in limits}})

    def snapshot(self):
        self.looks += 1
        while self.last_words:
            self.feed.queue.append(self.last_words.pop())

    def tell(self, kind, at, *more, origin=("", "")):
        self.feed.handlers[kind](kind(self.name, *origin, at, *more))

    def pass_time(self, at):
        """Tell of something that changes no number."""
        self.tell(e.SlotFreed, at, 1)


def attached(metrics, *pools):
    for pool in pools:
        pool.feed = metrics.attach(pool)
    return pools[0] if len(pools) == 1 else pools


@pytest.fixture
def metrics(mode):
    return MultiprocessMetrics(opt_in=False)

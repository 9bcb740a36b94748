"""Where a faulty program and its repaired twin run: clients on real sockets, judged from inside and from outside.

A program is a function that is given a stage and whether it is repaired: the twins differ in what the flag changes.
"""

import asyncio
import importlib
import time
from contextlib import asynccontextmanager

import pytest
from prometheus_client import generate_latest

import poolscope
from exposing import Both
from poolscope._seen import ENDED
from poolscope.cli._diagnoses import _between
from poolscope.cli._exposition import Scrape
from poolscope.cli._scrape import read

PROGRAMS = {}


@pytest.fixture(autouse=True)
def alone():
    """Forget the pools that other programs of this process have had."""
    ENDED.clear()


def fault(code):
    """Enter a program under the finding that it must bring about."""

    def enter(program):
        PROGRAMS[code] = program
        return program

    return enter


class Stage:
    """One run. inside: the findings of `poolscope.diagnose(client)` so far. outside: doctor's, by exporter.

    Doctor looks whenever a client is judged, and at the end.
    """

    def __init__(self, http="httpx"):
        self.http = importlib.import_module(http)
        self.ours = importlib.import_module(f"poolscope.{http}")
        self.inside = {}
        self.outside = {"native": {}, "OpenTelemetry": {}}
        self.both = Both()
        self.before, self.began = dict.fromkeys(("native", "OpenTelemetry")), time.monotonic()

    def transport(self, name="shop", **options):
        transport = self.ours.InstrumentedTransport(name=name, sinks=self.both.sinks, **options)
        if None in self.before.values():
            self.before, self.began = self.expositions(), time.monotonic()
        return transport

    def client(self, *, name="shop", timeout=5.0, **options):
        return self.http.AsyncClient(transport=self.transport(name, **options), timeout=timeout)

    @asynccontextmanager
    async def judged(self, **options):
        """Give a client that is judged after its use, and closed."""
        async with self.client(**options) as client:
            yield client
            self.judge(client)

    def judge(self, client):
        self.inside |= {finding.code: finding for finding in poolscope.diagnose(client)}
        self.look()

    def limits(self, most, idle=None, expiry=5.0):
        return self.http.Limits(
            max_connections=most, max_keepalive_connections=most if idle is None else idle, keepalive_expiry=expiry
        )

    def expositions(self):
        registries = {"native": self.both.native_registry, "OpenTelemetry": self.both.reader_registry}
        return {name: generate_latest(registry) for name, registry in registries.items()}

    def look(self):
        """Judge as doctor does, between the moment that the first transport was made and now."""
        seconds = time.monotonic() - self.began
        for exporter, text in self.expositions().items():
            before = self.before[exporter]
            first = read(before, exporter) if before else Scrape(0.0, {})
            seen = _between(exporter, first, read(text, exporter), seconds)
            self.outside[exporter] |= {finding.code: finding for pool in seen.pools for finding in pool.findings}


def run(program, *, repaired, http="httpx"):
    """Run a program; give what was found inside, and outside by exporter."""
    stage = Stage(http)
    try:
        program(stage, repaired)
        stage.look()
        return stage.inside, stage.outside
    finally:
        stage.both.provider.shutdown()


def asynchronous(program):
    """Let an async program be called as the others are."""

    def called(stage, repaired):
        asyncio.run(program(stage, repaired))

    called.__name__, called.__doc__ = program.__name__, program.__doc__
    return called


async def workers(count, each, call):
    """Call `count` times at once, `each` times in a row."""

    async def work():
        for _ in range(each):
            await call()

    await asyncio.gather(*(work() for _ in range(count)))


async def until(client, ready):
    """Wait until the picture of a client's pool is as it should be."""
    while not ready(client._transport.snapshot()):  # noqa: ASYNC110 - the pool tells nobody
        await asyncio.sleep(0)

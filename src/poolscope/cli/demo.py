"""`poolscope demo`: an instrumented client under load on loopback, in stages, judged by its /metrics.

1. What is shown and what is judged comes from /metrics over HTTP, as anybody's Prometheus would have it.
2. However the run ends, the terminal, the ports and the processes are as they were.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Annotated

import httpx
import typer
from prometheus_client import CollectorRegistry, start_http_server

from poolscope import PrometheusSink, Sink
from poolscope._contract import POOL, PORT
from poolscope.cli import _loop, _otlp, _server, _stack, _traffic
from poolscope.cli._display import Display, Plan, Results, display
from poolscope.cli._errors import CommandError
from poolscope.cli._exposition import Scrape, Window
from poolscope.cli._scrape import Target, scrape
from poolscope.cli._stages import CHURN, STEADY, Stage, stages
from poolscope.cli._table import Column

_INTERVAL_SECONDS = 0.5


def demo(
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Serve /metrics on this port of 127.0.0.1; 0 takes a free one."),
    ] = 9464,
    fast: Annotated[bool, typer.Option("--fast", help="Run in under 30 seconds instead of about 2 minutes.")] = False,
    stack: Annotated[
        bool, typer.Option("--stack", help="Run this machine's Prometheus and Alertmanager beside it, with the alerts.")
    ] = False,
    otlp: Annotated[
        str, typer.Option(metavar="URL", help="Also send traces and metrics to the collector at this URL (OTLP).")
    ] = "",
) -> int:
    """Put a pool under load on loopback; show what its metrics say.

    Six stages: warm reuse, high utilization, checkout waits, creation spike, starvation, recovery.
    Exit status 0 if each showed in /metrics what it must, 1 if one did not.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        raise CommandError("demo is one process: unset PROMETHEUS_MULTIPROC_DIR, which hides metrics it needs")
    registry = CollectorRegistry()
    with (
        _loop.in_order(),
        _quiet(),
        _metrics_server(port, registry) as bound,
        _server.origins(2) as (fast_port, slow_port),
        _beside(bound) if stack else contextlib.nullcontext(),
        _otlp.sending(otlp) as sinks,
    ):
        plan = Plan(
            f"http://127.0.0.1:{bound}/metrics",
            stages(fast_port, slow_port, short=fast),
            _columns(fast_port, slow_port),
        )
        shown = display(plan)
        results = _run(_Run(plan, shown), [PrometheusSink(registry), *sinks])
    shown.summary(results)
    return 0 if all(finding.ok for _, findings in results for finding in findings) else 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings off the terminal: the time-outs are part of the show, not lines across it."""
    logger = logging.getLogger("poolscope")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _columns(fast_port: int, slow_port: int) -> tuple[Column, ...]:
    return (
        Column(STEADY, {POOL: STEADY}),
        Column(f"fast :{fast_port}", {POOL: STEADY, PORT: str(fast_port)}, whole=False),
        Column(f"slow :{slow_port}", {POOL: STEADY, PORT: str(slow_port)}, whole=False),
        Column(CHURN, {POOL: CHURN}),
    )


@contextlib.contextmanager
def _beside(port: int) -> Iterator[None]:
    with _stack.running(port) as (prometheus, alertmanager):
        typer.echo(f"Prometheus    {prometheus}/alerts, the rules' clock {_stack.FACTOR} times as fast")
        typer.echo(f"Alertmanager  {alertmanager}")
        yield


@contextlib.contextmanager
def _metrics_server(port: int, registry: CollectorRegistry) -> Iterator[int]:
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise CommandError(
            f"cannot serve /metrics on 127.0.0.1:{port}: {reason}; choose another with --port"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Run:
    """One run of all stages."""

    def __init__(self, plan: Plan, shown: Display) -> None:
        self._target = Target.parse(plan.url)
        self._plan = plan
        self._shown = shown
        self._recent: deque[Scrape] = deque(maxlen=11)
        self._before: _traffic.Workers | None = None

    async def run(self, sinks: Sequence[Sink]) -> Results:
        """Run the stages; return each with its findings."""
        results = []
        with self._shown as shown:
            async with _traffic.clients(sinks) as clients, asyncio.TaskGroup() as tasks:
                for stage in self._plan.stages:
                    shown.begin(stage)
                    window = await self._stage(stage, _traffic.Workers(tasks, clients[stage.pool], stage.loads))
                    findings = stage.judge(window)
                    shown.end(stage, findings)
                    results.append((stage, findings))
        return results

    async def _stage(self, stage: Stage, workers: _traffic.Workers) -> Window:
        self._recent.clear()  # a rate over two stages says nothing of either
        began = time.monotonic()
        scrapes = [await self._scrape()]
        if self._before is not None:
            self._before.stop()  # not earlier: a recovery's first scrape must see what it recovers from
        workers.start()
        over = False
        while not over:
            await asyncio.sleep(_INTERVAL_SECONDS)
            elapsed = time.monotonic() - began
            if elapsed >= stage.seconds and stage.drain_seconds is not None:
                workers.stop()
            over = elapsed >= stage.seconds and (workers.done or stage.drain_seconds is None)
            scrapes.append(await self._scrape())
            self._shown.tick(stage, elapsed, Window(tuple(self._recent), {}))
        self._before = workers
        return Window(tuple(scrapes), {POOL: stage.pool})

    async def _scrape(self) -> Scrape:
        taken = await scrape(self._target)  # the answer comes from a thread of this process
        self._recent.append(taken)
        return taken


def _run(run: _Run, sinks: Sequence[Sink]) -> Results:
    try:
        return _loop.run(run.run(sinks))
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        if isinstance(first, CommandError):
            raise first from None
        if not isinstance(first, httpx.HTTPError | OSError):
            raise
        raise CommandError(f"a request of the demo's own failed: {first!r}", 1) from failed

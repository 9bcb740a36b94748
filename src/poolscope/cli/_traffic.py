"""The load: clients with instrumented transports, and the workers that use them as a stage says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import httpx

from poolscope import InstrumentedTransport, Sink
from poolscope.cli._stages import KEPT_ALIVE, SLOTS, Load

Clients = Mapping[str, httpx.AsyncClient]


@contextlib.asynccontextmanager
async def clients(sinks: Sequence[Sink]) -> AsyncIterator[Clients]:
    """Make one client for each pool; what they tell goes to `sinks`."""
    made: dict[str, httpx.AsyncClient] = {}
    async with contextlib.AsyncExitStack() as stack:
        for name, kept_alive in KEPT_ALIVE.items():
            limits = httpx.Limits(max_connections=SLOTS, max_keepalive_connections=kept_alive)
            transport = InstrumentedTransport(name=name, sinks=sinks, limits=limits)
            made[name] = await stack.enter_async_context(httpx.AsyncClient(transport=transport, trust_env=False))
        yield made


class Workers:
    """The workers of one stage, as tasks of a group that outlives it."""

    def __init__(self, group: asyncio.TaskGroup, client: httpx.AsyncClient, loads: Iterable[Load]) -> None:
        self._group = group
        self._client = client
        self._loads = loads
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start them all."""
        for load in self._loads:
            for number in range(load.workers):
                hold = load.hold_seconds * (1 + load.spread * (number / load.workers - 0.5))
                self._tasks.append(self._group.create_task(_work(self._client, load, hold, self._stop)))

    def stop(self) -> None:
        """Let each finish the request that it is in."""
        self._stop.set()

    @property
    def done(self) -> bool:
        """Whether every one of them has finished."""
        return all(task.done() for task in self._tasks)


async def _work(client: httpx.AsyncClient, load: Load, hold_seconds: float, stop: asyncio.Event) -> None:
    url = f"http://127.0.0.1:{load.port}/hold/{hold_seconds}"
    timeout = httpx.Timeout(None, pool=load.patience_seconds)
    while not stop.is_set():
        with contextlib.suppress(httpx.PoolTimeout):
            (await client.get(url, timeout=timeout)).raise_for_status()
        await asyncio.sleep(load.pause_seconds)

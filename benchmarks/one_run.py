"""One run: `one_run.py CASE KIND PORT REQUESTS STRETCHES` makes requests and marks each stretch of so many of them.

It prints a stretch's seconds by the clock and of the processor. The workers never stop between stretches, so a queue
stays as long as it is; the process ends with the last mark. What comes before the first mark is the warm-up.

Python's garbage collector runs after every 16 requests, not when it thinks fit: a full pass over all that a process has
imported costs as much as ten requests, and whether one falls into a stretch is chance.
"""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from cases import CASES, LOADS, Case
from kinds import KINDS, Kind
from measuring import mark

WARM_UP = 64
"""Requests before the first mark, or as many as there are connections to be made."""
COLLECT_EACH = 16
"""Requests between two passes of the garbage collector over what was made since."""


class Stretches:
    """Counts requests. After the warm-up each `length` of them is marked; the last mark ends the process."""

    def __init__(self, warm_up: int, many: int, length: int, each: Callable[[], None] | None) -> None:
        self._numbers = count(-warm_up + 1)
        self._left = many
        self._length = length
        self._began: tuple[float, float] | None = None
        self.each = each

    def over(self) -> None:
        """Count a request that is over."""
        if self.each is not None:
            self.each()
        number = next(self._numbers)
        if number % COLLECT_EACH == 0:
            gc.collect(1)
        if number >= 0 and number % self._length == 0:
            wall, processor = time.perf_counter(), time.process_time()
            mark()
            if self._began is not None:
                print(wall - self._began[0], processor - self._began[1], flush=True)
                self._left -= 1
            self._began = time.perf_counter(), time.process_time()
            if not self._left:
                os._exit(0)


async def run_async(case: Case, kind: Kind, url: str, stretches: Stretches) -> None:
    """Make requests by tasks, for ever."""
    client = case.setting.http.AsyncClient(transport=case.transport(kind), timeout=None, trust_env=False)
    read, load = _stream_async if case.load == "stream" else _get_async, LOADS[case.load]

    async def request() -> None:
        assert await read(client, url)
        stretches.over()

    async def worker() -> None:
        while True:
            await request()

    while load.together:
        await asyncio.gather(*(request() for _ in range(load.workers)))
    await asyncio.gather(*(worker() for _ in range(load.workers)))


async def _get_async(client: Any, url: str) -> bool:
    return (await client.get(url)).content == b"ok"


async def _stream_async(client: Any, url: str) -> bool:
    async with client.stream("GET", url) as response:
        return sum([len(chunk) async for chunk in response.aiter_raw()]) == 2**20


def run_sync(case: Case, kind: Kind, url: str, stretches: Stretches) -> None:
    """Make requests by threads, for ever."""
    client = case.setting.http.Client(transport=case.transport(kind), timeout=None, trust_env=False)

    def worker() -> None:
        while True:
            assert client.get(url).content == b"ok"
            stretches.over()

    threads = [threading.Thread(target=worker) for _ in range(LOADS[case.load].workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(name: str, kind_name: str, port: str, requests: str, many: str) -> None:
    case, kind = CASES[name], KINDS[kind_name]
    warm_up = max(WARM_UP, LOADS[case.load].connections)
    stretches = Stretches(warm_up, int(many), int(requests), kind.each and kind.each())
    gc.disable()
    url = f"http://127.0.0.1:{port}{LOADS[case.load].path}"
    if case.setting.asynchronous:
        asyncio.run(run_async(case, kind, url, stretches))
    else:
        run_sync(case, kind, url, stretches)


if __name__ == "__main__":
    main(*sys.argv[1:])

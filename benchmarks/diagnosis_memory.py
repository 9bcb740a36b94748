"""Whether what diagnosis keeps is bounded: a million requests from ten thousand places, a thousand leaks and verdicts.

The pool's network is in memory, so that it takes minutes. `diagnosis_memory.py [REQUESTS]` prints the process's memory
at each tenth, and fails where it grew by more than `GROWTH_MIB` after the first.
"""

# ruff: noqa: ARG002, ASYNC109 - the backend's API is httpcore's
# ruff: noqa: SLF001 - as is the place where one is put in

import asyncio
import gc
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpcore
import httpx
from prometheus_client import CollectorRegistry, generate_latest

from poolscope import InstrumentedTransport, PrometheusSink

REQUESTS = 1_000_000
PLACES = 10_000
LEAKS = 1_000
GROWTH_MIB = 4.0
URL = "http://127.0.0.1:80/"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Stream(httpcore.AsyncNetworkStream):
    """Answers each request at once."""

    async def read(self, max_bytes, timeout=None):
        return ANSWER

    async def write(self, buffer, timeout=None):
        pass

    async def aclose(self):
        pass

    def get_extra_info(self, info):
        return None


class Backend(httpcore.AsyncNetworkBackend):
    async def connect_tcp(self, *args, **options):
        return Stream()


def places() -> list:
    """Give that many functions, each of which asks from a line of its own."""
    line = "async def ask{}(client, **options): return await client.get({!r}, **options)"
    lines = "\n".join(line.format(number, URL) for number in range(PLACES))
    names: dict = {}
    exec(compile(lines, "places.py", "exec"), names)
    return [names[f"ask{n}"] for n in range(PLACES)]


def memory_mib() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def leak(client, ask) -> None:
    """Let go of a response unclosed; then let a request time out while two others hold the slots."""
    await client.send(client.build_request("GET", URL), stream=True)
    gc.collect()  # a response and its stream hold each other
    held = [await client.send(client.build_request("GET", URL), stream=True) for _ in range(2)]
    with suppress(httpx.PoolTimeout):
        await ask(client, timeout=httpx.Timeout(5, pool=0.001))
    for response in held:
        await response.aclose()


async def main(requests: int) -> int:
    registry = CollectorRegistry()
    inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=2, max_keepalive_connections=2))
    inner._pool._network_backend = Backend()
    options = {"call_sites": True, "held_too_long_seconds": 0.001, "reclaim": True}
    transport = InstrumentedTransport(inner, name="memory", sinks=[PrometheusSink(registry)], **options)
    asks, seen = places(), []
    every = requests // LEAKS
    gc.collect()
    gc.freeze()  # what there is by now stays: the collections below look at the rest
    begun = time.monotonic()
    async with httpx.AsyncClient(transport=transport, timeout=None) as client:
        for number in range(requests):
            await asks[number % PLACES](client)
            if number % every == 0:
                await leak(client, asks[number % PLACES])
            if (number + 1) % (requests // 10) == 0:
                scraped = generate_latest(registry)
                seen.append(memory_mib())
                print(f"{number + 1:>9} requests {seen[-1]:8.1f} MiB {time.monotonic() - begun:6.0f} s", flush=True)
    leaks = [line for line in scraped.decode().splitlines() if line.startswith("http_client_connection_leaks_total")]
    print("\n".join(leaks))
    growth = seen[-1] - seen[0]
    print(f"grew by {growth:.1f} MiB after the first tenth; {GROWTH_MIB} are allowed")
    return int(growth > GROWTH_MIB)


if __name__ == "__main__":
    logging.getLogger("poolscope").setLevel(logging.ERROR)
    sys.exit(asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else REQUESTS)))

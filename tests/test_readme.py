"""The README's first screen is true: its program runs as printed, and its output is what the program's user sees."""

import asyncio
import subprocess
import sys

from documents import README, blocks, samples, shown_by_the_first_program
from harness import Server
from pages import same


def test_the_first_program_gives_the_output_that_is_printed():
    """Six requests through two connections, each answered after 0.1 s: the repr and the metrics are the README's."""
    reprs, metrics = shown_by_the_first_program(sys.executable)
    printed, exposed, _ = blocks(README, "text")
    assert reprs == printed.text.splitlines()
    seen = samples(metrics)
    assert [line for line in exposed.text.splitlines() if line not in seen] == []


def test_a_client_is_instrumented_in_place_as_printed():
    """The second program runs after the first one's imports."""
    names = {}
    for block in blocks(README, "python")[:2]:
        exec(block.text, names)
    assert "pool 'billing'" in repr(names["client"]._transport)
    asyncio.run(names["client"].aclose())


ORDERS = """
import asyncio, os, sys, traceback
import httpx
from poolscope import InstrumentedTransport

async def order(client, url):
    await client.get(url)

async def main(url):
    transport = InstrumentedTransport(name="billing", sinks=[], limits=httpx.Limits(max_connections=2))
    client = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(30, pool=0.2))
    held = [asyncio.create_task(order(client, url)) for _ in range(2)]
    while [one.phase for one in transport.snapshot().held] != ["awaiting headers"] * 2:
        await asyncio.sleep(0)
    try:
        await client.get(url)
    except httpx.PoolTimeout as exc:
        print(*traceback.format_exception_only(exc), sep="", end="", flush=True)
    os._exit(0)

asyncio.run(main(sys.argv[1]))
"""


def test_a_pool_timeout_says_who_has_the_connections_as_printed(tmp_path):
    """Two requests that get no answer have both connections; the third one's traceback ends as the README's."""
    (tmp_path / "orders.py").write_text(ORDERS)

    def script(peer):
        next(peer.requests())
        server.gate("the end").wait(50)

    with Server(script) as server:
        command = [sys.executable, "orders.py", server.url()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, cwd=tmp_path)
        server.gate("the end").set()
    said = done.stdout.replace(f":{server.port}", ":8000").replace(f"{tmp_path}/", "")
    printed = blocks(README, "text")[2].text
    assert same(printed, said), done.stdout + done.stderr

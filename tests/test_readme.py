"""The README's first screen is true: its program runs as printed, and its output is what the program's user sees."""

import asyncio
import re
import threading
from pathlib import Path

from prometheus_client import REGISTRY, generate_latest

from harness import Server

README = Path(__file__).parents[1] / "README.md"
LEFT_OUT = re.compile(r'(http_client_connection_pool_name="billing"|server_port="\d+"),?')


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_first_program_gives_the_output_that_is_printed():
    """Six requests through two connections, each answered after 0.1 s: the repr and the metrics are the README's."""
    answered = threading.Event()

    def script(peer):
        for _ in peer.requests():
            answered.wait(0.1)
            peer.respond(200, b"ok")

    async def use(client, transport, url):
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(client.get(url))
            while transport.snapshot().active < 2:  # noqa: ASYNC110 - the pool tells nobody
                await asyncio.sleep(0)
            shown.append(repr(transport))
        shown.append(repr(transport))
        shown.append(generate_latest(REGISTRY).decode())
        await client.aclose()

    shown = []
    names = {}
    exec(blocks("python")[0], names)
    with Server(script) as server:
        asyncio.run(use(names["client"], names["transport"], server.url()))
    *reprs, metrics = shown
    printed, samples = blocks("text")
    assert reprs == printed.splitlines()
    seen = {LEFT_OUT.sub("", line).replace(",}", "}").replace("{}", "") for line in metrics.splitlines()}
    assert [line for line in samples.splitlines() if line not in seen] == []


def test_a_client_is_instrumented_in_place_as_printed():
    """The second program runs after the first one's imports."""
    names = {}
    exec(blocks("python")[0], names)
    exec(blocks("python")[1], names)
    assert "pool 'billing'" in repr(names["client"]._transport)
    asyncio.run(names["client"].aclose())

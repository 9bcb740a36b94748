"""Reads the fenced blocks of a page, and runs the README's first program as a user of any installation would."""

import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness import Server

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block. info: what stands after the fence's ticks: the language first."""

    page: Path
    line: int
    info: str
    text: str

    @property
    def language(self) -> str:
        return self.info.partition(" ")[0]

    @property
    def id(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Give a page's blocks, or those of one language, in order."""
    text = page.read_text()
    found = [
        Block(page, text.count("\n", 0, match.start()) + 2, match["info"].strip(), match["text"])
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if language in (None, block.language)]


_USE = """
import asyncio, sys
from prometheus_client import REGISTRY, generate_latest

async def use(url):
    async with httpx.AsyncClient() as bare:  # what httpx imports at a first request is no wait of a pool
        await bare.get(url)
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(client.get(url))
        while transport.snapshot().active < 2:  # the pool tells nobody
            await asyncio.sleep(0)
        print(transport)
    print(transport)
    print(generate_latest(REGISTRY).decode())
    await client.aclose()

asyncio.run(use(sys.argv[1]))
"""


def shown_by_the_first_program(python: str | Path, **environment: str) -> tuple[list[str], str]:
    """Run README's first program: the server answers 0.1 s after the first repr. Gives both reprs, and the metrics."""
    shown = threading.Event()

    def script(peer):
        for _ in peer.requests():
            if len(server.requests) > 1:  # the first one is the bare client's
                shown.wait(30)
            peer.respond(200, b"ok")

    with Server(script) as server:
        command = [python, "-u", "-P", "-W", "error", "-c", blocks(README, "python")[0].text + _USE, server.url()]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes, env=environment or None, cwd="/") as process:
            first = process.stdout.readline()
            time.sleep(0.1)
            shown.set()
            rest, errors = process.communicate(timeout=50)
    assert errors == ""
    last, metrics = rest.split("\n", 1)
    return [first.rstrip("\n"), last], metrics


_LEFT_OUT = re.compile(r'(http_client_connection_pool_name="billing"|server_port="\d+"),?')


def samples(metrics: str) -> set[str]:
    """Give an exposition's lines as README prints them, without the pool's name and the port."""
    return {_LEFT_OUT.sub("", line).replace(",}", "}").replace("{}", "") for line in metrics.splitlines()}

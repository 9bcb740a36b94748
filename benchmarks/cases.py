"""What a request is measured in: warm, cold, streamed, behind a queue; by flavour, protocol and colour.

A case's name says it: `warm-http11-async`, `httpx2-queue-http11-async`. The reference is the first one: 5 workers on 5
kept-alive HTTP/1.1 connections, GET, a 2-byte body, `timeout=None`, a loopback server in another process.
"""

from dataclasses import dataclass
from typing import Any

from kinds import Kind, Setting

FOLD = 256
"""Plain requests are counted in batches of so many: stretches of a multiple of it carry each batch's cost."""


@dataclass(frozen=True)
class Load:
    """How requests are made. stretch: how many lie between two marks, counted and by the clock.

    together: all workers ask at once, and again when all are answered. counted: False where callgrind would take hours.
    """

    says: str
    path: str = "/"
    workers: int = 5
    connections: int = 5
    kept: int = 5
    stretch: int = FOLD
    clocked: int = FOLD
    together: bool = False
    counted: bool = True


LOADS = {
    "warm": Load("5 workers on 5 kept-alive connections, a 2-byte body", clocked=2 * FOLD),
    "gather": Load("5 requests at once on 5 kept-alive connections, by asyncio.gather", together=True),
    "cold": Load("5 workers, each request on a new connection", kept=0, stretch=80),
    "stream": Load("5 workers on 5 kept-alive connections, a body of 1 MiB read in chunks", path="/large", stretch=80),
    "queue": Load("100 connections, 200 requests waiting", workers=300, connections=100, kept=100, stretch=100),
    "queue1000": Load(
        "100 connections, 1,000 requests waiting; by the clock alone",
        workers=1100, connections=100, kept=100, clocked=64, counted=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One table's worth: a load in a flavour, a protocol and a colour."""

    load: str
    protocol: str
    setting: Setting

    @property
    def name(self) -> str:
        """How options and results call it."""
        colour = "async" if self.setting.asynchronous else "sync"
        flavour = "httpx2-" if self.setting.flavour == "httpx2" else ""
        return f"{flavour}{self.load}-{self.protocol}-{colour}"

    def transport(self, kind: Kind) -> Any:
        """Make what the client of this case sends its requests through."""
        http, load = self.setting.http, LOADS[self.load]
        # no expiry: under valgrind a connection may well be idle for five seconds
        limits = http.Limits(
            max_connections=load.connections, max_keepalive_connections=load.kept, keepalive_expiry=None
        )
        second = self.protocol == "http2"
        inner = self.setting.named(http, "HTTPTransport")(limits=limits, http1=not second, http2=second, verify=False)
        return kind.wrap(inner, self.setting)


def _cases() -> dict[str, Case]:
    made = []
    for flavour in ("httpx", "httpx2"):
        there, back = Setting(flavour, asynchronous=True), Setting(flavour, asynchronous=False)
        made += [Case("warm", protocol, setting) for protocol in ("http11", "http2") for setting in (there, back)]
        made += [Case(load, "http11", there) for load in LOADS if load != "warm"]
    return {case.name: case for case in made}


CASES = _cases()

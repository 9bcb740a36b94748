"""A fault of our own costs nobody a request: each step of the state machine fails in turn, and traffic goes on."""

import gc
import logging
from contextlib import suppress

import pytest

from driving import Kit, together
from harness import Server
from poolscope import events as e
from poolscope._pool import Pool
from poolscope._seams import Seam
from poolscope._slots import Slots

STEPS = [
    *((Pool, name) for name in ("request", "reserve", "connect", "offer", "write", "commit", "end", "close")),
    *((Pool, name) for name in ("admit", "engage", "fold", "settle")),
    *((Slots, name) for name in ("reserve", "keep", "connecting", "opened", "idled", "used", "closed", "detached")),
    *((Slots, name) for name in ("socket_closed", "gone")),
    (Seam, "close_reason"),
]

STEPWISE = {"request", "write"}
"""Only where a sink hears each step does every request take these."""
UNTOLD = {"close_reason"}
"""A reason that cannot be said costs nothing but the reason, and no line."""


class Hears:
    """Hears each step."""

    def attach(self, pool):
        return {e.Acquired: lambda event: None}


@pytest.mark.parametrize("colour", ["asyncio", "sync"])
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[f"{owner.__name__}.{name}" for owner, name in STEPS])
def test_a_fault_in_a_step_costs_no_request(owner, name, colour, monkeypatch, caplog):
    """Requests one after the other and side by side, a close and a late connection: all are answered."""
    hit = []

    def fail(*args):
        hit.append(name)
        raise ZeroDivisionError(name)

    kit = Kit("httpx2" if colour == "sync" else "httpx", colour)  # httpcore 1.x fails by itself under threads
    kit.sinks = [Hears()] if name in STEPWISE else []
    outcomes = []

    def script(peer):
        for count, _ in enumerate(peer.requests()):
            peer.respond(200, b"ok", [("connection", "close")] if count == 2 else [])
            if count == 2:
                return

    async def story(driver):
        monkeypatch.setattr(owner, name, fail)
        outcomes.extend([(await driver.get(url)).status_code for url in [server.url(), other.url()] * 4])
        outcomes.extend([one.status_code for one in await together(*[lambda: driver.get(server.url())] * 4)])
        gc.collect()  # of the connections that were closed, which responses would hold
        outcomes.append((await driver.get(server.url())).status_code)

    with Server(script) as server, Server() as other, caplog.at_level(logging.ERROR, "poolscope"):
        with suppress(AssertionError):  # the numbers are off then, and the last scrape says so
            kit.run(story, limits=kit.limits(2, 2))
        assert outcomes == [200] * 13
    told = [record for record in caplog.records if "fault in the observer" in record.getMessage()]
    assert hit, "the story comes by each step"
    assert len(told) == (name not in UNTOLD), "once"

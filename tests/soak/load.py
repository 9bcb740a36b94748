"""Callers that cancel, time out, forget responses and close pools in flight: in threads, and in tasks of two loops."""

import random
import ssl
import threading
import traceback
from collections import Counter
from dataclasses import dataclass, field

import anyio
import httpx
import httpx2

import poolscope.httpx
import poolscope.httpx2
from soak.peers import HTTP1, HTTP2

FLAVOURS = {"httpx": (httpx, poolscope.httpx), "httpx2": (httpx2, poolscope.httpx2)}
OURS = "/src/poolscope/"
RENEWALS = 300
"""After so many requests a pool is closed, whatever runs in it: forgotten responses have taken its slots by then."""


@dataclass
class Tally:
    """What one caller counts, without a lock: requests sent, those under way, what they failed with."""

    started: int = 0
    busy: int = 0
    failures: Counter = field(default_factory=Counter)

    def begin(self):
        self.started += 1
        self.busy += 1


class Callers:
    """What all callers share. paused: no request is begun for now; over: none is any more.

    begun: released by each event loop that runs.
    """

    def __init__(self, sinks, urls, context: ssl.SSLContext, flavour, seed):
        self.http, self.ours = FLAVOURS[flavour]
        self.sinks = sinks
        self.urls = urls
        self.context = context
        self.name = f"soak {flavour}"
        self.over = threading.Event()
        self.paused = threading.Event()
        self.begun = threading.Semaphore(0)
        self.ours_raised = []
        self._tallies = []
        self._seed = seed

    @property
    def tally(self):
        """What each caller counted, added up."""
        tallies = list(self._tallies)
        return Tally(*(sum((getattr(one, name) for one in tallies), type(of)()) for name, of in vars(Tally()).items()))

    def new_tally(self):
        self._tallies.append(Tally())
        return self._tallies[-1]

    def end(self, tally, exc=None):
        tally.busy -= 1
        if isinstance(exc, RuntimeError) and "client has been closed" in str(exc):
            tally.started -= 1  # it never came to the pool
        elif exc is not None:
            tally.failures[type(exc).__name__] += 1
            if OURS in traceback.extract_tb(exc.__traceback__)[-1].filename:
                self.ours_raised.append("".join(traceback.format_exception(exc)))

    def dice(self, number):
        return random.Random(self._seed * 1000 + number)

    def target(self, dice):
        url = dice.choice(self.urls)
        return url + dice.choice(HTTP2 if url == self.urls[-1] else HTTP1)

    def client(self, *, asynchronous):
        kind = "InstrumentedTransport" if asynchronous else "InstrumentedSyncTransport"
        limits = self.http.Limits(max_connections=10, max_keepalive_connections=8, keepalive_expiry=0.5)
        transport = getattr(self.ours, kind)(
            name=self.name, sinks=self.sinks, limits=limits, verify=self.context, http2=True
        )
        timeout = self.http.Timeout(5.0, read=0.5, pool=0.1)
        return (self.http.AsyncClient if asynchronous else self.http.Client)(transport=transport, timeout=timeout)


class Shared:
    """A client that several callers use, and any of them may replace. asynchronous: its colour."""

    def __init__(self, callers, *, asynchronous):
        self.callers = callers
        self.asynchronous = asynchronous
        self.client = callers.client(asynchronous=asynchronous)
        self._used = 0

    def used(self):
        """Count a use; give the client that is due to be closed, if it is."""
        self._used += 1
        if self._used < RENEWALS:
            return None
        self._used, due = 0, self.client
        self.client = self.callers.client(asynchronous=self.asynchronous)
        return due


def thread(callers, shared, number):
    """One thread's requests until it is over."""
    dice, tally = callers.dice(number), callers.new_tally()
    while not callers.over.is_set():
        if callers.paused.is_set():
            callers.over.wait(0.01)
            continue
        tally.begin()
        failed = None
        try:
            _request(shared.client, callers.target(dice), dice.random())
            if (due := shared.used()) is not None:
                due.close()
        except Exception as exc:
            failed = exc
        callers.end(tally, failed)


def _request(client, url, what):
    if what < 0.02:
        client.send(client.build_request("GET", url), stream=True)  # and forgets it
    elif what < 0.1:
        with client.stream("GET", url) as response:
            next(response.iter_raw(10), None)
    else:
        client.get(url)


async def task(callers, shared, number):
    """One task's requests until it is over."""
    dice, tally = callers.dice(number), callers.new_tally()
    while not callers.over.is_set():
        if callers.paused.is_set():
            await anyio.sleep(0.01)
            continue
        tally.begin()
        failed = None
        try:
            what = dice.random()
            with anyio.move_on_after(dice.random() * 0.03 if what < 0.15 else 5):
                await _async_request(shared.client, callers.target(dice), dice.random())
            if (due := shared.used()) is not None:
                await due.aclose()
        except Exception as exc:
            failed = exc
        callers.end(tally, failed)


async def _async_request(client, url, what):
    if what < 0.02:
        await client.send(client.build_request("GET", url), stream=True)  # and forgets it
    elif what < 0.1:
        async with client.stream("GET", url) as response:
            async for _ in response.aiter_raw(10):
                break
    else:
        await client.get(url)


async def tasks(callers, count, clients, first):
    """Run so many tasks on so many clients until it is over; close the clients when nobody uses them."""
    shared = [Shared(callers, asynchronous=True) for _ in range(clients)]
    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(task, callers, shared[number % clients], first + number)
        callers.begun.release()
    for one in shared:
        await one.client.aclose()

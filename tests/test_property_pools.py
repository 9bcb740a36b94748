"""Real httpcore pools under any order of what callers, servers and the machine may do: the laws hold after each step.

The network is in memory and waits for the test's word, so that a caller can be cancelled at any await. Judged from
outside: by what is exposed, by the snapshot, by the callers' own count and by the pool's own word.

The examples are the same in each run; PROPERTY_EXAMPLES=500 asks for so many fresh ones, and makes small what fails.
"""

import asyncio
import gc
import importlib
import os
import ssl
import traceback
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
import trio.testing
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from prometheus_client import CollectorRegistry

import poolscope
from flavours import FLAVOURS
from poolscope import PrometheusSink
from property.judge import Faults, Judge
from property.network import AsyncMemory, Memory, Network, SyncNetwork
from property.wire import ANSWERS

LONG = "PROPERTY_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "14"))
CONTEXT = ssl.create_default_context()
URLS = ("http://a.test/", "http://b.test/", "https://a.test/")
URL = st.sampled_from(URLS)
ROW = st.lists(URL, min_size=1, max_size=4) | st.builds(lambda url, many: [url] * many, URL, st.integers(2, 4))
OURS = Path(poolscope.__file__).parent
INDEX = st.integers(0, 5)
TICKS = st.integers(0, 12)
TRACES = st.sampled_from(["", "trace", "between", "between"])
_TURNS = 300
"""At most so many turns of asyncio's loop, and whoever can go on has come to where he cannot."""


class Job:
    """One request of a caller. what: what he is doing with it, empty while he does nothing."""

    def __init__(self):
        self.response = None
        self.error = None
        self.dropped = self.answered = False
        self.what = "send"
        self.scope = None

    @property
    def finished(self):
        if self.what:
            return False
        return self.dropped or self.response is None or self.response.is_closed

    @property
    def held(self):
        return self.response is not None and not self.what and not self.finished


class Pools(RuleBasedStateMachine):
    """The parts that have no colour."""

    flavour = ""
    network_class = Network
    backend_class = AsyncMemory
    transport_name, inner_name, client_name = "InstrumentedTransport", "AsyncHTTPTransport", "AsyncClient"

    @initialize(
        most=st.integers(1, 3),
        kept=st.integers(0, 3),
        expiry=st.sampled_from([0.0, 1000.0, None]),
        http2=st.booleans(),
        streams=st.integers(1, 3),
    )
    def make(self, most, kept, expiry, http2, streams):
        http = importlib.import_module(self.flavour)
        core = importlib.import_module({"httpx": "httpcore", "httpx2": "httpcore2"}[self.flavour])
        ours = importlib.import_module(f"poolscope.{self.flavour}")
        self.network = self.network_class(core, http2=http2, max_streams=streams)
        limits = http.Limits(max_connections=most, max_keepalive_connections=kept, keepalive_expiry=expiry)
        inner = getattr(http, self.inner_name)(verify=CONTEXT, http2=http2, limits=limits)
        inner._pool._network_backend = self.backend_class(self.network)
        self.registry = CollectorRegistry()
        self.transport = getattr(ours, self.transport_name)(inner, name="pool", sinks=[PrometheusSink(self.registry)])
        self.client = getattr(http, self.client_name)(transport=self.transport, timeout=None)
        self.bare = getattr(http, self.client_name)(transport=inner, timeout=http.Timeout(None, pool=0.001))
        self.http, self.core, self.most = http, core, most
        self.wrong_meanwhile = []
        self.judge = Judge(self.registry, self.network, self.transport)
        self.jobs = []
        self.faults = Faults().__enter__()

    def jobs_that(self, fits):
        return [job for job in self.jobs if fits(job)]

    def job(self):
        self.jobs.append(Job())
        return self.jobs[-1]

    def built(self, url, patience, trace=""):
        """Make a request. trace: which of our methods httpcore tells of each step."""
        extensions = {"trace": getattr(self, trace)} if trace else {}
        timeout = self.http.Timeout(None, pool=patience)
        return self.client.build_request("GET", url, timeout=timeout, extensions=extensions)

    def step(self, event):
        """Judge what is exposed when an attempt to connect has just failed."""
        if event.endswith(("connect_tcp.failed", "start_tls.failed")):
            self.wrong_meanwhile += self.judge.attempts()

    @rule(which=INDEX)
    @precondition(lambda self: self.jobs_that(lambda job: job.held))
    def drop(self, which):
        """A caller forgets a response."""
        held = self.jobs_that(lambda job: job.held)
        job = held[which % len(held)]
        job.response, job.error, job.dropped = None, None, True  # an error holds the frames that hold the response
        gc.collect()

    @rule(which=INDEX, how=st.sampled_from(["end", "break", "garble"]))
    @precondition(lambda self: self.network.wires)
    def breaks(self, which, how):
        """A server does to a connection, idle ones too, what nobody asked for."""
        wires = self.network.wires
        wires[which % len(wires)].answer(how, 0)
        self.go_on()

    def failed(self, job, exc):
        """Note what a caller got. What is raised in a file of ours is a fault, whatever it is."""
        job.error = exc
        *_, (frame, _) = traceback.walk_tb(exc.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(OURS):
            self.wrong_meanwhile.append("".join(traceback.format_exception(exc)))

    def go_on(self):
        """Let everybody come to where he waits."""

    @invariant()
    def laws(self):
        if not hasattr(self, "judge"):
            return
        timeouts = sum(isinstance(job.error, self.http.PoolTimeout) for job in self.jobs)
        unfinished = sum(not job.finished for job in self.jobs)
        broken = sum(job.held and job.error is not None for job in self.jobs)
        answered = sum(job.answered for job in self.jobs)
        wrong = self.judge.wrong(
            started=len(self.jobs), unfinished=unfinished, answered=answered, timeouts=timeouts, broken=broken
        )
        assert wrong + self.wrong_meanwhile == []
        assert self.faults.said == []


class AsyncPools(Pools):
    """Tasks, each at some await."""

    loop = "asyncio"

    def __init__(self):
        super().__init__()
        self.portal_context = anyio.from_thread.start_blocking_portal(self.loop)
        self.portal = self.portal_context.__enter__()
        self.portal.start_task(self._host)

    async def _host(self, *, task_status):
        async with anyio.create_task_group() as self.group:
            task_status.started()
            await anyio.sleep_forever()

    def go_on(self):
        self.portal.call(self._settle)

    async def _settle(self):
        self.network.poke()
        if self.loop == "trio":
            await trio.testing.wait_all_tasks_blocked()
        else:
            ready = asyncio.get_running_loop()._ready
            for _ in range(_TURNS):
                await anyio.lowlevel.checkpoint()
                if not ready:
                    break

    async def _do(self, job, call):
        try:
            with job.scope:
                job.response = await call() or job.response
                job.answered = True
        except Exception as exc:
            self.failed(job, exc)
        job.what = ""

    def begin(self, job, what, call, ticks=None):
        """Let a caller do something; cancel him after so many turns of the loop, if any are given."""
        self.portal.call(self._begin, job, what, call, ticks)

    def _start(self, job, what, call):
        job.what, job.error, job.scope = what, None, anyio.CancelScope()
        self.group.start_soon(self._do, job, call)

    async def _begin(self, job, what, call, ticks):
        self._start(job, what, call)
        if ticks is not None:
            await self._cancel(job, ticks)
        await self._settle()

    async def _cancel(self, job, ticks):
        self.network.poke()
        for _ in range(ticks):
            await anyio.lowlevel.checkpoint()
        job.scope.cancel()
        await self._settle()

    async def _let(self, gate, job, ticks):
        gate.event.set()
        if job is not None:
            await self._cancel(job, ticks)
        await self._settle()

    async def between(self, event, info):
        """Wait before TLS."""
        if event == "connection.start_tls.started":
            await self.network.gate("tls", self.core.ConnectError)

    async def trace(self, event, info):
        self.step(event)

    @rule(url=URL, patience=st.sampled_from([None, None, 0]), ticks=st.none() | TICKS, trace=TRACES)
    def request(self, url, patience, ticks, trace):
        job = self.job()
        request = self.built(url, patience, trace)
        self.begin(job, "send", lambda: self.client.send(request, stream=True), ticks)

    @contextmanager
    def eager(self):
        """Let the servers answer at once."""
        self.network.eager = True
        yield
        self.network.eager = False

    @rule(urls=ROW, alone=st.integers(0, 4), which=INDEX, ticks=st.none() | TICKS)
    def exchange(self, urls, alone, which, ticks):
        """Whole requests, some one after the other and the rest at once; nobody looks at the pool between them.

        One of the rest may be cancelled.
        """
        with self.eager():
            self.portal.call(self._exchange, urls, alone, which, ticks)

    async def _exchange(self, urls, alone, which, ticks):
        for number, url in enumerate(urls):
            self._start(self.job(), "send", partial(self.client.get, url))
            if number < alone:
                await self._settle()
        if ticks is not None and alone < len(urls):
            await self._cancel(self.jobs[-1 - which % (len(urls) - alone)], ticks)
        await self._settle()

    @rule(url=URL)
    def stranger(self, url):
        """A whole request past the instrumentation, or none where there is no slot for it."""
        with self.eager():
            self.portal.call(self._stranger, url)

    async def _stranger(self, url):
        job = Job()
        self._start(job, "send", partial(self.bare.options, url))
        await self._settle()
        job.scope.cancel()
        await self._settle()

    @rule(urls=st.permutations(URLS), ok=st.booleans())
    def hand_over(self, urls, ok):
        """The pool is full, a response is read, and its connection gives way to another request's: that close waits."""
        slow, self.network.slow = self.network.slow, False
        with self.eager():
            for url in [urls[0]] * self.most + urls[1:]:
                request = self.built(url, None)
                self.begin(self.job(), "send", partial(self.client.send, request, stream=True))
        self.network.slow = True
        for job in self.jobs_that(lambda job: job.held)[:1]:
            self.finish(job, "aread")
        self.laws()
        self.network.slow = slow
        for gate in [gate for gate in self.network.gates if gate.what == "close"]:
            gate.ok = ok
            self.portal.call(self._let, gate, None, None)

    @rule(which=INDEX, ticks=st.none() | TICKS, how=st.sampled_from(["aread", "aread", "aclose"]))
    @precondition(lambda self: self.jobs_that(lambda job: job.held))
    def end(self, which, how, ticks):
        """A caller reads a response, or closes it unread."""
        held = self.jobs_that(lambda job: job.held)
        self.finish(held[which % len(held)], how, ticks)

    def finish(self, job, how, ticks=None):
        call = getattr(job.response, how)

        async def done():
            await call()

        self.begin(job, how, done, ticks)

    @rule(which=INDEX, ticks=TICKS)
    @precondition(lambda self: self.jobs_that(lambda job: job.what))
    def cancel(self, which, ticks):
        """A caller is cancelled where he waits, or a few turns after something let him go on."""
        busy = self.jobs_that(lambda job: job.what)
        self.portal.call(self._cancel, busy[which % len(busy)], ticks)

    @rule(which=INDEX, ok=st.sampled_from([True, True, False]), ticks=st.none() | TICKS)
    @precondition(lambda self: self.network.gates)
    def let(self, which, ok, ticks):
        """A connect, a handshake, a write or a close comes to its end."""
        gate = self.network.gates[which % len(self.network.gates)]
        gate.ok = ok
        busy = self.jobs_that(lambda job: job.what)
        job = None if ticks is None or not busy else busy[which % len(busy)]
        self.portal.call(self._let, gate, job, ticks)

    @rule(which=INDEX, how=st.sampled_from(ANSWERS), stream=INDEX)
    @precondition(lambda self: self.network.wires)
    def answer(self, which, how, stream):
        wires = self.network.wires
        wires[which % len(wires)].answer(how, stream)
        self.go_on()

    @rule(slow=st.booleans())
    def pace(self, slow):
        """From now on writes and closes wait, or do not."""
        self.network.slow = slow

    @rule()
    def close_pool(self):
        self.judge.exact &= not self.jobs_that(lambda job: not job.finished)
        self.portal.call(self._aclose)

    async def _aclose(self):
        self.network.slow = False
        with anyio.fail_after(30):
            await self.transport.aclose()
            self.wrong_meanwhile += self.judge.closed()

    def teardown(self):
        if hasattr(self, "judge"):
            self.network.slow = False
            for _ in range(3):
                for gate in list(self.network.gates):
                    self.portal.call(gate.event.set)
                for job in self.jobs_that(lambda job: job.what):
                    self.portal.call(job.scope.cancel)
                self.go_on()
                for job in self.jobs_that(lambda job: job.held):
                    self.begin(job, "aclose", job.response.aclose)
            assert not self.jobs_that(lambda job: not job.finished)
            self.laws()
            self.close_pool()
            self.laws()
            self.faults.__exit__()
        self.portal.call(self.group.cancel_scope.cancel)
        self.portal_context.__exit__(None, None, None)


class SyncPools(Pools):
    """One thread, which opens responses, holds several, and gives them back."""

    network_class = SyncNetwork
    backend_class = Memory
    transport_name, inner_name, client_name = "InstrumentedSyncTransport", "HTTPTransport", "Client"

    @rule(
        url=URL,
        fails=st.sampled_from(["", "", "", "connect", "between", "tls", "write", "close"]),
        answers=st.lists(st.tuples(st.sampled_from(ANSWERS), INDEX), min_size=1, max_size=3),
    )
    def request(self, url, fails, answers):
        self.network.fails, self.network.answers = fails, answers
        self._send(url, stream=True)

    def trace(self, event, info):
        if event == "connection.start_tls.started":
            self.network.step("between", self.core.ConnectError)
        self.step(event)

    def _send(self, url, *, stream):
        job = self.job()
        try:
            job.response = self.client.send(self.built(url, 0.001, "trace" if stream else ""), stream=stream)
            job.answered = True
        except Exception as exc:
            self.failed(job, exc)
        job.what = ""

    @rule(urls=ROW)
    def exchange(self, urls):
        """Whole requests, one after the other; nobody looks at the pool between them."""
        self.network.fails, self.network.answers = "", [("whole", 0)]
        for url in urls:
            self._send(url, stream=False)

    @rule(which=INDEX, how=st.sampled_from(["read", "read", "close"]))
    @precondition(lambda self: self.jobs_that(lambda job: job.held))
    def end(self, which, how):
        held = self.jobs_that(lambda job: job.held)
        job = held[which % len(held)]
        try:
            getattr(job.response, how)()
        except Exception as exc:
            self.failed(job, exc)

    @rule()
    def close_pool(self):
        self.judge.exact &= not self.jobs_that(lambda job: not job.finished)
        self.network.fails = ""
        self.transport.close()
        self.wrong_meanwhile += self.judge.closed()

    def teardown(self):
        if hasattr(self, "judge"):
            self.network.fails = ""
            for job in self.jobs_that(lambda job: job.held):
                job.response.close()
            self.laws()
            self.transport.close()
            self.laws()
            self.faults.__exit__()


@pytest.mark.usefixtures("quick_collections")
@pytest.mark.timeout(0 if LONG else 120)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("colour", ["asyncio", "trio", "sync"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_any_order_of_events_keeps_the_laws(flavour, colour):
    """Nothing is lost, negative or counted twice, and the levels are the pool's own."""
    base = SyncPools if colour == "sync" else AsyncPools
    machine = type("Machine", (base,), {"flavour": flavour, "loop": colour})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES if colour != "sync" else EXAMPLES // 2,
            stateful_step_count=30,
            deadline=None,
            derandomize=not LONG,
            database=None,
            phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("who", ["alone", "first", "second"])
def test_a_request_cancelled_at_any_turn_keeps_the_laws(flavour, loop, who):
    """On an idle connection: alone, where the close of its socket waits, or as one of two that are handed it."""
    kind = type("Machine", (AsyncPools,), {"flavour": flavour, "loop": loop})
    for ticks in range(13):
        machine = kind()
        machine.make(most=3, kept=3, expiry=None, http2=False, streams=1)
        machine.exchange([URLS[0]], alone=1, which=0, ticks=None)
        if who == "alone":
            machine.pace(True)
            machine.request(URLS[0], None, ticks, "")
        else:
            machine.exchange([URLS[0]] * 2, alone=0, which=int(who == "first"), ticks=ticks)
        machine.laws()
        machine.teardown()
    del machine
    gc.collect()  # tasks that nobody collected would stand in the way of tests that look through all of them

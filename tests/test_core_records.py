"""The records of one request and one connection, hooks on one object, and the entrances of a traced request."""

import asyncio
from types import MethodType, SimpleNamespace

import pytest

from ledger import target
from poolscope import _entrance
from poolscope._entrance import AsyncEntrance, Entrance
from poolscope._hooks import Hook
from poolscope._records import CURRENT, Checkout, Connection, error_type, frame_of


def test_a_new_request_waits_and_is_plain():
    """It came at one second; nothing else is known of it."""
    where = target()
    one = Checkout(where, "GET", 2.5)
    assert (one.target, one.method, one.started_at, one.entered_at) == (where, "GET", 2.5, 2.5)
    assert (one.plain, one.error, one.ended_at, one.trace, one.holds) == (True, "", None, None, False)
    assert (one.state, one.connection, one.tally, one.ended) == ("waiting", None, None, False)


@pytest.mark.parametrize(
    ("exc", "error", "cancelled"),
    [
        (ValueError(), "ValueError", False),
        (asyncio.CancelledError(), "CancelledError", True),
        (BaseExceptionGroup("", [asyncio.CancelledError()] * 2), "CancelledError", True),
        (BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt()])]), "KeyboardInterrupt", True),
        (ExceptionGroup("", [ValueError()]), "ExceptionGroup", False),
    ],
)
def test_a_request_notes_what_ended_it(exc, error, cancelled):
    """By the exception's own name; what is no Exception is a cancel, and a group of these goes by theirs."""
    one = Checkout(target(), "GET", 0.0)
    one.fail(exc)
    assert (one.error, one.cancelled, error_type(exc)) == (error, cancelled, error)


@pytest.mark.parametrize(
    ("state", "plain", "connected", "holds"),
    [
        ("holding", False, False, True),
        ("offered", False, True, False),
        ("waiting", True, True, True),
        ("waiting", True, False, False),
    ],
)
def test_who_holds_a_connection(state, plain, connected, holds):
    """Whoever the state machine says, and a plain request that was handed one."""
    one = Checkout(target(), "GET", 0.0)
    one.state, one.plain, one.connection = state, plain, object() if connected else None
    assert one.holds is holds


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [("", "", ""), (399, "", ""), (400, "", "400"), (503, "", "503"), (200, "ReadError", "ReadError"), (500, "X", "X")],
)
def test_what_a_request_failed_of(status, error, failure):
    """What ended it; where nothing did, a status that says of an error."""
    one = Checkout(target(), "GET", 0.0)
    one.status, one.error = status, error
    assert one.failure == failure


def test_a_new_connection_is_a_slot_and_no_more():
    """Taken at one second by nobody in particular; each has a number of its own."""
    one, other = Connection("tally", 2.5), Connection("tally", 2.5)
    assert other.id == one.id + 1
    assert (one.tally, one.state, one.protocol, one.in_pool, one.occupied) == ("tally", "reserved", "1.1", True, True)
    assert (one.probe(), one.stream(), one.closing, one.connector, one.engaged) == (None, None, "", None, None)
    assert (one.upgraded, one.stranger, one.plain, one.peer, one.setup) == (False, False, False, None, None)
    assert (one.holders, one.offered, one.requests, one.socket_closed_at) == (0, 0, 0, None)
    assert (one.busy_at, one.connecting_at, one.opened_at, one.idle_at) == (2.5, 2.5, 2.5, 2.5)


@pytest.mark.parametrize(
    ("state", "in_pool", "occupied"), [("active", True, True), ("active", False, False), ("idle", True, False)]
)
def test_a_slot_is_occupied_while_the_pool_has_it_in_use(state, in_pool, occupied):
    """What it gave up is free, whatever becomes of its socket."""
    one = Connection("tally", 0.0)
    one.state, one.in_pool = state, in_pool
    assert one.occupied is occupied


def test_a_connection_arms_the_stream_that_it_has():
    """For a write, or for a read; where there is none yet, or none any more, nothing fails."""
    one, told = Connection("tally", 0.0), []
    one.arm()
    one.arm_read()
    stream = SimpleNamespace(arm=lambda: told.append("write"), arm_read=lambda: told.append("read"))
    one.stream = lambda: stream
    one.arm()
    one.arm_read()
    assert told == ["write", "read"]


def test_the_frame_of_a_generator_of_either_colour():
    """None where it came to its end."""

    async def colourful():
        yield 1

    plain = (number for number in [1])
    assert frame_of(plain).f_code is plain.gi_code
    list(plain)
    assert frame_of(plain) is None
    made = colourful()
    assert frame_of(made).f_code is made.ag_code


class Pool:
    """What a hook stands in for: it says who called, with what."""

    def __init__(self):
        self.log = []

    def handle_request(self, request, **more):
        self.log.append((request, more))
        if isinstance(request, Exception):
            raise request
        return "response"

    async def handle_async_request(self, request):
        await asyncio.sleep(0)
        return self.handle_request(request)


class Louder(Hook):
    def __init__(self, inner):
        super().__init__(inner)
        self.below = self._under("handle_request")
        self._stand_in()

    def handle_request(self, request, **more):
        return "loud " + self.below(self._inner(), request, **more)


def test_a_hook_stands_in_and_goes_without_a_trace():
    """What was the class's own is the class's own again; what somebody else had put there is called and stays."""
    bare, dressed = Pool(), Pool()
    dressed.handle_request = before = lambda request, **more: f"before {request} {more}"
    for pool, below in ((bare, "response"), (dressed, "before 1 {'a': 2}")):
        hook = Louder(pool)
        assert pool.handle_request(1, a=2) == f"loud {below}"
        hook._uncover("handle_request")
        assert pool.handle_request(1, a=2) == below
        hook._cover("handle_request")
        assert pool.handle_request(1, a=2) == f"loud {below}"
        hook.remove()
        assert pool.handle_request(1, a=2) == below
        hook.remove()
    assert ("handle_request" in vars(bare), vars(dressed)["handle_request"]) == (False, before)
    assert bare.log[0] == (1, {"a": 2})


def test_another_objects_method_that_stands_there_is_not_the_classs():
    """It is bound to its own object, and is called as that."""
    other, pool = Pool(), Pool()
    pool.handle_request = other.handle_request
    hook = Louder(pool)
    assert pool.handle_request("x") == "loud response"
    assert ([request for request, _ in other.log], pool.log) == (["x"], [])
    hook.remove()
    assert pool.handle_request.__self__ is other


def test_another_function_that_is_bound_to_the_object_is_not_the_classs():
    """It is called, and stays."""
    pool = Pool()
    pool.handle_request = own = MethodType(lambda self, request, **more: f"own {request}", pool)
    hook = Louder(pool)
    assert pool.handle_request(1) == "loud own 1"
    hook.remove()
    assert vars(pool)["handle_request"] is own


def test_a_class_whose_methods_are_not_pythons_is_left_as_it_was():
    """A compiled one: its bound methods have no function."""

    class Box(list):
        pass

    class Twice(Hook):
        def __init__(self, inner):
            super().__init__(inner)
            self.below = self._under("append")
            self._stand_in()

        def append(self, item):
            self.below(self._inner(), item)
            self.below(self._inner(), item)

    box = Box()
    hook = Twice(box)
    box.append(1)
    hook.remove()
    box.append(2)
    assert (list(box), vars(box)) == ([1, 1, 2], {})


def observer(**given):
    """What an entrance asks of an observer."""
    told = []
    one = SimpleNamespace(
        name="pool",
        in_use=1,
        pool=SimpleNamespace(max=2),
        tracing=None,
        watch_entrance=None,
        told=told,
        untraced=[],
        tell=lambda checkout, what, *facts: told.append((checkout, what, *facts)),
    )
    one.untrace = lambda: one.untraced.append(1)
    vars(one).update(given)
    return one


class Tracing:
    """Says what it is told, or fails."""

    def __init__(self, *, awake=True, fails=False, traces=True):
        self.is_awake, self.fails, self.traces, self.told = awake, fails, traces, []

    def awake(self, now):
        self.told.append(now)
        return self.is_awake

    def enter(self, *facts):
        if self.fails:
            raise ZeroDivisionError
        return ("entered", *facts)

    def inside(self, checkout, request, pool):
        self.told.append((request, pool))
        if self.fails:
            raise ZeroDivisionError
        if self.traces:
            checkout.trace = "trace"


def test_a_request_enters_where_somebody_traces():
    """Asked at its own second; who sleeps, or is not there, sees nothing; one that fails traces no more."""
    checkout = Checkout(target(), "GET", 2.5)
    awake = observer(tracing=Tracing())
    assert _entrance.enter(awake, checkout, "handle", "request") == ("entered", checkout, "handle", "request", "pool")
    assert (awake.tracing.told, awake.untraced) == ([2.5], [])
    asleep = observer(tracing=Tracing(awake=False))
    for one, known in ((asleep, checkout), (observer(), checkout), (awake, None)):
        assert _entrance.enter(one, known, "handle", "request") == ("handle", "request", None)
        assert one.untraced == []
    failing = observer(tracing=Tracing(fails=True))
    assert _entrance.enter(failing, checkout, "handle", "request") == ("handle", "request", None)
    assert failing.untraced == [1]


def test_the_pools_entrance_is_watched_from_the_first_traced_request_on():
    """Once; not before somebody is awake."""
    watched = []
    one = observer(tracing=Tracing(awake=False), watch_entrance=watched.append)
    checkout = Checkout(target(), "GET", 2.5)
    _entrance.enter(one, checkout, "handle", "request")
    assert watched == []
    one.tracing.is_awake = True
    for _ in range(2):
        _entrance.enter(one, checkout, "handle", "request")
    assert (watched, one.watch_entrance) == ([one], None)


def through(colour, one, request, checkout):
    """Send a request through a watched pool; give what came back, or what was raised."""
    pool = Pool()
    entrance = (Entrance if colour == "sync" else AsyncEntrance)(pool, one)
    token = CURRENT.set(checkout)
    try:
        if colour == "sync":
            return pool.handle_request(request)
        return asyncio.run(pool.handle_async_request(request))
    except Exception as exc:
        return exc
    finally:
        CURRENT.reset(token)
        entrance.remove()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize(("in_use", "queued"), [(1, False), (2, True), (3, True)])
def test_at_the_pool_a_request_gets_its_trace_and_whether_it_is_full(colour, in_use, queued):
    """The answer goes through; nothing is told where nothing was raised."""
    checkout, one = Checkout(target(), "GET", 0.0), observer(tracing=Tracing(), in_use=in_use)
    assert through(colour, one, "request", checkout) == "response"
    assert one.tracing.told == [("request", "pool")]
    assert (checkout.trace, checkout.queued, one.told) == ("trace", queued, [])


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_the_pool_raises_is_told_to_the_trace_and_goes_on(colour):
    """A request that came to a pool with room, and leaves one that is full, has queued."""
    for in_use, before, queued in ((1, False, False), (2, False, True), (1, True, True)):
        checkout, one, error = Checkout(target(), "GET", 0.0), observer(tracing=Tracing()), ValueError()

        def inside(checkout, request, pool, one=one, in_use=in_use, before=before):
            checkout.trace = "trace"
            one.in_use = 2 if before else 1
            one.later = in_use

        one.tracing.inside = inside
        tell = one.tell
        one.tell = lambda *facts, tell=tell: tell(*facts)
        pool_below = Pool.handle_request

        def below(self, request, one=one, pool_below=pool_below, **more):
            one.in_use = one.later
            return pool_below(self, request, **more)

        Pool.handle_request = below
        try:
            assert through(colour, one, error, checkout) is error
        finally:
            Pool.handle_request = pool_below
        assert (one.told, checkout.queued) == ([(checkout, "left", error)], queued)


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("why", ["nobody's", "not traced", "over", "failing", "no trace"])
def test_who_has_no_trace_passes_as_if_nobody_looked(colour, why):
    """No request of ours, no tracing, one that has ended, tracing that fails (and traces no more) or wants none."""
    checkout = Checkout(target(), "GET", 0.0)
    checkout.ended = why == "over"
    tracing = None if why == "not traced" else Tracing(fails=why == "failing", traces=why != "no trace")
    one, error = observer(tracing=tracing, in_use=2), ValueError()
    assert through(colour, one, error, None if why == "nobody's" else checkout) is error
    assert (one.told, checkout.trace, checkout.queued) == ([], None, False)
    assert one.untraced == ([1] if why == "failing" else [])

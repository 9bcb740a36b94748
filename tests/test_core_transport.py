"""The two transports on one that does what a test says: what goes through, and what the observer is told, in order."""

from types import SimpleNamespace

import httpx
import pytest

from ledger import Ledger, finish
from poolscope import _contract as c
from poolscope._body import AsyncBody, Body
from poolscope._records import CURRENT
from poolscope._transitions import HOLDING, OFFERED
from poolscope._transport import AsyncTransport, SyncTransport

COLOURS = pytest.mark.parametrize("kind", [SyncTransport, AsyncTransport])
BYTES = httpx.ByteStream(b"")
GET, CONNECT = (SimpleNamespace(method=method) for method in ("GET", "CONNECT"))


class Heard(list):
    """An observer, with its diagnosis, that keeps what it is told, in its order. left: bodies that nobody closed."""

    def __init__(self, ledger):
        super().__init__()
        self.pool, self.name = ledger.pool, "pool"
        self.request = ledger.request(0.0)
        self.left, self.adopts, self.diagnosis, self.body = [], None, self, Body
        self.at_entry, self.tracing, self.watch_entrance, self.closing_pool = False, None, None, 0
        self.outermost = 0
        self.explains = lambda: None

    def __getattr__(self, name):
        return lambda *facts, **options: self.append((name, *facts, options) if options else (name, *facts))

    def unclosed(self):
        return self.left

    def enter(self, request):
        self.append(("enter", request))
        return self.request

    def explain(self, *facts):
        self.append(("explain", *facts))
        self.explains()

    def apply(self, step, *facts):
        self.append(("apply", step, *facts))
        if step == self.pool.answered:
            facts[0].connection = self.adopts


class Inner:
    """A transport of both colours that does what it is given to do."""

    def __init__(self, does):
        self.does, self.asked = does, []

    def handle_request(self, request):
        self.asked.append(request)
        return self.does()

    async def handle_async_request(self, request):
        return self.handle_request(request)

    def close(self):
        self.does()

    async def aclose(self):
        self.does()

    def __exit__(self, *exc_info):
        self.asked.append(exc_info)
        self.does()

    async def __aexit__(self, *exc_info):
        self.__exit__(*exc_info)


def handle(transport, request=GET):
    if isinstance(transport, AsyncTransport):
        return finish(transport.handle_async_request(request))
    return transport.handle_request(request)


def fail_with(exc):
    def fail():
        raise exc

    return fail


def response(status=200, version=b"HTTP/1.1", **facts):
    given = {"is_closed": False, "stream": BYTES, "is_success": status == 200, **facts}
    return SimpleNamespace(status_code=status, extensions={"http_version": version} if version else {}, **given)


@pytest.fixture
def made(kind):
    """A transport without its set-up; `made.heard` is what its observer was told."""
    ledger = Ledger()
    transport = kind.__new__(kind)
    transport._inner = Inner(response)
    transport._observer = transport.heard = Heard(ledger)
    transport.heard.body = AsyncBody if kind is AsyncTransport else Body
    transport._flavour = SimpleNamespace(http=httpx)
    transport.connection = transport.heard.adopts = ledger.open(0.0)
    yield transport
    if transport.heard.request is not None:
        transport.heard.request.ended_at = 1.0  # its body is collected after this


@COLOURS
def test_the_running_task_is_in_the_pool_for_its_request(made, kind):
    """While the wrapped transport sends it, and for what it was before that, after."""
    current, given = [], response()
    made._inner.does = lambda: current.append(CURRENT.get()) or given
    assert handle(made) is given
    assert (current, CURRENT.get(), made._inner.asked) == ([made.heard.request], None, [GET])
    assert made.heard == [("enter", GET), ("apply", made.heard.pool.answered, made.heard.request, False)]


@COLOURS
@pytest.mark.parametrize("exc", [OSError("gone"), httpx.PoolTimeout("full"), KeyboardInterrupt()])
def test_a_request_that_fails_ends(made, kind, exc):
    """Its caller sees the same exception; that of a full pool is explained first."""
    made._inner.does = fail_with(exc)
    with pytest.raises(type(exc)) as raised:
        handle(made)
    assert raised.value is exc
    request, timed_out = made.heard.request, isinstance(exc, httpx.PoolTimeout)
    assert made.heard[1:] == [
        *([("explain", request, exc)] if timed_out else []),
        ("take", made.heard.pool.seen.ran),
        ("tell", request, "failed", exc),
        ("end", request, {"timed_out": timed_out}),
    ]
    assert (request.error, CURRENT.get()) == (type(exc).__name__, None)


@COLOURS
@pytest.mark.parametrize("timeouts", [{"timeout": {"pool": 0.5}}, {"timeout": {"pool": None}}, {}])
def test_a_request_that_had_a_connection_and_times_out_waited_for_another(made, kind, timeouts):
    """For as long as its own pool timeout, where it has one. It does, before that is explained."""
    exc, asked = httpx.PoolTimeout("full"), SimpleNamespace(method="GET", extensions=timeouts)
    made._inner.does, made.heard.request.connection = fail_with(exc), made.connection
    with pytest.raises(httpx.PoolTimeout):
        handle(made, asked)
    waited = timeouts.get("timeout", {}).get("pool") or 0.0
    again = ("apply", made.heard.pool.repeat, made.heard.request, waited)
    assert made.heard[1:3] == [again, ("explain", made.heard.request, exc)]


@COLOURS
def test_an_explanation_that_fails_is_a_fault_of_ours(made, kind):
    """The exception is the user's."""
    exc = httpx.PoolTimeout("full")
    made._inner.does, made.heard.explains = fail_with(exc), fail_with(ZeroDivisionError())
    with pytest.raises(httpx.PoolTimeout):
        handle(made)
    assert [told[0] for told in made.heard] == ["enter", "explain", "fault", "take", "tell", "end"]


@COLOURS
@pytest.mark.parametrize(
    ("outermost", "state", "passes"),
    [
        ("none", "runs", False),
        ("this", "runs", False),
        ("other", "runs", True),
        ("other", "ended", False),
        ("other", "another pool's", False),
        ("other", "none", False),
    ],
)
def test_a_request_that_another_of_ours_counts_passes(made, kind, outermost, state, passes):
    """One that is around what wraps this one. What the same one sends once more is a request of its own."""
    outer = None if state == "none" else (Ledger() if state == "another pool's" else made.heard).pool.request(
        SimpleNamespace(raw_scheme=b"http", raw_host=b"shop", port=80), "GET", True, 0.0
    )  # fmt: skip
    if state == "ended":
        outer.ended_at = 1.0
    made.heard.outermost = {"none": 0, "this": id(made), "other": 7}[outermost]
    current, given = [], response()
    made._inner.does = lambda: current.append(CURRENT.get()) or given
    token = CURRENT.set(outer)
    assert handle(made) is given
    CURRENT.reset(token)
    assert (current, made._inner.asked) == ([outer if passes else made.heard.request], [GET])
    assert (made.heard == []) is (given.stream is BYTES) is passes


@COLOURS
@pytest.mark.parametrize("exc", [None, OSError("gone")])
def test_a_request_that_was_not_taken_in_passes(made, kind, exc):
    """It is answered, or fails, and nobody is told."""
    made.heard.request, given = None, response()
    made._inner.does = fail_with(exc) if exc else lambda: given
    if exc:
        with pytest.raises(OSError, match="gone"):
            handle(made)
    else:
        assert handle(made) is given
        assert given.stream is BYTES
    assert made.heard == [("enter", GET)]


class Tracing:
    """Lets a request in as another one, through another door, and hears when it is out."""

    def __init__(self):
        self.told = []

    def awake(self, now):
        self.told.append(("awake", now))
        return True

    def enter(self, *facts):
        self.told.append(("enter", *facts))
        door = facts[1]

        def through(request):
            self.told.append(("through", request))
            return door(request)

        return through, CONNECT, lambda: self.told.append(("leave",))


@COLOURS
@pytest.mark.parametrize("exc", [None, OSError("gone")])
def test_tracing_sees_a_request_in_and_out(made, kind, exc):
    """What it gives is called with what it gives; it leaves however that ends."""
    tracing = made.heard.tracing = Tracing()
    if exc:
        made._inner.does = fail_with(exc)
        with pytest.raises(OSError, match="gone"):
            handle(made)
    else:
        handle(made)
    door = made._inner.handle_async_request if kind is AsyncTransport else made._inner.handle_request
    assert tracing.told == [
        ("awake", made.heard.request.started_at),
        ("enter", made.heard.request, door, GET, "pool"),
        ("through", CONNECT),
        ("leave",),
    ]
    assert made._inner.asked == [CONNECT]


@COLOURS
@pytest.mark.parametrize("exc", [None, OSError("gone")])
def test_what_nobody_closed_is_closed_before_a_request_enters(made, kind, exc):
    """Where the diagnosis watches; that it fails costs the request nothing."""
    made.heard.at_entry = True
    made.heard.left = [Inner(fail_with(exc) if exc else lambda: made.heard.append(("closed",)))]
    handle(made)
    first = ("fault",) if exc else ("closed",)
    assert made.heard[:3] == [first, ("enter", GET), ("entered", made.heard.request)]


@COLOURS
@pytest.mark.parametrize(("version", "protocol"), [(b"HTTP/2", "2"), (b"HTTP/1.1", "1.1"), (b"HTTP/7", ""), (None, "")])
def test_an_answer_is_noted(made, kind, version, protocol):
    """Its status, its protocol, and that nobody has read it; its body is watched."""
    given = response(204, version)
    made._inner.does = lambda: given
    request = made.heard.request
    handle(made)
    assert (request.status, request.protocol, request.phase) == (204, protocol, c.UNREAD)
    assert type(given.stream) is made.heard.body
    assert (given.stream._inner, given.stream._observer, given.stream._checkout) == (BYTES, made.heard, request)


@COLOURS
def test_a_traced_request_is_told_of_its_answer(made, kind):
    """Before what becomes of it."""
    made.heard.request.trace = "a trace"
    handle(made)
    assert made.heard[1] == ("tell", made.heard.request, "answered")


@COLOURS
def test_a_strangers_stream_can_still_be_asked(made, kind):
    """Its body is one with more to say."""

    class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
        more = "to say"

    Stream.__module__ = "strangers"
    given = response(stream=Stream())
    made._inner.does = lambda: given
    handle(made)
    assert isinstance(given.stream, made.heard.body)
    assert given.stream.more == "to say"


@COLOURS
@pytest.mark.parametrize(
    ("has", "plain", "state", "taken"),
    [
        (True, True, "waiting", False),
        (True, False, HOLDING, False),
        (True, False, OFFERED, True),
        (False, True, "waiting", True),
        (False, False, HOLDING, True),
    ],
)
@pytest.mark.parametrize("carried", [True, False])
def test_an_answer_makes_a_request_hold_what_it_was_offered(made, kind, has, plain, state, taken, carried):
    """Where it neither goes plain nor holds one; a stream of the network's says that a connection carried it."""
    request, given = made.heard.request, response()
    request.connection, request.plain, request.state = made.connection if has else None, plain, state
    if carried:
        given.extensions["network_stream"] = None
    made._inner.does = lambda: given
    handle(made)
    steps = [said for said in made.heard if said[0] == "apply"]
    assert steps == [("apply", made.heard.pool.answered, request, carried)] * taken
    assert ("fault",) not in made.heard


@COLOURS
@pytest.mark.parametrize(
    ("asked", "status", "engaged", "upgraded"),
    [(GET, 101, True, True), (CONNECT, 200, True, True), (CONNECT, 407, True, False), (GET, 200, False, "untouched")],
)
@pytest.mark.parametrize("had", [True, False])
def test_an_answer_that_changes_the_protocol_upgrades_its_connection(made, kind, asked, status, engaged, upgraded, had):
    """A tunnel only where it was granted; no plain request does so."""
    request, given = made.heard.request, response(status)
    request.connection, request.plain = made.connection if had else None, had
    made.connection.upgraded = "untouched"
    made._inner.does = lambda: given
    handle(made, asked)
    assert (("engage", request) in made.heard, made.connection.upgraded) == (engaged, upgraded)


@COLOURS
def test_an_answer_without_a_connection_upgrades_nothing(made, kind):
    """Nor is it a fault."""
    made.heard.adopts, given = None, response(101)
    made._inner.does = lambda: given
    handle(made)
    assert made.heard == [("enter", GET), ("apply", made.heard.pool.answered, made.heard.request, False)]


@COLOURS
def test_an_answer_that_came_with_its_content_is_an_end(made, kind):
    """Nobody will close its stream."""
    given = response(is_closed=True)
    made._inner.does = lambda: given
    assert handle(made) is given
    assert (made.heard[-1], given.stream) == (("end", made.heard.request), BYTES)


@COLOURS
def test_an_answer_that_cannot_be_understood_is_the_callers(made, kind):
    """A fault of ours is told, and the request is over."""
    made._inner.does = lambda: "no response"
    assert handle(made) == "no response"
    assert made.heard[1:] == [("fault",), ("end", made.heard.request)]


@COLOURS
@pytest.mark.parametrize("exc", [None, OSError("gone")])
@pytest.mark.parametrize("way", ["close", "exit"])
def test_a_close_is_known_while_it_lasts_and_counts_when_it_is_over(made, kind, exc, way):
    """However it ends, and whichever way it is asked for."""
    closing = []

    def close():
        closing.append(made.heard.closing_pool)
        if exc:
            raise exc

    made._inner.does = close
    sync = kind is SyncTransport
    try:
        if way == "exit":
            finish((made.__exit__ if sync else made.__aexit__)(None, exc, None))
        else:
            finish((made.close if sync else made.aclose)())
    except OSError as raised:
        assert raised is exc
    else:
        assert exc is None
    assert (closing, made.heard.closing_pool, made.heard) == ([1], 0, [("apply", made.heard.pool.close)])
    assert made._inner.asked == ([(None, exc, None)] if way == "exit" else [])


@COLOURS
@pytest.mark.parametrize(
    ("at_rest", "seconds", "slept"),
    [
        ([True], 5, []),
        ([False, False, True], 5, [0.01, 0.01]),
        ([False, False, False], 0.02, [0.01, 0.01]),
        ([False], 0, []),
    ],
)
def test_a_drain_looks_until_the_pool_is_at_rest_or_its_time_is_up(made, kind, monkeypatch, at_rest, seconds, slept):
    """Every 10 ms; it gives what is left then."""
    sleeps = []
    looks = iter([*(SimpleNamespace(at_rest=rest) for rest in at_rest), "what is left"])
    made.snapshot = lambda: next(looks)

    async def sleep_later(delay):
        sleeps.append(delay)

    clock = SimpleNamespace(monotonic=lambda: sum(sleeps, 0.0), sleep=sleeps.append)
    monkeypatch.setattr("poolscope._transport.time", clock)
    monkeypatch.setattr("poolscope._setup.time", clock)
    monkeypatch.setattr("poolscope._transport.anyio", SimpleNamespace(sleep=sleep_later))
    assert finish(made.drain(seconds)) == "what is left"
    assert sleeps == slept

"""The hooks on connections, streams and backends, on things that do what a test says: what goes through, what is told.

Each claim holds in both colours. What the observer is told is compared whole, in its order.
"""

import sys
from functools import partial
from types import SimpleNamespace

import pytest

from ledger import Ledger, finish
from poolscope import _contract as c
from poolscope._connection_hooks import AsyncConnectionHook, ConnectionHook, _Connection
from poolscope._network import AsyncBackendProxy, BackendProxy
from poolscope._phases import AWAITING_HEADERS, REQUESTING
from poolscope._records import CURRENT, _nothing
from poolscope._stream_hooks import AsyncStreamHook, StreamHook
from poolscope._transitions import ACTIVE, ESTABLISHING, IDLE, RESERVED

CONNECTIONS = pytest.mark.parametrize("kind", [ConnectionHook, AsyncConnectionHook])
STREAMS = pytest.mark.parametrize("kind", [StreamHook, AsyncStreamHook])
BACKENDS = pytest.mark.parametrize("kind", [BackendProxy, AsyncBackendProxy])


class Heard(list):
    """What an observer was told, in its order. It does nothing."""

    def __init__(self, pool):
        super().__init__()
        self.pool, self.slots = pool, pool.slots

    def __getattr__(self, name):
        return lambda *facts: self.append((name, *facts))

    def offer(self, checkout, connection):
        self.append(("offer", checkout, connection))
        return checkout


class Below:
    """A connection, stream or backend in both colours: keeps what it was asked, and does what it is given to do."""

    def __init__(self, does=lambda: None):
        self.does, self.asked, self.is_closed, self.tls = does, [], lambda: False, None

    def _do(self, *asked, **options):
        self.asked.append((*asked, options) if options else asked)
        return self.does()

    async def _later(self, *asked, **options):
        return self._do(*asked, **options)

    def handle_request(self, request):
        return self._do("handle", request)

    def handle_async_request(self, request):
        return self._later("handle", request)

    def close(self):
        return self._do("close")

    def aclose(self):
        return self._later("close")

    def read(self, max_bytes, timeout=None):
        return self._do("read", max_bytes, timeout)

    def write(self, buffer, timeout=None):
        return self._do("write", buffer, timeout)

    def get_extra_info(self, info):
        return self.tls if info == "ssl_object" else f"its {info}"


class Colour(Below):
    """One whose `start_tls`, `connect_tcp` and `connect_unix_socket` are of a colour."""

    def __init__(self, does=lambda: None, *, asynchronous=False):
        super().__init__(does)
        self.asynchronous = asynchronous

    def call(self, *asked, **options):
        return (self._later if self.asynchronous else self._do)(*asked, **options)

    def start_tls(self, *args, **options):
        return self.call("tls", *args, **options)

    def connect_tcp(self, *args, **options):
        return self.call("tcp", *args, **options)

    def connect_unix_socket(self, *args, **options):
        return self.call("unix", *args, **options)


def later(function):
    async def call(*args):
        return function(*args)

    return call


def fails_with(exc):
    def fail():
        raise exc

    return fail


def finish_failing(make, exc):
    """Await a call that raises this very exception."""
    with pytest.raises(type(exc)) as raised:
        finish(make())
    assert raised.value is exc


@pytest.fixture
def scene():
    """A pool, what its observer is told, a connection of it, and a request that the running task is in the pool for."""
    ledger = Ledger()
    scene = SimpleNamespace(ledger=ledger, pool=ledger.pool, slots=ledger.pool.slots, heard=Heard(ledger.pool))
    scene.connection = ledger.reserve(0.0)
    scene.request = ledger.request(0.0, "POST")
    token = CURRENT.set(scene.request)
    yield scene
    CURRENT.reset(token)


class Unavailable(Exception):  # noqa: N818 - httpcore's is called so
    """What a connection raises that cannot take a request after all."""


def hooked(kind, scene, below, reason=lambda inner, connection: "a reason"):
    scene.connection.stream = lambda: None
    guide = SimpleNamespace(
        observer=scene.heard, unavailable=Unavailable, close_reason=reason, dropped=partial(scene.heard.tell, "dropped")
    )
    kind(below, guide, scene.connection)
    scene.kept = below  # as the pool does
    return getattr(below, kind.handles), getattr(below, kind.closes)


@CONNECTIONS
def test_a_connection_takes_a_request_as_it_would_without_us(scene, kind):
    """It is the probe of its slot; a traced request is told that it was served, another is not."""
    below = Below(lambda: "response")
    handle, _ = hooked(kind, scene, below)
    assert scene.connection.probe() is below
    scene.connection.state = ACTIVE
    assert finish(handle("request")) == "response"
    assert below.asked == [("handle", "request")]
    assert scene.heard == [("offer", scene.request, scene.connection)]
    scene.request.trace = "a trace"
    scene.heard.clear()
    finish(handle("request"))
    assert scene.heard == [("offer", scene.request, scene.connection), ("tell", scene.request, "served")]


@pytest.mark.parametrize("kind", [ConnectionHook, AsyncConnectionHook, StreamHook, AsyncStreamHook])
def test_a_hook_stands_nowhere_before_it_knows_all_that_is_below(scene, kind):
    """Another thread may call at once what it finds."""

    class Watchful(Colour):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            hook = getattr(value, "__self__", None)
            if isinstance(hook, kind):
                known.append({below for below in vars(hook) if below.endswith(("_below", "_handle_before"))})

    known, below = [], Watchful()
    if issubclass(kind, _Connection):
        hooked(kind, scene, below)
        assert known == [{"_handle_before", "_close_below"}] * 2
    else:
        scene.connection.state = ESTABLISHING
        kind.put(below, scene.heard, scene.connection, to_origin=True)
        assert known == [{"_close_below", "_secure_below", "_write_below", "_read_below"}] * 4


@CONNECTIONS
def test_what_stands_in_for_a_class_s_method_meanwhile_is_what_is_called(scene, kind, monkeypatch):
    """A mock's, while it is there; and the class's own, where the hook was put on while the mock was there."""
    for before in (False, True):
        below = Below(lambda: "its own")
        mocked = {kind.handles: lambda *_: "a mock's", kind.closes: lambda *_: None}
        if kind is AsyncConnectionHook:
            mocked = {name: later(mock) for name, mock in mocked.items()}
        with monkeypatch.context() as patch:
            for name, mock in mocked.items() if before else ():
                patch.setattr(Below, name, mock)
            handle, close = hooked(kind, scene, below)
            scene.connection.state = ACTIVE
            for name, mock in mocked.items():
                patch.setattr(Below, name, mock)
            assert finish(handle("request")) == "a mock's"
            finish(close())
        assert (finish(handle("request")), below.asked) == ("its own", [("handle", "request")])
        finish(close())
        assert below.asked[1:] == [("close",)]


@CONNECTIONS
def test_what_stood_on_a_connection_before_us_is_what_is_called(scene, kind):
    """With the request, and what it answers is answered."""
    below, asked = Below(), []

    def theirs(request):
        asked.append(request)
        return "theirs"

    setattr(below, kind.handles, later(theirs) if kind is AsyncConnectionHook else theirs)
    handle, _ = hooked(kind, scene, below)
    scene.connection.state = ACTIVE
    assert (finish(handle("request")), asked, below.asked) == ("theirs", ["request"], [])


@CONNECTIONS
@pytest.mark.parametrize("timeouts", [{"pool": 1.0}, None])
def test_the_timeouts_of_a_request_that_has_a_connection_made_are_noted(scene, kind, timeouts):
    """None of them where it has none."""
    handle, _ = hooked(kind, scene, Below(lambda: setattr(scene.connection, "state", ACTIVE)))
    finish(handle(SimpleNamespace(extensions={} if timeouts is None else {"timeout": timeouts})))
    noted = ("take", scene.pool.seen.wanted, timeouts or {})
    assert scene.heard == [noted, ("offer", scene.request, scene.connection)]


@CONNECTIONS
@pytest.mark.parametrize(
    ("state", "version", "protocol"),
    [(ESTABLISHING, b"HTTP/1.1", "1.1"), (RESERVED, b"HTTP/2", "2"), (RESERVED, None, "1.1")],
)
def test_an_answer_before_the_connection_was_seen_ready_makes_it_ready(scene, kind, state, version, protocol):
    """Where nothing was seen of its set-up, that begins with it. A stranger's request is asked about nothing more."""
    response = SimpleNamespace(extensions={"http_version": version} if version else {})

    def answer():
        scene.connection.state = state
        return response

    handle, _ = hooked(kind, scene, Below(answer))
    scene.connection.state = ACTIVE
    CURRENT.set(None)
    assert finish(handle("request")) is response
    begun = [("apply", scene.pool.connect, None, scene.connection)] if state == RESERVED else []
    assert scene.heard == [("offer", None, scene.connection), *begun, ("opened", scene.connection, protocol)]


@CONNECTIONS
def test_a_connection_whose_socket_was_never_seen_is_closed_by_the_pools_word(scene, kind):
    """With the pool's reason; and its request is who began to connect."""
    handle, close = hooked(kind, scene, Below(lambda: SimpleNamespace(extensions={})))
    scene.connection.stream, scene.connection.state = _nothing, ACTIVE
    finish(close())
    assert scene.heard == [
        ("apply", scene.slots.detached, scene.connection),
        ("apply", scene.slots.closed, scene.connection, "a reason"),
    ]
    scene.heard.clear()
    scene.connection.state = RESERVED
    finish(handle(SimpleNamespace(extensions={})))
    assert scene.heard[2:] == [
        ("apply", scene.pool.connect, scene.request, scene.connection),
        ("opened", scene.connection, "1.1"),
    ]


@CONNECTIONS
@pytest.mark.parametrize("state", [RESERVED, ACTIVE])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("exc", [OSError("gone"), KeyboardInterrupt("stop")])
def test_a_request_that_fails_on_its_connection_is_told(scene, kind, state, closed, exc):
    """With what it failed by; a slot without a socket is given up where the pool does so."""
    below = Below(fails_with(exc))
    below.is_closed = lambda: closed
    handle, _ = hooked(kind, scene, below)
    scene.connection.state = state
    finish_failing(lambda: handle(SimpleNamespace(extensions={})), exc)
    name, reason = type(exc).__name__, c.FAILED if isinstance(exc, OSError) else c.CANCELLED
    assert scene.heard[-3 - (state == RESERVED and closed) :] == [
        ("apply", scene.slots.broke, scene.connection, scene.request, name, reason),
        ("tell", scene.request, "connect_failed", name),
        ("tell", scene.request, "served"),
        *([("apply", scene.slots.detached, scene.connection)] if state == RESERVED and closed else []),
    ]
    assert ("opened", scene.connection, "1.1") not in scene.heard


@CONNECTIONS
def test_a_connection_that_is_not_available_after_all_puts_its_request_back(scene, kind):
    """One that came past us is not told of at all."""
    exc = Unavailable()
    handle, _ = hooked(kind, scene, Below(fails_with(exc)))
    scene.connection.state = ACTIVE
    finish_failing(lambda: handle("request"), exc)
    assert scene.heard[1:] == [("tell", scene.request, "put_back"), ("apply", scene.pool.withdraw, scene.request)]
    scene.heard.clear()
    CURRENT.set(None)
    finish_failing(lambda: handle("request"), exc)
    assert scene.heard == [("offer", None, scene.connection)]


@CONNECTIONS
@pytest.mark.parametrize("state", [RESERVED, ESTABLISHING, ACTIVE, IDLE])
def test_why_the_pool_closes_an_open_connection_is_asked_before_it_does(scene, kind, state):
    """Who is its guest is taken in first; once it is closed, or failed to close, its slot is free."""
    reasons, closing = [], []
    exc = OSError("while closing")
    below = Below(lambda: closing.append(scene.connection.closing))
    _, close = hooked(kind, scene, below, lambda *asked: reasons.append(asked) or "a reason")
    scene.connection.state = state
    guest = scene.slots.guests[scene.connection] = scene.ledger.request(0.0)
    finish(close())
    is_open = state in (ACTIVE, IDLE)
    assert reasons == ([(below, scene.connection)] if is_open else [])
    assert closing == ["a reason" if is_open else ""]
    assert scene.heard == [("engage", guest), ("apply", scene.slots.detached, scene.connection)]
    scene.heard.clear()
    scene.slots.guests.clear()
    below.does = fails_with(exc)
    finish_failing(close, exc)
    assert scene.heard == [("apply", scene.slots.detached, scene.connection)]


@CONNECTIONS
def test_a_reason_that_cannot_be_told_is_no_outage(scene, kind):
    """The pool closed it: that much is sure."""
    below = Below()
    _, close = hooked(kind, scene, below, lambda *_: fails_with(ZeroDivisionError())())
    scene.connection.state = IDLE
    finish(close())
    assert (scene.connection.closing, below.asked) == (c.POOL_CLOSED, [("close",)])


@pytest.mark.parametrize("kind", [ConnectionHook, AsyncConnectionHook, StreamHook, AsyncStreamHook])
def test_what_is_being_collected_is_not_asked_to_close(scene, kind):
    """A finalizer may close what the collector has: nothing leads to it by then, and it is no outage."""
    below = Colour(asynchronous=kind is AsyncStreamHook)
    if issubclass(kind, _Connection):
        _, close = hooked(kind, scene, below)
        del scene.kept
    else:
        kind.put(below, scene.heard, scene.connection, to_origin=False)
        close = getattr(below, kind.closes)
    asked = below.asked
    del below
    assert close.__self__._inner() is None
    finish(close())
    assert asked == []


@CONNECTIONS
def test_a_connection_that_is_collected_is_gone(scene, kind, monkeypatch):
    """Its finalizer takes no lock; that of a hook which never came to be says nothing."""
    odd = []
    monkeypatch.setattr(sys, "unraisablehook", odd.append)
    below = Below()
    hooked(kind, scene, below)
    del below, scene.kept
    assert scene.heard == [("tell", "dropped", scene.connection)]
    with pytest.raises(TypeError, match="weak reference"):
        hooked(kind, scene, 1)
    assert len(scene.heard) == 1
    assert odd == []


def stream_of(kind, scene, does=lambda: None, *, to_origin=False, state=ACTIVE):
    """Give a stream that our hook is on."""
    scene.connection.state = state
    below = Colour(does, asynchronous=kind is AsyncStreamHook)
    kind.put(below, scene.heard, scene.connection, to_origin=to_origin)
    scene.heard.clear()
    return below, scene.connection.stream()


@STREAMS
@pytest.mark.parametrize(
    ("state", "offered", "protocol", "watched"),
    [
        (ACTIVE, 0, "1.1", False),
        (ESTABLISHING, 0, "1.1", True),
        (ACTIVE, 1, "1.1", True),
        (ACTIVE, 0, "2", True),
    ],
)
def test_a_write_is_watched_where_somebody_waits_for_it(scene, kind, state, offered, protocol, watched):
    """While the socket is set up, where a request was offered it, and in HTTP/2."""
    scene.connection.offered, scene.connection.protocol = offered, protocol
    below, _ = stream_of(kind, scene, state=state)
    assert ("write" in vars(below)) is watched


@STREAMS
@pytest.mark.parametrize(("method", "watched"), [("POST", True), ("GET", False), (None, False)])
def test_a_read_is_watched_where_a_body_is_sent_first(scene, kind, method, watched):
    """A request without one has sent everything with its first write; no request has nothing to note."""
    CURRENT.set(None if method is None else scene.ledger.request(0.0, method))
    below, hook = stream_of(kind, scene, to_origin=True)
    assert ("read" in vars(below)) is watched
    hook.arm_read()
    hook.arm()
    assert below.read.__self__ is below.write.__self__ is getattr(below, kind.closes).__self__ is hook
    assert (hook.to_origin, hook.superseded) == (True, False)


class Slotted(Colour):
    """A stream of a user's that takes no attributes that it does not know."""

    def __setattr__(self, name, value):
        if name not in ("does", "asked", "is_closed", "tls", "asynchronous"):
            raise AttributeError(name)
        super().__setattr__(name, value)


@STREAMS
def test_a_stream_that_takes_no_hook_takes_its_connection_out_of_our_sight(scene, kind):
    """It is told as a fault of ours; the connection closes where it was opened, and is gone where it was not."""
    kind.put(Slotted(), scene.heard, scene.connection, to_origin=True)
    assert scene.heard[:3] == [
        ("fault",),
        ("apply", scene.slots.closed, scene.connection, c.DROPPED),
        ("apply", scene.slots.gone, scene.connection),
    ]


@STREAMS
def test_a_stream_that_is_collected_unclosed_closes_its_connection(scene, kind, monkeypatch):
    """Not where TLS took its socket over, nor where the hook never came to be."""
    odd = []
    monkeypatch.setattr(sys, "unraisablehook", odd.append)
    below, hook = stream_of(kind, scene)
    assert hook.get_extra_info("peer") == "its peer"
    del below
    assert hook.get_extra_info("peer") is None
    del hook
    assert scene.heard == [("defer", scene.slots.dropped, scene.connection)]
    below, hook = stream_of(kind, scene)
    hook.superseded = True
    del below, hook
    with pytest.raises(TypeError, match="weak reference"):
        kind(1, scene.heard, scene.connection, to_origin=False)
    assert (scene.heard, odd) == ([], [])


@STREAMS
@pytest.mark.parametrize(
    ("state", "phase", "after", "watched"),
    [
        (ACTIVE, REQUESTING, AWAITING_HEADERS, False),
        (ACTIVE, c.UNREAD, c.UNREAD, False),
        (ESTABLISHING, REQUESTING, REQUESTING, True),
    ],
)
def test_the_first_read_means_that_all_was_sent(scene, kind, state, phase, after, watched):
    """Once the set-up is over: there it is a proxy that answers. What is read is the stream's own."""
    below, _ = stream_of(kind, scene, lambda: b"bytes", state=state)
    scene.request.phase = phase
    assert below.read(7, timeout=3.0) == b"bytes"
    assert (scene.request.phase, "read" in vars(below)) == (after, watched)
    assert below.read(8) == b"bytes"
    assert below.asked == [("read", 7, 3.0), ("read", 8, None)]
    below.read = below.read if watched else scene.connection.stream().read
    CURRENT.set(None)
    below.read(9)
    assert below.asked[-1] == ("read", 9, None)


@STREAMS
@pytest.mark.parametrize(
    ("sent", "opened"),
    [
        (b"", None),
        (b"CONNECT shop:80 HTTP/1.1", None),
        (b"\x05\x01\x00", None),
        (b"\x01\x02me", None),
        (b"PRI * HTTP/2.0", "2"),
        (b"GET / HTTP/1.1", "1.1"),
    ],
)
def test_the_first_bytes_of_http_open_what_is_being_set_up(scene, kind, sent, opened):
    """Those to a proxy do not: what is secured after them is for the origin."""
    below, hook = stream_of(kind, scene, lambda: "sent", state=ESTABLISHING)
    assert below.write(sent, timeout=3.0) == "sent"
    assert below.asked == [("write", sent, 3.0)]
    assert (hook.to_origin, "write" in vars(below)) == (opened is None, opened is None)
    if opened is None:
        assert scene.heard == []
    else:
        written = ("wrote", scene.request, scene.connection)
        assert scene.heard == [("opened", scene.connection, opened), written]


@STREAMS
def test_a_write_makes_a_hand_over_final(scene, kind):
    """An empty one, too; the next is watched where another request was offered the connection."""
    below, hook = stream_of(kind, scene)
    scene.connection.offered = 1
    hook.arm()
    below.write(b"")
    scene.connection.offered = 0
    scene.connection.rivals.append(scene.request)
    below.write(b"")
    assert (scene.heard, "write" in vars(below)) == ([("wrote", scene.request, scene.connection)] * 2, True)
    scene.heard.clear()
    CURRENT.set(None)
    scene.connection.rivals.clear()
    below.write(b"GET")
    assert (scene.heard, "write" in vars(below)) == ([("wrote", None, scene.connection)], False)
    assert below.asked == [("write", b"", None), ("write", b"", None), ("write", b"GET", None)]


@STREAMS
@pytest.mark.parametrize(
    ("to_origin", "tls", "opened"),
    [
        (True, None, "1.1"),
        (True, "h2", "2"),
        (True, "http/1.1", "1.1"),
        (False, "h2", None),
    ],
)
def test_a_secured_stream_is_followed_on(scene, kind, to_origin, tls, opened):
    """TLS to the origin makes the connection ready, TLS to a proxy does not; the hook moves to the new stream."""
    secured = Colour()
    secured.tls = tls and SimpleNamespace(selected_alpn_protocol=lambda: tls)
    below, hook = stream_of(kind, scene, lambda: secured, to_origin=to_origin, state=ESTABLISHING)
    assert finish(below.start_tls("context", server_hostname="shop")) is secured
    assert below.asked == [("tls", "context", {"server_hostname": "shop"})]
    assert scene.heard == [
        ("tell", scene.request, "securing", "shop"),
        ("tell", scene.request, "secured", secured.tls),
        *([("opened", scene.connection, opened)] if opened else []),
    ]
    new = scene.connection.stream()
    assert (new is not hook, new.to_origin, type(new)) == (True, to_origin, kind)
    assert getattr(secured, kind.closes).__self__ is new
    assert not {"read", "write", "close", "aclose", "start_tls"} & vars(below).keys()
    scene.heard.clear()
    finish(hook._closing(below))
    assert scene.heard == [], "the socket is another stream's now"


@STREAMS
def test_a_stream_that_is_secured_in_place_keeps_its_hook(scene, kind):
    """It is closed once, by its own close."""
    below, hook = stream_of(kind, scene, to_origin=True)
    below.does = lambda: below
    assert finish(below.start_tls()) is below
    assert scene.heard[0] == ("tell", scene.request, "securing", "")
    assert (scene.connection.stream() is hook, hook.superseded, "start_tls" in vars(below)) == (True, False, True)


@STREAMS
def test_tls_that_fails_is_told_and_raised(scene, kind):
    """The stream closes itself there, which says nothing more of the connection."""
    exc = OSError("no TLS")
    below, hook = stream_of(kind, scene, fails_with(exc))
    finish_failing(lambda: below.start_tls(server_hostname=None), exc)
    assert scene.heard == [
        ("tell", scene.request, "securing", ""),
        ("failed", scene.connection, exc),
    ]
    assert hook.superseded


@STREAMS
def test_the_close_of_a_stream_is_the_close_of_a_socket(scene, kind):
    """With what is handled there, or with what the close itself raises."""
    below, _ = stream_of(kind, scene)
    close, exc = getattr(below, kind.closes), OSError("broken")
    finish(close())
    below.does = fails_with(exc)
    finish_failing(close, exc)
    closed = "socket_closed", scene.connection
    assert scene.heard == [(*closed, None), (*closed, exc)]
    assert below.asked == [("close",), ("close",)]


def backend_of(kind, scene, does, *, scheme=b"http", http2=False):
    below = Colour(does, asynchronous=kind is AsyncBackendProxy)
    origin = SimpleNamespace(scheme=scheme, host=b"shop", port=80)
    return below, kind(below, scene.heard, scene.connection, origin, http2=http2)


CONNECTS = pytest.mark.parametrize(
    ("method", "args", "target"),
    [("connect_tcp", ("shop", 80), "shop:80"), ("connect_unix_socket", ("a path",), "a path")],
)


@BACKENDS
@CONNECTS
@pytest.mark.parametrize("scheme", [b"http", b"https", b"wss"])
@pytest.mark.parametrize("http2", [True, False])
def test_a_socket_to_the_origin_makes_a_connection_without_tls_ready(scene, kind, method, args, target, scheme, http2):
    """All that the backend is given it gets, and the stream that it gives is hooked."""
    stream = Colour(asynchronous=kind is AsyncBackendProxy)
    below, proxy = backend_of(kind, scene, lambda: stream, scheme=scheme, http2=http2)
    assert finish(getattr(proxy, method)(*args, "more", timeout=3.0)) is stream
    assert below.asked == [({"connect_tcp": "tcp"}.get(method, "unix"), *args, "more", {"timeout": 3.0})]
    assert scene.heard == [
        ("take", scene.pool.seen.began, scene.connection),
        ("apply", scene.pool.connect, scene.request, scene.connection),
        ("tell", scene.request, "connecting", scene.connection, target),
        ("met", scene.request, scene.connection, stream),
        *([("opened", scene.connection, "2" if http2 else "1.1")] if scheme == b"http" else []),
    ]
    hook = scene.connection.stream()
    assert (type(hook), hook.to_origin, hook._inner() is stream) == (proxy.hook, True, True)


@BACKENDS
@pytest.mark.parametrize("target", [("proxy", 80), ("shop", 3128)])
def test_a_socket_to_a_proxy_makes_nothing_ready(scene, kind, target):
    """Another host or another port: what becomes of it is seen at its stream."""
    stream = Colour(asynchronous=kind is AsyncBackendProxy)
    _, proxy = backend_of(kind, scene, lambda: stream)
    finish(proxy.connect_tcp(*target))
    assert scene.heard[3:] == [("met", scene.request, scene.connection, stream)]
    assert scene.connection.stream().to_origin is False


@BACKENDS
@CONNECTS
def test_a_connect_that_fails_is_told_and_raised(scene, kind, method, args, target):
    """Whatever it failed by."""
    exc = OSError("refused")
    _, proxy = backend_of(kind, scene, fails_with(exc))
    finish_failing(lambda: getattr(proxy, method)(*args), exc)
    assert scene.heard[2:] == [
        ("tell", scene.request, "connecting", scene.connection, target),
        ("failed", scene.connection, exc),
    ]


def test_a_proxy_of_a_backend_answers_for_it(scene):
    """Whatever else it is asked; a host that is not ASCII is nobody's target, and no fault."""
    below, proxy = backend_of(BackendProxy, scene, lambda: None)
    below.sleep = "its own"
    assert proxy.sleep == "its own"
    with pytest.raises(AttributeError, match=r"^_inner$"):
        _ = BackendProxy.__new__(BackendProxy).sleep
    origin = SimpleNamespace(scheme=b"http", host=b"sh\xc3\xb6p", port=80)
    assert BackendProxy(below, scene.heard, scene.connection, origin, http2=False)._target == ("sh\ufffd\ufffdp", 80)

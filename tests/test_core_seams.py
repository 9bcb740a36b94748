"""The seams on httpcore's own pools, without a socket: what is put on them, what they are asked, how it comes off."""

import gc
import sys
from types import SimpleNamespace

import h11
import httpcore
import httpx
import pytest

from ledger import Ledger
from poolscope import _contract as c
from poolscope._connection_hooks import AsyncConnectionHook, ConnectionHook
from poolscope._entrance import AsyncEntrance, Entrance
from poolscope._foreign import _THEIRS
from poolscope._network import AsyncBackendProxy, BackendProxy
from poolscope._seams import (
    _PRIVATE_NAMES,
    limits_of,
    missing_names,
    observer_of,
    pool_of,
    transports_of,
    unwatch,
    watch,
)

POOLS = pytest.mark.parametrize("kind", [httpcore.ConnectionPool, httpcore.AsyncConnectionPool])
ORIGIN = httpcore.Origin(b"http", b"shop", 80)


class Heard(list):
    """An observer, and its diagnosis, that keeps what it is told, and gives one connection to whoever reserves."""

    def __init__(self):
        super().__init__()
        self.ledger = Ledger()
        self.pool, self.closing_pool, self.reserved = self.ledger.pool, 0, self.ledger.reserve(0.0)
        self.diagnosis = self

    def take(self, step, *facts):
        self.append(("take", step, *facts))
        return self.reserved

    def fault(self):
        self.append(("fault",))

    def defer(self, step, *facts):
        self.append(("defer", step, *facts))

    def connection_dropped(self):
        self.append(("dropped",))


def flavour(name="httpx"):
    return SimpleNamespace(name=name, core=httpcore)


def watched(pool, name="httpx"):
    heard = Heard()
    watch(pool, heard, flavour(name), asynchronous=isinstance(pool, httpcore.AsyncConnectionPool))
    return heard


def connections_of(pool):
    """Give the pool's own list, which the oldest httpcore calls otherwise."""
    return vars(pool).get("_connections", vars(pool).get("_pool"))


def handles(pool):
    return "handle_async_request" if isinstance(pool, httpcore.AsyncConnectionPool) else "handle_request"


@POOLS
@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_a_pool_that_is_watched_says_by_whom(kind, name):
    """And its seam, of which flavour and colour it is, and which exception means "not after all"."""
    pool = kind()
    assert observer_of(pool) is None
    heard = watched(pool, name)
    seam = pool.create_connection.__self__
    assert observer_of(pool) is seam.observer is heard
    assert seam.unavailable is httpcore.ConnectionNotAvailable
    assert seam.newer_core is (name == "httpx2")
    assert seam.asynchronous is (kind is httpcore.AsyncConnectionPool)


def test_what_is_no_pool_of_ours_is_watched_by_nobody():
    """Whatever stands there, or nothing."""
    assert observer_of(object()) is None
    assert observer_of(SimpleNamespace(create_connection=len)) is None
    assert observer_of(SimpleNamespace(create_connection=lambda: None)) is None


@POOLS
def test_which_connections_a_pool_has_is_asked_without_a_lock(kind):
    """None where it was collected."""
    pool = kind()
    heard = watched(pool)
    connections_of(pool)[:] = [connection := object()]
    assert heard.pool.losses.kept() == {id(connection)}
    connections_of(pool).clear()
    del pool
    gc.collect()
    assert heard.pool.losses.kept() == set()


@POOLS
def test_the_entrance_of_a_pool_is_watched_when_there_is_something_to_trace(kind):
    """In its colour; of one that was collected nothing is."""
    pool = kind()
    heard = watched(pool)
    heard.watch_entrance(heard)
    entrance = getattr(pool, handles(pool)).__self__
    assert type(entrance) is (AsyncEntrance if kind is httpcore.AsyncConnectionPool else Entrance)
    assert entrance._observer is heard
    del pool, entrance
    gc.collect()
    heard.watch_entrance(heard)


@POOLS
@pytest.mark.parametrize(
    ("http1", "http2", "protocol"), [(True, False, "1.1"), (True, True, "1.1"), (False, True, "2")]
)
def test_a_connection_is_made_by_the_pool_and_hooked(kind, http1, http2, protocol):
    """With a backend of its own, which knows it; the pool has its backend back."""
    backend = object()
    pool = kind(http1=http1, http2=http2, network_backend=backend)
    heard = watched(pool)
    connections_of(pool)[:] = [other := object()]
    inner = pool.create_connection(ORIGIN)
    assert heard == [("take", heard.pool.reserve, b"http", b"shop", 80, {id(other)})]
    assert (inner._origin, heard.reserved.probe(), pool._network_backend) == (ORIGIN, inner, backend)
    asynchronous = kind is httpcore.AsyncConnectionPool
    hook, proxy = getattr(inner, handles(pool)).__self__, inner._network_backend
    assert type(hook) is (AsyncConnectionHook if asynchronous else ConnectionHook)
    assert (hook._guide, hook._connection) == (pool.create_connection.__self__, heard.reserved)
    assert type(proxy) is (AsyncBackendProxy if asynchronous else BackendProxy)
    assert (proxy._inner, proxy._observer, proxy._connection) == (backend, heard, heard.reserved)
    assert (proxy._target, proxy._protocol) == (("shop", 80), protocol)
    heard.defer = lambda *_: None  # it is collected now


@POOLS
def test_a_connection_of_the_core_s_own_is_kept_while_it_is_idle_and_the_pool_there(kind):
    """Not one that is in use, or that the pool gave up; nor a stranger's, which may hold the pool."""

    class Strangers:
        pass

    heard, stranger = watched(pool := kind()), Strangers()
    slots, connection = heard.pool.slots, heard.reserved
    inner = pool.create_connection(ORIGIN)
    assert connection.kept is None
    slots.connecting(connection, None, 1.0)
    slots.opened(connection, "1.1", 1.0)
    assert connection.kept is None
    connection.protocol = "2"
    slots.idled(connection, 1.0)
    assert connection.kept is None, "it may remember an exception"
    slots.used(connection, 1.0)
    connection.protocol = "1.1"
    slots.idled(connection, 1.0)
    assert connection.kept is inner
    slots.used(connection, 1.0)
    assert connection.kept is None
    slots.idled(connection, 1.0)
    slots.detached(connection, 1.0)
    assert connection.kept is None
    connection.kept, connection.in_pool = inner, True
    del pool, inner
    gc.collect()
    assert (connection.kept, connection.probe()) == (None, None)
    assert heard[1:] == [("defer", slots.gone, connection), ("dropped",)]
    other = watched(pool := pool_that(kind, lambda pool, origin: stranger))
    assert pool.create_connection(ORIGIN) is stranger
    other.pool.slots.connecting(other.reserved, None, 1.0)
    other.pool.slots.opened(other.reserved, "1.1", 1.0)
    other.pool.slots.idled(other.reserved, 1.0)
    assert (other.reserved.kept, other.reserved.probe()) == (None, stranger)


@POOLS
def test_a_pool_that_the_collector_has_makes_no_connection(kind):
    """A finalizer that sends a request hears so: by then nothing leads to the pool."""
    pool = kind()
    watched(pool)
    create = pool.create_connection
    del pool
    gc.collect()
    with pytest.raises(httpcore.ConnectError, match=r"^the client is being collected$"):
        create(ORIGIN)


@POOLS
def test_a_connection_for_which_no_slot_could_be_noted_is_made_all_the_same(kind):
    """As without us: that was a fault of ours."""
    backend = object()
    pool = kind(network_backend=backend)
    watched(pool).reserved = None
    inner = pool.create_connection(ORIGIN)
    assert (inner._origin, inner._network_backend) == (ORIGIN, backend)
    assert handles(pool) not in vars(inner)


def pool_that(kind, does):
    class Odd(kind):
        def create_connection(self, origin):
            return does(self, origin)

    return Odd(network_backend="its backend")


@POOLS
def test_a_connection_that_cannot_be_made_gives_its_slot_back(kind):
    """And the pool its backend; the exception is the caller's."""
    exc = OSError("no")

    def fail(pool, origin):
        raise exc

    pool = pool_that(kind, fail)
    heard = watched(pool)
    with pytest.raises(OSError, match=r"^no$") as raised:
        pool.create_connection(ORIGIN)
    assert raised.value is exc
    assert heard[1:] == [("take", heard.pool.slots.gone, heard.reserved)]
    assert pool._network_backend == "its backend"


@POOLS
def test_a_connection_that_takes_no_hook_is_out_of_our_sight(kind):
    """It is the pool's all the same."""
    pool = pool_that(kind, lambda pool, origin: ("a connection", origin))
    heard = watched(pool)
    assert pool.create_connection(ORIGIN) == ("a connection", ORIGIN)
    assert heard[1:] == [("fault",), ("take", heard.pool.slots.gone, heard.reserved)]


def seam_of(connections=(), limit=3, idle_limit=2, newer=True):
    """Give a seam on a pool that has connections, idle or not."""
    pool = httpcore.ConnectionPool(max_connections=limit, max_keepalive_connections=idle_limit)
    connections_of(pool)[:] = [SimpleNamespace(is_idle=lambda idle=idle: idle) for idle in connections]
    watched(pool, "httpx2" if newer else "httpx")
    return pool, pool.create_connection.__self__


def one(*, idle=True, expired=False):
    return SimpleNamespace(is_idle=lambda: idle, has_expired=lambda: expired)


def test_what_is_closed_while_it_is_used_or_with_the_pool_is_closed_by_the_pool():
    """Whatever else would hold of it. Where the pool goes on, it made room: another thread had just begun to use it."""
    pool, seam = seam_of([True], 3, 3)
    connection = seam.observer.reserved
    assert seam.close_reason(one(idle=False, expired=True), connection) == c.EVICTED
    connections_of(pool).clear()
    assert seam.close_reason(one(idle=False, expired=True), connection) == c.POOL_CLOSED
    seam.observer.closing_pool = 1
    assert seam.close_reason(one(expired=True), connection) == c.POOL_CLOSED
    seam.observer.closing_pool = 0
    assert seam.close_reason(one(expired=True), connection) == c.KEEPALIVE_EXPIRED
    connections_of(pool).clear()
    del pool
    gc.collect()
    assert seam.close_reason(one(expired=True), connection) == c.POOL_CLOSED


@pytest.mark.parametrize(
    ("protocol", "readable", "reason"),
    [
        ("1.1", True, c.SERVER_DISCONNECTED),
        ("1.1", False, c.KEEPALIVE_EXPIRED),
        ("1.1", None, c.KEEPALIVE_EXPIRED),
        ("2", True, c.KEEPALIVE_EXPIRED),
    ],
)
def test_an_expired_connection_whose_socket_can_be_read_was_left_by_the_server(protocol, readable, reason):
    """In HTTP/1.1, where nothing but its end is to be read; else its time is up."""
    pool, seam = seam_of()
    connection = seam.observer.reserved
    stream = SimpleNamespace(get_extra_info=lambda info: readable and info == "is_readable")
    connection.protocol, connection.stream = protocol, lambda: None if readable is None else stream
    assert seam.close_reason(one(expired=True), connection) == reason
    assert pool is seam._inner()


@pytest.mark.parametrize(
    ("connections", "limit", "idle_limit", "newer", "reason"),
    [
        ([True], 3, 3, False, c.EVICTED),
        ([True], 3, 4, False, c.EVICTED),
        ([True, False, False], 3, 2, False, c.KEEPALIVE_LIMIT),
        ([True, False, False], 3, 2, True, c.EVICTED),
        ([True, True, False], 3, 2, True, c.KEEPALIVE_LIMIT),
        ([True, False], 3, 2, True, c.KEEPALIVE_LIMIT),
        ([True, True, True], 3, 2, True, c.KEEPALIVE_LIMIT),
    ],
)
def test_an_idle_connection_makes_room_or_is_one_too_many(connections, limit, idle_limit, newer, reason):
    """Evicted where the pool is full and may keep more idle ones than it has; the older core has none to evict then."""
    pool, seam = seam_of(connections, limit, idle_limit, newer=newer)
    assert seam.close_reason(one(), seam.observer.reserved) == reason
    assert pool is seam._inner()


def test_how_far_a_response_has_come_is_what_its_parser_says():
    """However deep that is, as behind a proxy; HTTP/2 has none, nor has one that was collected."""
    pool = httpcore.ConnectionPool()
    heard = watched(pool)
    heard.reserved.probe = lambda: None
    assert heard.half_read(heard.reserved) is None
    assert heard.unanswered(heard.reserved) is False
    parser, heard.reserved.state = h11.Connection(h11.CLIENT), "active"
    inner = SimpleNamespace(_h11_state=parser)
    outer = SimpleNamespace(_connection=SimpleNamespace(_connection=inner))
    for reached, said in ((b"", False), (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha", True), (b"lf", False)):
        if not reached:
            parser.send(h11.Request(method="GET", target="/", headers=[("host", "shop")]))
            parser.send(h11.EndOfMessage())
        else:
            parser.receive_data(reached)
            while parser.next_event() not in (h11.NEED_DATA, h11.PAUSED):
                pass
        for probe in (inner, outer):
            heard.reserved.probe = lambda probe=probe: probe
            assert heard.half_read(heard.reserved) is said
            for closed in (True, False):
                probe.is_closed = lambda closed=closed: closed
                assert heard.unanswered(heard.reserved) is (not reached and not closed)
    second = SimpleNamespace(_connection=SimpleNamespace(_h2_state=None), is_closed=lambda: False)
    heard.reserved.probe = lambda: second
    assert heard.half_read(heard.reserved) is None
    for state, unanswered in (("reserved", True), ("establishing", True), ("active", False)):
        heard.reserved.state = state
        assert heard.unanswered(heard.reserved) is unanswered


def test_a_pool_is_found_behind_an_instrumentations_wrapper():
    """A transport without one has none."""
    theirs = type("Theirs", (), {"__module__": _THEIRS})
    inner = SimpleNamespace(_pool="its pool")
    outer, outermost = theirs(), theirs()
    outermost._transport, outer._transport = outer, inner
    assert pool_of(inner) == pool_of(outer) == pool_of(outermost) == "its pool"
    assert pool_of(object()) is None


@pytest.mark.parametrize(("given", "limits"), [((3, 2, 5.0), (3, 2, 5.0)), ((None, None, None), (None, None, None))])
def test_the_limits_of_a_pool_are_none_where_it_has_none(given, limits):
    """Its own stand-in for that is a very large number."""
    pool = httpcore.ConnectionPool(
        max_connections=given[0], max_keepalive_connections=given[1], keepalive_expiry=given[2]
    )
    assert limits_of(pool) == limits
    if given[0] is None:
        assert pool._max_connections == sys.maxsize


def test_a_pool_of_an_unknown_version_lacks_what_we_need():
    """Each by its name."""
    assert missing_names(httpcore.ConnectionPool()) == []
    assert missing_names(object()) == list(_PRIVATE_NAMES)
    assert missing_names(SimpleNamespace(**dict.fromkeys(_PRIVATE_NAMES[1:]))) == ["create_connection"]


@POOLS
def test_what_was_put_on_a_pool_comes_off_and_nothing_else_does(kind):
    """The hook and the entrance; what a user put there stays."""
    pool = kind()
    before = dict(vars(pool))
    unwatch(pool)
    heard = watched(pool)
    heard.watch_entrance(heard)
    assert {"create_connection", handles(pool)} <= vars(pool).keys()
    unwatch(pool)
    assert vars(pool) == before
    pool.create_connection = own = Loud().create_connection
    unwatch(pool)
    assert pool.create_connection is own
    assert observer_of(pool) is None
    unwatch(None)  # what a transport without a pool has


@POOLS
def test_a_pool_that_is_let_go_hears_of_its_connections_ends_alone(kind):
    """Requests pass them by; a user's own hook stays."""
    pool = kind()
    heard = watched(pool)
    one, others = pool.create_connection(ORIGIN), SimpleNamespace(handle_request=Loud().create_connection)
    connections_of(pool)[:] = [others, one]
    before = set(vars(one))
    unwatch(pool)
    assert before - set(vars(one)) == {handles(pool)}
    assert {"close", "aclose"} & set(vars(one))
    assert (heard.reserved.stranger, others.handle_request.__name__) == (True, "create_connection")
    heard.defer = lambda *_: None  # it is collected now


class Loud:
    """A user's own hook."""

    observer = "not ours"

    def create_connection(self, origin):
        """Make none."""

    def remove(self):
        raise AssertionError


def test_each_transport_of_a_client_can_be_replaced():
    """The main one, and those that are mounted; where none is, none is told."""
    main, mounted = httpx.MockTransport(len), httpx.MockTransport(len)
    with httpx.Client(transport=main, mounts={"http://shop": mounted, "http://none": None}) as client:
        found = list(transports_of(client))
        assert [(transport, pattern) for transport, pattern, _ in found] == [(main, ""), (mounted, "http://shop")]
        for number, (_, _, replace) in enumerate(found):
            replace(number)
        assert client._transport == 0
        assert {pattern.pattern: there for pattern, there in client._mounts.items()} == {
            "http://shop": 1,
            "http://none": None,
        }
        client._transport, client._mounts = main, {}

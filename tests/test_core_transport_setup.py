"""How a transport is made and what it answers, without a socket: its arguments, its observer, what it shares."""

import gc
import inspect
import logging
import re
import threading
from types import SimpleNamespace
from typing import get_type_hints
from weakref import finalize

import httpcore
import httpx
import pytest

from poolscope import InstrumentedSyncTransport, InstrumentedTransport
from poolscope import _contract as c
from poolscope import _setup as setup
from poolscope._seams import observer_of
from poolscope._seen import ENDED
from poolscope.sinks.opentelemetry import OpenTelemetrySink

MADE = pytest.mark.parametrize(
    ("kind", "default"),
    [(InstrumentedSyncTransport, httpx.HTTPTransport), (InstrumentedTransport, httpx.AsyncHTTPTransport)],
)
SECOND_TIME = "poolscope: pool 'shop' is instrumented already; a name, sinks or options given again are not used"


class Sink:
    """Keeps what it was attached to, and whether that was alive then."""

    def __init__(self):
        self.pools = []

    def attach(self, pool):
        self.pools.append((pool, pool.live))
        return {}


def bare(**options):
    """A transport of httpx's own; its context is not made again each time."""
    return httpx.HTTPTransport(verify=CONTEXT, **options)


CONTEXT = httpx.create_ssl_context(verify=False)


def refused(error, line):
    return pytest.raises(error, match=f"^{re.escape(line)}$")


@MADE
def test_a_transport_is_made_with_its_options_and_watched(kind, default):
    """Its limits, its colour, its bodies; its sink finds it alive."""
    sink, limits = Sink(), httpx.Limits(max_connections=3, max_keepalive_connections=2, keepalive_expiry=7.0)
    made = kind(name="shop", sinks=[sink], verify=CONTEXT, limits=limits)
    observer = made.observer
    assert type(made.wrapped) is default
    assert (made.wrapped._pool._max_connections, observer_of(made.wrapped._pool)) == (3, observer)
    assert (observer.name, observer.pool.max, observer.pool.idle_max, observer.keepalive_expiry) == ("shop", 3, 2, 7.0)
    assert (observer.pooled, observer.body, observer.at_entry) == (True, kind._body, False)
    assert observer.pool.seen.asynchronous is (kind is InstrumentedTransport)
    assert observer.pool.seen.file == __file__
    assert (sink.pools, made._owner) == ([(observer, True)], observer.own())
    seam = made.wrapped._pool.create_connection.__self__
    assert (seam.asynchronous, seam.unavailable) == (kind._asynchronous, httpcore.ConnectionNotAvailable)
    assert (made._pool, repr(made)) == (made.wrapped._pool, f"<{kind.__name__} {made.snapshot()}>")
    assert len(observer._subscriptions) == 1, "what is lost is logged"
    with pytest.raises(AttributeError, match=r"^_inner$"):
        _ = kind.__new__(kind).wrapped
    assert made.diagnose() == setup_findings(made)


def setup_findings(made):
    from poolscope.diagnosis._inside import diagnose

    return diagnose(made.observer)


def test_a_pool_without_a_name_is_named_after_its_caller():
    """And may be unlimited."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None)
    made = InstrumentedSyncTransport(bare(limits=limits), sinks=[])
    assert made.observer.name == f"{__name__}.{inspect.currentframe().f_code.co_name}"
    assert (made.observer.pool.max, made.observer.keepalive_expiry) == (c.UNLIMITED, None)


def test_without_sinks_there_is_opentelemetrys(monkeypatch):
    """Where none is wanted there is none."""
    assert [type(sink) for sink in setup._default_sinks()] == [OpenTelemetrySink]
    sink = Sink()
    monkeypatch.setattr(setup, "_default_sinks", lambda: [sink])
    InstrumentedSyncTransport(bare(), name="shop", sinks=[])
    assert sink.pools == []
    made = InstrumentedSyncTransport(bare(), name="shop")
    assert sink.pools == [(made.observer, True)]


@pytest.mark.parametrize(
    ("option", "value", "at_entry"),
    [("call_sites", True, True), ("reclaim", True, True), ("held_too_long_seconds", 3.0, False)],
)
def test_what_is_asked_of_diagnosis_reaches_it(option, value, at_entry):
    """Each under its own name."""
    made = InstrumentedSyncTransport(bare(), name="shop", sinks=[], **{option: value})
    assert made.observer.at_entry is at_entry
    with pytest.raises((TypeError, ValueError), match=f"^{option} takes"):
        InstrumentedSyncTransport(bare(), **{option: "a word"})


@pytest.mark.parametrize("name", ["", 7])
def test_a_name_is_a_string_that_is_not_empty(name):
    """What was given is told."""
    with refused(TypeError, f"name takes a string that is not empty, got {name!r}"):
        InstrumentedSyncTransport(bare(), name=name)


@pytest.mark.parametrize("char", ["\ud800", "\udce9", "\udfff"])
def test_a_name_is_text_that_an_exposition_can_hold(char):
    """Half a pair is none, such as a file name's byte that is not UTF-8; what stands beside those is."""
    with refused(ValueError, f"name takes text that UTF-8 can encode, as expositions are, got {'caf' + char!r}"):
        InstrumentedSyncTransport(bare(), name="caf" + char)
    for near in ("\ud7ff", "\ue000", "\u00e9", "\U0001f600"):
        assert InstrumentedSyncTransport(bare(), name=near, sinks=[]).observer.name == near


def test_two_threads_that_wrap_one_transport_share_its_observer(monkeypatch):
    """The second waits until the first has made it, owner, sinks and all."""
    inner, sink, others = bare(), Sink(), []

    def wrap():
        others.append(InstrumentedSyncTransport(inner, name="shop", sinks=None if others else [sink]))

    def watched(*args, **options):
        monkeypatch.setattr(setup, "watch", watch)
        thread = threading.Thread(target=wrap)
        thread.start()
        thread.join(0.2)
        threads.append(thread)
        watch(*args, **options)

    watch, threads = setup.watch, []
    monkeypatch.setattr(setup, "watch", watched)
    first = InstrumentedSyncTransport(inner, name="shop", sinks=[sink])
    threads[0].join(10)
    assert (others[0].observer, observer_of(inner._pool)) == (first.observer, first.observer)
    assert sink.pools == [(first.observer, True)]


def test_arguments_are_those_of_httpx_and_ours():
    """One that is neither is refused, and so is a transport with arguments to make one, or of another colour."""
    takes = ["name", "sinks", "call_sites", "held_too_long_seconds", "reclaim"]
    known = ", ".join([*takes, *inspect.signature(httpx.HTTPTransport).parameters])
    with refused(TypeError, f"InstrumentedSyncTransport got an unknown argument 'size'; it takes {known}"):
        InstrumentedSyncTransport(size=3)
    both = "InstrumentedSyncTransport takes a transport or the arguments to make one, got both: verify, http2"
    with refused(TypeError, both):
        InstrumentedSyncTransport(bare(), verify=CONTEXT, http2=False)
    first = (
        "InstrumentedSyncTransport takes the transport first, without a name: InstrumentedSyncTransport(transport, ...)"
    )
    with refused(TypeError, first):
        InstrumentedSyncTransport(transport=bare())
    wrong = "InstrumentedSyncTransport takes a transport that is an instance of httpx.BaseTransport, got"
    with refused(TypeError, f"{wrong} httpx.AsyncHTTPTransport"):
        InstrumentedSyncTransport(httpx.AsyncHTTPTransport(verify=CONTEXT))


@pytest.mark.parametrize("sinks", [7, [Sink], [object()], [SimpleNamespace(attach=1)]])
def test_sinks_are_objects_with_an_attach_method(sinks):
    """In a sequence."""
    line = (
        "sinks takes sinks, objects with an attach method, got"
        if sinks != 7
        else "sinks takes a sequence of sinks, got"
    )
    with refused(TypeError, f"{line} {sinks[0] if sinks != 7 else 7!r}"):
        InstrumentedSyncTransport(bare(), sinks=sinks)


def test_a_transport_whose_default_sink_is_refused_is_not_watched(monkeypatch):
    """Nor is its pool called by a name: the refusal comes first."""
    monkeypatch.setattr(setup, "_default_sinks", lambda: 1 / 0)
    inner = bare()
    before = set(vars(inner._pool))
    with pytest.raises(ZeroDivisionError):
        InstrumentedSyncTransport(inner, name="refused")
    assert (observer_of(inner._pool), set(vars(inner._pool))) == (None, before)


def test_the_annotations_of_a_transport_can_be_read():
    """By whoever makes one from its signature, as frameworks do that inject what a parameter's type says."""
    assert get_type_hints(InstrumentedTransport.__init__)["reclaim"] is bool


@pytest.mark.parametrize("again", ["transport", "pool"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, 0),
        ({"name": "shop"}, 0),
        ({"name": "other"}, 1),
        ({"sinks": []}, 1),
        ({"name": "shop", "sinks": []}, 1),
        ({"reclaim": True}, 1),
        ({"reclaim": False, "call_sites": True}, 0),  # as the first
        ({"held_too_long_seconds": 5.0}, 1),
    ],
)
def test_a_pool_is_instrumented_once(again, options, told, caplog):
    """What is there is shared, and keeps its name; a second one given is told of."""
    first = InstrumentedSyncTransport(bare(), name="shop", sinks=[], call_sites=True)
    second = InstrumentedSyncTransport(first if again == "transport" else first.wrapped, **options)
    assert (second.wrapped, second.observer, second._owner) == (first.wrapped, first.observer, first._owner)
    assert first.observer.outermost == (id(second) if again == "pool" else 0)
    assert [record.getMessage() for record in caplog.records] == [SECOND_TIME] * told
    InstrumentedSyncTransport(first.wrapped, **options)
    assert len(caplog.records) == told, "once a pool: there may be a client per request"


@pytest.mark.parametrize("held", [False, True])
def test_a_pool_whose_transports_are_gone_is_instrumented_anew(held):
    """With nothing open, its sinks have let it go. Where something is, who watched it goes on."""
    inner, sink = bare(), Sink()
    first = InstrumentedSyncTransport(inner, name="shop", sinks=[]).observer
    if held:
        first.apply(first.pool.reserve, b"http", b"shop", None, set())
    second = InstrumentedSyncTransport(inner, name="again", sinks=[sink]).observer
    assert (second is first, observer_of(inner._pool)) == (held, second)
    assert [pool for pool, _ in sink.pools] == ([] if held else [second])
    inner._pool.create_connection(httpcore.Origin(b"http", b"shop", 80))
    assert len(first.pool.slots.taken) == (2 if held else 0), "who watched it before is told no more"


def test_a_transport_without_a_pool_is_told_of_once_a_class(caplog, monkeypatch):
    """Its requests are measured whole."""
    monkeypatch.setattr(setup, "_told", set())

    class Other(httpx.MockTransport):
        pass

    for kind in (httpx.MockTransport, httpx.MockTransport, Other):
        made = InstrumentedSyncTransport(kind(len), name="shop", sinks=[])
        assert (made.observer.pooled, made.observer.plain, made.observer.pool.max) == (False, False, c.UNLIMITED)
    line = "has no connection pool that can be seen; only whole requests are measured"
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == [f"poolscope: MockTransport {line}", f"poolscope: Other {line}"]


def test_a_strangers_transport_may_call_a_pool_what_it_likes():
    """That is no pool of ours to refuse: whole requests are measured."""
    stranger = type("Stranger", (httpx.BaseTransport,), {"_pool": SimpleNamespace(connections=len)})()
    made = InstrumentedSyncTransport(stranger, sinks=[])
    assert made.observer.pooled is False
    made.let_go()
    made.let_go()


@pytest.mark.parametrize("version", ["9.9", None])
def test_a_pool_that_is_not_known_is_refused(version, monkeypatch):
    """By its class, or by what it lacks."""
    inner = bare()
    inner._pool = SimpleNamespace()
    line = "transport has a pool of types.SimpleNamespace, which is not one of httpcore"
    with refused(TypeError, line):
        InstrumentedSyncTransport(inner)
    inner = bare()
    del inner._pool._http1, inner._pool._http2
    if version is None:
        monkeypatch.delattr(httpcore, "__version__")
    else:
        monkeypatch.setattr(httpcore, "__version__", version)
    with refused(RuntimeError, f"httpcore {version or 'unknown'} is not supported: its pool has no _http1, _http2"):
        InstrumentedSyncTransport(inner)


def test_whoever_watches_hears_of_the_end(monkeypatch):
    """When the pool is collected, and when its last transport is; not at the end of the process."""
    collected = []
    monkeypatch.setattr(setup.Watch, "pool_collected", lambda watch: collected.append(watch._observer))
    gc.collect()  # those of other tests
    ENDED.clear()
    before = set(finalize._registry)
    made = InstrumentedSyncTransport(bare(), name="shop", sinks=[])
    observer = made.observer
    assert [one.atexit for one in set(finalize._registry) - before] == [False] * 3
    del made
    gc.collect()
    assert (collected, list(ENDED), observer.owned) == ([observer], [observer], False)
    ENDED.clear()


def test_closes_that_overlap_are_counted():
    """The pool is closed by us until the last is over."""
    made = InstrumentedSyncTransport(bare(), name="shop", sinks=[])
    made._closing()
    made._closing()
    assert made.observer.closing_pool == 2
    made._closed()
    assert (made.observer.closing_pool, made.observer.pool.live) == (1, False)
    made._closed()
    assert made.observer.closing_pool == 0


@pytest.mark.parametrize("timeout", ["a word", True, -1, float("nan"), None])
def test_a_deadline_takes_seconds(timeout):
    """None of them is one."""
    with refused(ValueError, f"timeout takes seconds, a number that is not negative, got {timeout!r}"):
        setup.deadline(timeout)


@pytest.mark.parametrize("timeout", [0, 0.5, 3])
def test_a_deadline_is_that_many_seconds_from_now(timeout, monkeypatch):
    """On the monotonic clock."""
    monkeypatch.setattr(setup, "time", SimpleNamespace(monotonic=lambda: 10.0))
    assert setup.deadline(timeout) == 10.0 + timeout

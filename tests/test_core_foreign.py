"""Whose instrumentation is there, by structure; who else is in a registry; how a collection lets others run."""

import asyncio
import sys
from types import SimpleNamespace

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from poolscope import _foreign
from poolscope.sinks import _rivals, _unhurried

THEIRS = "opentelemetry.instrumentation.httpx"


class Below:
    def handle(self):
        return "below"


def wrapping(inner):
    """A transport of theirs around another: as a subclass's module says."""

    def handle(self):
        return "theirs"

    return type("Theirs", (type("Base", (), {"__module__": THEIRS}),), {"handle": handle}), inner


def theirs_around(inner):
    kind, inner = wrapping(inner)
    made = kind()
    made._transport = inner
    return made


def patched(inner, *, through=True):
    """A function that wrapt wraps for them: the wrapper is theirs, or a partial of what is."""

    def wrapper():
        """Nothing: it is looked at alone."""

    wrapper.__module__ = THEIRS
    made = lambda: "patched"  # noqa: E731 - it needs attributes of its own
    made.__wrapped__ = inner
    made._self_wrapper = SimpleNamespace(func=wrapper) if through else wrapper
    return made


def test_theirs_is_there_once_it_is_loaded(monkeypatch):
    """Nothing of it is imported by us."""
    monkeypatch.setitem(sys.modules, THEIRS, SimpleNamespace())
    assert _foreign.present()
    monkeypatch.delitem(sys.modules, THEIRS)
    assert not _foreign.present()


def test_a_transport_is_theirs_by_its_class_or_a_base_of_it():
    """Not by its name."""
    assert _foreign.wraps(theirs_around(None))
    assert not _foreign.wraps(Below())
    assert not _foreign.wraps(type("Theirs", (), {"__module__": THEIRS + "2"})())


def called_from(*modules):
    """Ask who is around, from within functions of these modules, the innermost first."""
    names = {"ask": _foreign.around}
    ask = "ask()"
    for module in modules:
        space = {"__name__": module, **names}
        names = {"ask": eval(f"lambda: {ask}", space)}
    return names["ask"]()


@pytest.mark.parametrize(
    ("modules", "around"),
    [
        ((THEIRS,), True),
        (("mine", THEIRS), True),
        (("mine", "httpx._client", THEIRS), False),
        (("mine", "httpx2._client", THEIRS), False),
        (("mine", "httpx"), False),
        ((*["mine"] * 24, THEIRS), True),
        ((*["mine"] * 25, THEIRS), False),
    ],
)
def test_theirs_is_around_where_it_stands_between_us_and_the_client(modules, around):
    """Up to the client, and no further than transports are wrapped in transports."""
    assert called_from(*modules) is around


def test_the_end_of_the_stack_is_no_fault(monkeypatch):
    """A thread of one's own that calls the transport at once."""
    frame = SimpleNamespace(f_globals={}, f_back=SimpleNamespace(f_globals={"__name__": "mine"}, f_back=None))
    monkeypatch.setattr(_foreign, "sys", SimpleNamespace(_getframe=lambda depth: frame))
    assert _foreign.around() is False


@pytest.mark.parametrize("pass_all", [False, True])
def test_what_is_not_theirs_is_called_as_it_is(pass_all):
    """A method of another transport, a function, a callable object."""
    for handle in (Below().handle, lambda: None, Below(), patched(None)._self_wrapper):
        assert _foreign.inside(handle, pass_all=pass_all) == (False, handle)


@pytest.mark.parametrize("through", [False, True])
def test_of_several_inside_the_innermost_stays_or_none(through):
    """Where one is around us all are passed by; else one is left."""
    below = Below()
    inner = theirs_around(below)
    outer = theirs_around(inner)
    around_all = patched(outer.handle, through=through)
    assert _foreign.inside(around_all, pass_all=True) == (True, below.handle)
    assert _foreign.inside(around_all, pass_all=False) == (True, inner.handle)
    assert _foreign.inside(inner.handle, pass_all=False) == (True, inner.handle)
    alone = patched(below.handle, through=through)
    assert _foreign.inside(alone, pass_all=False) == (True, alone)
    assert _foreign.inside(alone, pass_all=True) == (True, below.handle)


def test_a_reader_of_a_provider_serves_the_registry_that_it_is_in():
    """Of the SDK's own provider, in older and newer places; no other registry, no provider of no SDK."""
    registry = CollectorRegistry()
    reader = PrometheusMetricReader()
    registry.register(reader._collector)
    provider = MeterProvider([reader])
    try:
        assert list(_rivals.readers_of(provider)) == [reader]
        assert _rivals.serves(provider, registry)
        assert not _rivals.serves(provider, CollectorRegistry())
        assert not _rivals.serves(provider, object())
        assert not _rivals.serves(object(), registry)
        old = SimpleNamespace(_sdk_config=SimpleNamespace(metric_readers=[reader]))
        new = SimpleNamespace(_metric_readers=[reader])
        for one in (old, new):
            assert list(_rivals.readers_of(one)) == [reader]
        other = SimpleNamespace(_metric_readers=[SimpleNamespace()])
        assert not _rivals.serves(other, registry)
        assert list(_rivals.readers_of(object())) == []
    finally:
        provider.shutdown()


class Clock:
    """A clock that goes on by a step each time that it is asked; a sleep takes as long as it was told, or longer."""

    def __init__(self, step, late=0.0):
        self.now, self.step, self.late, self.slept = 0.0, step, late, []

    def monotonic(self):
        self.now += self.step
        return self.now

    def sleep(self, seconds):
        self.slept.append((round(self.now, 6), seconds))
        self.now += seconds + self.late


def test_a_collection_rests_after_each_millisecond(monkeypatch):
    """As long as others let it wait it then works; every thing comes, in order."""
    assert (_unhurried._WORK_SECONDS, _unhurried._REST_SECONDS) == (0.001, 0.00005)
    monkeypatch.setattr(_unhurried, "_WORK_SECONDS", 1.0)
    monkeypatch.setattr(_unhurried, "_REST_SECONDS", 0.25)
    clock = Clock(0.5)
    monkeypatch.setattr(_unhurried, "time", clock)
    assert list(_unhurried.unhurried(range(8))) == list(range(8))
    assert clock.slept == [(2.0, 0.25), (4.25, 0.25)]
    busy = Clock(0.5, late=2.0)
    monkeypatch.setattr(_unhurried, "time", busy)
    assert list(_unhurried.unhurried(range(12))) == list(range(12))
    assert busy.slept == [(2.0, 0.25), (7.75, 0.25)]


def test_in_an_event_loops_own_thread_nothing_sleeps(monkeypatch):
    """It would stop the loop."""
    clock = Clock(1.0)
    monkeypatch.setattr(_unhurried, "time", clock)

    async def collect():
        return list(_unhurried.unhurried("abc"))

    assert asyncio.run(collect()) == ["a", "b", "c"]
    assert clock.slept == []

"""Which flavour it is, by where classes were defined; and a client instrumented in place, with its mounts."""

from types import ModuleType, SimpleNamespace

import httpcore
import httpx
import pytest

from poolscope import InstrumentedSyncTransport, InstrumentedTransport, instrument, uninstrument
from poolscope._flavour import flavour_of, root_of
from poolscope._instrument import transport_class_for
from poolscope._seams import observer_of


def module(name, version="0.28.1", *, pooled=True, versioned=True):
    """A module that looks like a flavour's: its classes say where they were defined."""
    made = ModuleType("renamed")
    made.AsyncBaseTransport = type("AsyncBaseTransport", (), {"__module__": f"{name}._transports"})
    if pooled:
        made.AsyncHTTPTransport = object
    if versioned:
        made.__version__ = version
    return made


def test_a_flavour_is_decided_by_where_its_classes_were_defined():
    """Not by the name of the import; its httpcore goes with it."""
    import httpcore2

    for name, version, core in (("httpx", "0.28.1", httpcore), ("httpx2", "2.16.2", httpcore2)):
        http = module(name, version)
        made = flavour_of(http)
        assert (made.name, made.http, made.core) == (name, http, core)
        assert made.owns(core.ConnectionPool())
        assert made.owns(type("Mine", (core.ConnectionPool,), {})())
        assert not made.owns(object())
    assert not flavour_of(module("httpx")).owns(httpcore2.ConnectionPool())
    assert root_of(httpx.Client) == "httpx"


@pytest.mark.parametrize(
    ("http", "found"),
    [
        (module("httpx", "1.0.dev3"), "httpx 1.0.dev3"),
        (module("httpx", "2.0"), "httpx 2.0"),
        (module("httpx", pooled=False), "httpx 0.28.1"),
        (module("httpx3", "3.0"), "httpx3 3.0"),
        (module("httpx3", versioned=False), "httpx3 unknown"),
    ],
)
def test_an_unknown_version_is_refused_with_what_was_found(http, found):
    """In one line that says what is supported."""
    supported = r"^poolscope supports httpx>=0\.25\.2,<1 and httpx2>=2; found "
    with pytest.raises(ImportError, match=f"{supported}{found}$"):
        flavour_of(http)


def test_a_version_that_starts_with_nothing_is_an_old_one():
    """As a development build may have it."""
    assert flavour_of(module("httpx", ".dev")).name == "httpx"


class Mine(httpx.Client):
    """A client of somebody's own."""


def test_a_client_has_the_class_of_its_flavour_and_colour():
    """A subclass has its base's; what is no client is told with what it is."""
    assert transport_class_for(httpx.AsyncClient()) is InstrumentedTransport
    assert transport_class_for(httpx.Client()) is transport_class_for(Mine()) is InstrumentedSyncTransport
    import httpx2

    assert transport_class_for(httpx2.Client()).__module__ == "poolscope.httpx2"
    alien = type("Client", (), {"__module__": "mine"})()
    for wrong in (alien, httpx.Response(200), None, SimpleNamespace()):
        for ask in (instrument, uninstrument):
            with pytest.raises(TypeError) as caught:
                ask(wrong)
            assert str(caught.value) == f"client takes an httpx or httpx2 Client or AsyncClient, got {wrong!r}"


@pytest.mark.parametrize("name", ["billing", None])
def test_a_client_and_its_mounts_are_instrumented_in_place_and_given_back(name):
    """Each with a name of its own, with what was asked for; a second time changes nothing, either way."""
    mount = httpx.HTTPTransport()
    client = httpx.Client(mounts={"http://shop": mount, "all://none": None})
    own, heard = client._transport, []
    before = set(vars(own._pool))
    sink = SimpleNamespace(attach=lambda pool: heard.append(pool) or {})
    options = {"call_sites": True, "held_too_long_seconds": 7.0, "reclaim": True}
    for _ in range(2):
        assert instrument(client, name=name, sinks=[sink], **options) is client
    assert set(vars(own._pool)) > before
    mounted = next(found for found in client._mounts.values() if found is not None)
    assert (client._transport.wrapped, mounted.wrapped) == (own, mount)
    for one, called in ((client._transport, "billing"), (mounted, "billing http://shop")):
        pool = one.observer.pool
        assert name is None or pool.name == called
        assert (pool.seen.file, pool.losses.held_too_long_seconds) == ("", 7.0)
        assert one.observer.at_entry is True
    for _ in range(2):
        assert uninstrument(client) is client
    assert (client._transport, set(vars(own._pool)), len(heard)) == (own, before, 2)
    assert mount in client._mounts.values()
    plain = instrument(httpx.Client(), name="plain")
    assert plain._transport.observer.pool.losses.held_too_long_seconds is None
    assert plain._transport.observer.at_entry is False
    for one in (client, plain):
        one.close()


def test_a_transport_that_is_mounted_at_two_patterns_is_wrapped_once(caplog):
    """Under the name of the first; nothing is told of, the second time neither. uninstrument gives both back."""
    mount = httpx.HTTPTransport()
    client = httpx.Client(mounts={"http://shop": mount, "http://bank": mount})
    instrument(instrument(client, name="shop", sinks=[]), name="shop")
    first, second = client._mounts.values()
    assert first is second
    assert (first.wrapped, first.observer.name.rpartition(" ")[0], caplog.records) == (mount, "shop", [])
    uninstrument(client)
    assert set(client._mounts.values()) == {mount}
    assert observer_of(mount._pool) is None
    client.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, 0),
        ({"name": "shop"}, 0),
        ({"name": "bank"}, 1),
        ({"sinks": []}, 1),
        ({"call_sites": True}, 1),
        ({"held_too_long_seconds": 5}, 1),
        ({"reclaim": True}, 1),
    ],
)
def test_a_name_and_sinks_for_a_client_that_is_instrumented_are_told_of(options, told, caplog):
    """As the constructor does, once a pool; where somebody passed `transport=`, that stays known."""
    given = InstrumentedSyncTransport(name="shop", sinks=[])
    client = httpx.Client(transport=given)
    for _ in range(2):
        instrument(client, **options)
    line = "poolscope: pool 'shop' is instrumented already; a name, sinks or options given again are not used"
    assert [record.getMessage() for record in caplog.records] == [line] * told
    assert (client._transport, given.observer.pool.seen.file) == (given, __file__)
    client.close()


def test_a_client_with_a_transport_that_is_refused_stays_as_it_is():
    """Its other transports, and their pools, too."""
    mount = httpx.HTTPTransport()
    real, mount._pool = mount._pool, SimpleNamespace()
    client = httpx.Client(mounts={"http://shop": mount})
    own = client._transport
    before = set(vars(own._pool))
    with pytest.raises(TypeError, match="which is not one of httpcore"):
        instrument(client)
    assert (client._transport, mount in client._mounts.values()) == (own, True)
    assert set(vars(own._pool)) == before
    mount._pool = real
    client.close()


def test_a_transport_of_two_clients_stays_instrumented_until_both_have_it_back():
    """Also where the first of them goes on in the midst of a request, with its transport in hand."""
    shared = httpx.HTTPTransport()
    before = set(vars(shared._pool))
    one, other = (instrument(httpx.Client(transport=shared), sinks=[]) for _ in range(2))
    in_hand = one._transport
    uninstrument(one)
    assert (one._transport, set(vars(shared._pool)) > before) == (shared, True)
    assert observer_of(shared._pool) is other._transport.observer is in_hand.observer
    uninstrument(other)
    assert set(vars(shared._pool)) == before
    shared.close()

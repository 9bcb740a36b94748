"""Instruments, in place, a client that someone else made: its transport and every mount.

This keeps the client's own limits, certificates, HTTP/2 and proxy settings, which `transport=` would make void.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, TypeVar

from poolscope._flavour import NAMES, root_of
from poolscope._seams import transports_of
from poolscope._setup import Setup
from poolscope._subscription import Sink
from poolscope.diagnosis._watch import Options

Client = TypeVar("Client")

_CLASSES = {"AsyncClient": "InstrumentedTransport", "Client": "InstrumentedSyncTransport"}


def instrument(
    client: Client,
    *,
    name: str | None = None,
    sinks: Sequence[Sink] | None = None,
    call_sites: bool = False,
    held_too_long_seconds: float | None = None,
    reclaim: bool = False,
) -> Client:
    """Instrument a client in place and give it back. A second time changes nothing; one that is refused stays as it is.

    A name, sinks or options for a pool that is instrumented already are not used, which is logged.

    client: an httpx or httpx2 Client or AsyncClient, or an instance of a subclass.
    name: the name of its pool; each mount's pool is called `name` and the mount's pattern.
    sinks, call_sites, held_too_long_seconds, reclaim: as `InstrumentedTransport` takes them.

    Connections that the client already has are counted from their next response on, as reused and without a wait.
    Raises TypeError where the client is not one, and what `InstrumentedTransport` raises.
    """
    transport_class = transport_class_for(client)
    asked = {"call_sites": call_sites, "held_too_long_seconds": held_too_long_seconds, "reclaim": reclaim}
    options = Options(call_sites, held_too_long_seconds, reclaim)
    made: dict[int, Any] = {}
    try:
        for transport, own_name in _named(client, name):
            if isinstance(transport, Setup):
                transport.share(own_name, sinks, options)
            else:
                made[id(transport)] = transport_class(transport, name=own_name, sinks=sinks, **asked)
    except BaseException:
        for ours in made.values():
            ours.let_go()
        raise
    for transport, _, put in transports_of(client):
        if id(transport) in made:
            ours = made[id(transport)]
            ours.observer.pool.seen.file = ""  # nobody passed `transport=` there
            put(ours)
    return client


def _named(client: object, name: str | None) -> Iterator[tuple[Any, str | None]]:
    """Give each transport once, though it may be mounted at several patterns, with the name of its pool."""
    seen = set()
    for transport, pattern, _ in transports_of(client):
        if id(transport) not in seen:
            seen.add(id(transport))
            yield transport, name if name is None or not pattern else f"{name} {pattern}"


def uninstrument(client: Client) -> Client:
    """Give a client its own transports back. What runs, ends uninstrumented. A second time changes nothing.

    A transport that another instrumented client has, too, stays instrumented for that one.

    Raises TypeError where the client is not one.
    """
    transport_class_for(client)
    for transport, _, put in transports_of(client):
        if isinstance(transport, Setup):
            put(transport.wrapped)
            transport.let_go()
    return client


def transport_class_for(client: object) -> Any:
    """Give the class of ours that instruments this client's transports; TypeError where it is no client."""
    for cls in type(client).__mro__:
        if root_of(cls) in NAMES and cls.__name__ in _CLASSES:
            return getattr(import_module(f"poolscope.{root_of(cls)}"), _CLASSES[cls.__name__])
    raise TypeError(f"client takes an httpx or httpx2 Client or AsyncClient, got {client!r}")

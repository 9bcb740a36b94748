"""Judges a client as a whole: the pools of its instrumented transports, and what goes past them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from poolscope._instrument import transport_class_for
from poolscope._seams import pool_of, transports_of
from poolscope._setup import Setup

if TYPE_CHECKING:
    from poolscope.diagnosis._findings import Finding


def diagnose(client: Any) -> "list[Finding]":
    """Give what is wrong with a client's pools and with its use of them, the most severe first.

    client: an httpx or httpx2 Client or AsyncClient with a transport of ours.

    Raises TypeError where it is no client, ValueError where none of its transports is instrumented.
    """
    from poolscope.diagnosis._findings import most_severe_first  # noqa: PLC0415 - only for those who ask
    from poolscope.diagnosis._inside import diagnose as judge  # noqa: PLC0415

    transport_class_for(client)
    transports = [transport for transport, _, _ in transports_of(client)]
    observers = list(dict.fromkeys(one.observer for one in transports if isinstance(one, Setup)))
    if not observers:
        raise ValueError(
            f"client has no instrumented transport, call poolscope.instrument(client) first, got {client!r}"
        )
    ignored = _ignored(client) if isinstance(transports[0], Setup) else ()
    found = judge(observers[0], ignored)
    for observer in observers[1:]:
        found += judge(observer)
    return most_severe_first(found)


def _ignored(client: Any) -> Iterator[str]:
    """Give what the client was told and its own transport, which is instrumented, does not hear of."""
    (own, _, _), *mounted = transports_of(client)
    for transport, pattern, _ in mounted:
        if not isinstance(transport, Setup) and pool_of(transport) is not None:
            yield f"what is mounted at {pattern} goes past the instrumented transport"
    proxies = getproxies()
    named = [f"{name}_proxy" for name in ("http", "https", "all") if name in proxies]
    has_own = "Proxy" in type(pool_of(own.wrapped)).__name__
    if client.trust_env and named and proxies.get("no") != "*" and not mounted and not has_own:
        yield f"the proxy environment ({', '.join(named)})"

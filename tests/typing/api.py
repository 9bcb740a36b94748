"""The public API as its users' type checkers see it: mypy and pyright, both strict, have nothing to say here.

Where a comment ignores an error, the error must be there: both checkers report an ignore that is not needed.
Checked by tests/test_typing.py against the installed wheel, never run.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_type

import httpx
import httpx2
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider
from prometheus_client import CollectorRegistry

import poolscope.httpx2
from poolscope import (
    Finding,
    HeldConnection,
    Holders,
    InstrumentedSyncTransport,
    InstrumentedTransport,
    LoggingSink,
    ObservedPool,
    OpenTelemetrySink,
    OriginSnapshot,
    PoolSnapshot,
    PrometheusSink,
    Sink,
    Verdict,
    diagnose,
    instrument,
    uninstrument,
    verdict,
)


def sinks(registry: CollectorRegistry, meters: MeterProvider, tracers: TracerProvider) -> list[Sink]:
    """Every sink of ours is a Sink."""
    return [
        PrometheusSink(),
        PrometheusSink(registry, opt_in=True),
        OpenTelemetrySink(),
        OpenTelemetrySink(meters, tracers, opt_in=True, spans="events", client_span_ends="headers"),
        OpenTelemetrySink(redact_query_keys=["token"]),
        LoggingSink(),
        LoggingSink(logging.getLogger("pools"), slow_seconds=0.5),
    ]


class Own:
    """A sink of one's own is one by its shape."""

    def attach(self, pool: ObservedPool, /) -> Mapping[type[Any], Callable[[Any], None]]:
        assert_type(pool.name, str)
        assert_type(pool.in_use, int)
        assert_type(pool.snapshot(), PoolSnapshot)
        return {}


class Shapeless:
    """Not a sink."""


def sync_transport() -> httpx.BaseTransport:
    """Fits where httpx takes a transport, as does one made around another."""
    transport = InstrumentedSyncTransport(name="billing", sinks=[Own()], limits=httpx.Limits(max_connections=2))
    InstrumentedSyncTransport(httpx.HTTPTransport(http2=True), name="billing", held_too_long_seconds=5, reclaim=True)
    assert_type(transport.snapshot(), PoolSnapshot)
    assert_type(transport.drain(1.5), PoolSnapshot)
    with httpx.Client(transport=transport) as client:
        assert_type(instrument(client, name="billing", sinks=[PrometheusSink()]), httpx.Client)
        assert_type(uninstrument(client), httpx.Client)
    return transport


async def async_transport() -> httpx.AsyncBaseTransport:
    """The other colour."""
    transport = InstrumentedTransport(name="billing", sinks=None, http2=True, retries=1)
    async with transport as entered:
        assert_type(entered, InstrumentedTransport)
    assert_type(transport.snapshot(), PoolSnapshot)
    assert_type(await transport.drain(1), PoolSnapshot)
    async with httpx.AsyncClient(transport=transport) as client:
        assert_type(instrument(client), httpx.AsyncClient)
    return transport


async def other_flavour() -> tuple[httpx2.BaseTransport, httpx2.AsyncBaseTransport]:
    """The same two names, of the other base classes."""
    transport = poolscope.httpx2.InstrumentedTransport(sinks=[Own()], limits=httpx2.Limits(max_connections=2))
    assert_type(await transport.drain(1), PoolSnapshot)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert_type(instrument(client), httpx2.AsyncClient)
    return poolscope.httpx2.InstrumentedSyncTransport(), transport


def snapshots(one: PoolSnapshot) -> None:
    """Every field has a type, and none can be set."""
    assert_type(one.name, str)
    assert_type(one.max_connections, int | None)
    assert_type(one.max_idle_connections, int | None)
    assert_type(one.keepalive_expiry_seconds, float | None)
    assert_type((one.in_use, one.active, one.idle, one.establishing, one.waiting), tuple[int, int, int, int, int])
    assert_type((one.at_rest, one.running), tuple[bool, int])
    assert_type(one.origins, tuple[OriginSnapshot, ...])
    assert_type((one.held, one.lost), tuple[tuple[HeldConnection, ...], tuple[HeldConnection, ...]])
    for held in one.held:
        assert_type((held.connection_id, held.age_seconds), tuple[int, float])
        assert_type((held.phase, held.place, held.runner, held.trace_id), tuple[str, str, str, str])
    for origin in one.origins:
        assert_type((origin.address, origin.port, origin.waiting), tuple[str, str, int])
    one.name = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def findings(client: httpx.Client) -> None:
    """What is found has types, down to the words that a severity may be."""
    assert_type(diagnose(client), list[Finding])
    for one in InstrumentedTransport().diagnose():
        assert_type((one.code, one.pool, one.says, one.fix, one.url), tuple[str, str, str, str, str])
        assert_type(one.severity, Literal["info", "warning", "error"])
        assert_type(one.evidence, Mapping[str, float | str])


def verdicts(client: httpx.Client) -> None:
    """Why a PoolTimeout happened, if it was one of ours."""
    try:
        client.get("http://127.0.0.1:8000/")
    except httpx.PoolTimeout as exc:
        found = verdict(exc)
        assert_type(found, Verdict | None)
        if found is not None:
            assert_type((found.cause, found.origin, found.waited_seconds), tuple[str, str, float])
            assert_type(found.holders, tuple[Holders, ...])
            assert_type(found.oldest, tuple[HeldConnection, ...])
            assert_type(found.as_dict(), dict[str, Any])


def mistakes(client: httpx.Client) -> None:
    """What a checker must refuse."""
    InstrumentedTransport(limit=httpx.Limits())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    InstrumentedTransport(limits=100)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    InstrumentedTransport().snapshott()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    InstrumentedTransport(http2="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    InstrumentedTransport(sinks=[Shapeless()])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    InstrumentedTransport(name=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    OpenTelemetrySink(spans="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    instrument(client, sinks=PrometheusSink())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    httpx.Client(transport=InstrumentedTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    poolscope.InstrumentedClient()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

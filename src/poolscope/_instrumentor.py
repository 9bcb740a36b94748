"""Instruments every client that a process makes, for `opentelemetry-instrument`: no line of the program changes.

1. A flavour is touched when the program imports it, never before.
2. A client is instrumented when it has been made, by itself or as a subclass; one that fails to be stays as it is.

Loaded by OpenTelemetry's entry point alone, so its instrumentation package is there.
"""

import logging
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any
from weakref import WeakSet

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import unwrap
from wrapt import register_post_import_hook, wrap_function_wrapper

from poolscope._instrument import instrument
from poolscope._seams import transports_of
from poolscope._setup import Setup
from poolscope.sinks.opentelemetry import OpenTelemetrySink

logger = logging.getLogger("poolscope")

_FLAVOURS = ("httpx", "httpx2")
_CLIENTS = ("Client", "AsyncClient")
_told: WeakSet[type] = WeakSet()
"""The classes of transports, one of which could not be instrumented."""


class PoolscopeInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments clients of httpx and httpx2, made from now on.

    instrument() takes the arguments of `OpenTelemetrySink`, such as meter_provider and tracer_provider.
    """

    _wrapped: set[str]
    _sink: OpenTelemetrySink | None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Need nothing: whichever flavour is there."""
        return ()

    def _instrument(self, **options: Any) -> None:
        sink = OpenTelemetrySink(**options)
        self._wrapped = set()
        self._sink = sink
        for flavour in _FLAVOURS:
            register_post_import_hook(lambda module: self._wrap(module.__name__, sink), flavour)

    def _uninstrument(self, **_: Any) -> None:
        self._sink = None
        for flavour in self._wrapped:
            for client in _CLIENTS:
                unwrap(getattr(import_module(flavour), client), "__init__")

    def _wrap(self, flavour: str, sink: OpenTelemetrySink) -> None:
        if sink is self._sink and flavour not in self._wrapped:  # what waits for an import may be of a time before
            self._wrapped.add(flavour)
            for client in _CLIENTS:
                wrap_function_wrapper(flavour, f"{client}.__init__", _after(sink))


def _after(sink: OpenTelemetrySink) -> Callable[..., None]:
    def make(init: Any, client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        init(*args, **options)
        kinds = {type(client)}
        try:
            transports = [transport for transport, _, _ in transports_of(client)]
            kinds = {type(transport) for transport in transports}
            if not all(isinstance(transport, Setup) for transport in transports):  # else it has sinks of its own
                instrument(client, sinks=[sink])
        except Exception:
            if not kinds <= set(_told):  # there may be a client per request
                logger.exception("poolscope: %r could not be instrumented", client)
            _told.update(kinds)

    return make

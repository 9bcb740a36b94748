"""Instruments every client that a process makes, for `opentelemetry-instrument`: no line of the program changes.

1. A flavour is touched when the program imports it, never before.
2. A client is instrumented when it has been made, by itself or as a subclass; one that fails to be stays as it is.

Loaded by OpenTelemetry's entry point alone, so its instrumentation package is there.
"""

import logging
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import unwrap
from wrapt import register_post_import_hook, wrap_function_wrapper

from poolscope._instrument import instrument
from poolscope.sinks.opentelemetry import OpenTelemetrySink

logger = logging.getLogger("poolscope")

_FLAVOURS = ("httpx", "httpx2")
_CLIENTS = ("Client", "AsyncClient")


class PoolscopeInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments clients of httpx and httpx2, made from now on.

    instrument() takes the arguments of `OpenTelemetrySink`, such as meter_provider and tracer_provider.
    """

    _wrapped: set[str]

    def instrumentation_dependencies(self) -> Collection[str]:
        """Need nothing: whichever flavour is there."""
        return ()

    def _instrument(self, **options: Any) -> None:
        sink = OpenTelemetrySink(**options)
        self._wrapped = set()
        self._active = True
        for flavour in _FLAVOURS:
            register_post_import_hook(lambda module: self._wrap(module.__name__, sink), flavour)

    def _uninstrument(self, **_: Any) -> None:
        self._active = False
        for flavour in self._wrapped:
            for client in _CLIENTS:
                unwrap(getattr(import_module(flavour), client), "__init__")

    def _wrap(self, flavour: str, sink: OpenTelemetrySink) -> None:
        if self._active and flavour not in self._wrapped:
            self._wrapped.add(flavour)
            for client in _CLIENTS:
                wrap_function_wrapper(flavour, f"{client}.__init__", _after(sink))


def _after(sink: OpenTelemetrySink) -> Callable[..., None]:
    def make(init: Any, client: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        init(*args, **options)
        try:
            instrument(client, sinks=[sink])
        except Exception:
            logger.exception("poolscope: %r could not be instrumented", client)

    return make

"""Which meter provider is served by what: each has its metrics once, however many sinks name it.

A provider is held weakly and known by identity: one may be a dataclass, which has no hash.
"""

from typing import Any, TypeVar
from weakref import ref

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider

Served = TypeVar("Served")

_served: list[tuple["ref[MeterProvider]", Any]] = []


def serve(provider: MeterProvider, served: Served) -> Served:
    """Note what serves a provider from now on, for as long as that lives."""
    _served[:] = [*(known for known in _served if known[0]() is not None), (ref(provider), served)]
    return served


def server_of(provider: MeterProvider) -> Any:
    """Give what serves a provider, also where it was set up for the placeholder; None where nothing does."""
    return next((served for known, served in _alive() if known is provider or _resolved(known) is provider), None)


def in_use() -> list[MeterProvider]:
    """Give the meter providers that are served."""
    return [_resolved(provider) for provider, _ in _alive()]


def _alive() -> list[tuple[MeterProvider, Any]]:
    found = [(provider(), served) for provider, served in _served.copy()]
    return [(provider, served) for provider, served in found if provider is not None]


def _resolved(provider: MeterProvider) -> MeterProvider:
    """Give the provider that the API's placeholder stands for by now."""
    return metrics.get_meter_provider() if type(provider).__name__ == "_ProxyMeterProvider" else provider

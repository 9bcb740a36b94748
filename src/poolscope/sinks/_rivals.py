"""Whether two sinks would put the same metrics into one Prometheus registry: one set of series, never two.

Our native collector and OpenTelemetry's Prometheus reader can stand in one registry, each fed by a sink of ours. They
look for each other here, in either order. Two of a kind are one, as the first was made.
"""

import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from weakref import WeakSet

logger = logging.getLogger("poolscope")

MESSAGE = (
    "this registry would get every metric twice: from PrometheusSink and, through its Prometheus reader, from "
    "OpenTelemetrySink; use one of them, or two registries"
)

native_registries: "WeakSet[Any]" = WeakSet()
"""Registries that a PrometheusSink is in."""


@lru_cache
def tell_opt_in_is_late(sink: str) -> None:
    """Log, once a sink, that its opt-in histograms stay off. sink: its `repr`."""
    logger.warning("poolscope: %s was made before without opt_in=True, which stays so: give it to the first", sink)


def readers_of(meter_provider: Any) -> Iterable[Any]:
    """Give the metric readers of an SDK's meter provider; none where it is no SDK's. Newer SDKs keep them elsewhere."""
    config = getattr(meter_provider, "_sdk_config", None)
    return (*getattr(meter_provider, "_metric_readers", ()), *getattr(config, "metric_readers", ()))


def serves(meter_provider: Any, registry: Any) -> bool:
    """Whether a Prometheus reader of this provider is in this registry."""
    return any(collects(registry, getattr(reader, "_collector", None)) for reader in readers_of(meter_provider))


def collects(registry: Any, collector: Any) -> bool:
    """Whether this collector is in this registry."""
    return collector in getattr(registry, "_collector_to_names", {})

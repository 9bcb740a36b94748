"""Two ways to expose the same numbers, and how they are compared: sample by sample."""

from collections import defaultdict
from inspect import signature

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from observing import Exposition, scrape
from poolscope import OpenTelemetrySink, PrometheusSink


class Both:
    """A native sink and OpenTelemetry's, the second through OpenTelemetry's own reader into a registry of its own."""

    def __init__(self, **options):
        self.native_registry = CollectorRegistry()
        self.reader_registry = CollectorRegistry()
        self.reader = reader_in(self.reader_registry)
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self.sinks = [PrometheusSink(self.native_registry, **options), OpenTelemetrySink(self.provider, **options)]

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.provider.shutdown()

    def native(self) -> Exposition:
        return scrape(self.native_registry)

    def reading(self) -> Exposition:
        return scrape(self.reader_registry)


def reader_in(registry: CollectorRegistry) -> PrometheusMetricReader:
    """Give a reader in this registry. Old ones know the global registry alone."""
    if "registry" in signature(PrometheusMetricReader).parameters:
        return PrometheusMetricReader(registry=registry)
    reader = PrometheusMetricReader()
    REGISTRY.unregister(reader._collector)
    registry.register(reader._collector)
    reader.shutdown = lambda *args, **options: registry.unregister(reader._collector)
    return reader


def parts(seen: Exposition) -> tuple[dict, dict]:
    """Give what is compared: each family's head, and each sample's value by its name and labels."""
    heads, samples = {}, {}
    filled = defaultdict(float)
    for family in text_string_to_metric_families(seen.text):
        if family.name in {"target", "target_info"}:
            continue
        for name, labels, value, *_ in family.samples:
            if name.endswith("_created"):
                continue
            own = frozenset((k, v) for k, v in labels.items() if not k.startswith("otel_scope_"))
            assert (name, own) not in samples, f"twice: {name} {dict(own)}"
            samples[name, own] = value
            if name == family.name + "_count":
                filled[family.name, own] = value
        heads[family.name] = (family.type, family.documentation)
    empty = {at for at, count in filled.items() if not count}
    kept = {}
    for (name, own), value in samples.items():
        without_le = frozenset((k, v) for k, v in own if k != "le")
        family = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        if (family, without_le) not in empty:
            kept[name, own] = value
    named = {name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for name, _ in kept}
    return {name: head for name, head in heads.items() if named & {name, name + "_total"}}, kept


def differences(one: Exposition, other: Exposition) -> list[str]:
    """Give every difference; sums of floats may differ in the order they were added."""
    heads, samples = parts(one)
    other_heads, other_samples = parts(other)
    wrong = [
        f"head of {name}: {heads.get(name)} != {other_heads.get(name)}"
        for name in heads.keys() | other_heads.keys()
        if heads.get(name) != other_heads.get(name)
    ]
    for at in samples.keys() | other_samples.keys():
        a, b = samples.get(at), other_samples.get(at)
        if a is None or b is None or abs(a - b) > 1e-9 * max(abs(a), 1e-3):
            wrong.append(f"{at[0]} {dict(at[1])}: {a} != {b}")
    return sorted(wrong)

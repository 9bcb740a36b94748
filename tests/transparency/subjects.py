"""What is compared: the bare transport, and it wrapped as users wrap it."""

from importlib import import_module


def bare(run, transport):
    """The transport as httpx makes it."""
    return transport


def instrumented(run):
    """The class under test, of the run's flavour and colour."""
    module = import_module(f"poolscope.{run.flavour.name}")
    return module.InstrumentedTransport if run.is_async else module.InstrumentedSyncTransport


def without_sinks(run, transport):
    """Wrapped, and telling nobody."""
    return instrumented(run)(transport, sinks=[])


def with_sink(run, transport):
    """Wrapped, and telling Prometheus."""
    from prometheus_client import CollectorRegistry

    from poolscope import PrometheusSink

    return instrumented(run)(transport, name="tests", sinks=[PrometheusSink(registry=CollectorRegistry())])

"""No line of code: programs run unchanged under `opentelemetry-instrument`, their spans received over OTLP/HTTP."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from weakref import WeakSet

import pytest

from driving import kits
from harness import Server
from otlp import Receiver, misplaced
from poolscope import _contract as c
from poolscope._instrumentor import PoolscopeInstrumentor
from spanning import SETUP, SOCKET, tracing

HERE = Path(__file__).parent / "otlp"


def run_instrumented(receiver, flavour, colour, *urls, without=""):
    """Run the program; give what it printed."""
    command = [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, HERE / "program.py"]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("OTEL_")},
        "PYTHONPATH": str(HERE),  # where the configurator's entry point is
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_METRICS_EXPORTER": "otlp_proto_http",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": without,
    }
    done = subprocess.run(
        [*command, flavour, colour, *urls], capture_output=True, text=True, timeout=50, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("flavour", "colour", "without", "whose"),
    [
        ("httpx", "async", "", "opentelemetry.instrumentation.httpx"),
        ("httpx", "sync", "httpx,httpx2", "poolscope"),
        ("httpx2", "async", "httpx,httpx2", "poolscope"),
        ("httpx2", "sync", "", "opentelemetry.instrumentation.httpx"),
    ],
)
def test_a_program_run_under_opentelemetry_instrument_sends_its_spans_and_metrics(flavour, colour, without, whose):
    """With OpenTelemetry's own instrumentation and without it: one client span each, the set-up under the first."""
    with Receiver() as receiver, Server() as server:
        printed = run_instrumented(receiver, flavour, colour, server.url("/1"), server.url("/2"), without=without)
        assert printed[:2] == ["ok", "ok"]
        tree = receiver.tree
        assert misplaced(tree) == []
        assert [span.scope for span in tree.clients] == [whose] * 2
        assert [tree.shape(span) for span in tree.clients] == [{SETUP: {SOCKET: {}}}, {}]
        assert tree.clients[0].attributes[c.POOL].startswith("__main__")
        (opened,) = [point for point in receiver.points(c.OPENED.name) if point.as_int]
        assert opened.as_int == 1
        durations = receiver.points("http.client.request.duration")
        assert [point.count for point in durations] == [2]


def test_a_flavour_that_the_program_does_not_import_is_not_imported():
    """OpenTelemetry's own instrumentation imports both; without it the program has what it asked for."""
    with Receiver() as receiver, Server() as server:
        for flavour in ("httpx", "httpx2"):
            printed = run_instrumented(receiver, flavour, "sync", server.url(), without="httpx,httpx2")
            assert printed == ["ok", flavour]


@kits(colours=["asyncio", "sync"])
def test_clients_made_while_instrumented_are_and_others_are_not(kit):
    """Subclasses and mounts too; what was made stays instrumented, what comes after `uninstrument` is not."""
    with tracing() as tracer:
        instrumentor = PoolscopeInstrumentor()
        client_class = kit.client_class  # before the instrumentor puts its own in the place

        class Mine(client_class):
            pass

        instrumentor.instrument(tracer_provider=tracer.provider, skip_dep_check=True)
        try:
            client = Mine(verify=False, mounts={"https://": client_class(verify=False)._transport.wrapped})
            assert hasattr(client._transport, "observer")
            assert all(hasattr(transport, "observer") for transport in client._mounts.values())
        finally:
            instrumentor.uninstrument()
        assert not hasattr(client_class(verify=False)._transport, "observer")


def test_a_flavour_imported_after_uninstrument_is_left_alone():
    """And instrumenting anew takes it in, once."""
    code = """
        from poolscope._instrumentor import PoolscopeInstrumentor
        PoolscopeInstrumentor().instrument(skip_dep_check=True)
        PoolscopeInstrumentor().uninstrument()
        import httpx
        print(hasattr(httpx.Client.__init__, "__wrapped__"))
        PoolscopeInstrumentor().instrument(skip_dep_check=True)
        print(hasattr(httpx.Client.__init__, "__wrapped__"), hasattr(httpx.Client.__init__.__wrapped__, "__wrapped__"))
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout.split(), done.stderr) == (["False", "True", "False"], "")


def test_a_flavour_imported_after_a_second_instrument_has_the_second_ones_sink():
    """What the first one left to be done at the import is not done any more."""
    code = """
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from poolscope._instrumentor import PoolscopeInstrumentor
        readers = [InMemoryMetricReader(), InMemoryMetricReader()]
        for reader in readers:
            PoolscopeInstrumentor().uninstrument()
            PoolscopeInstrumentor().instrument(meter_provider=MeterProvider([reader]), skip_dep_check=True)
        import httpx
        client = httpx.Client()
        print(*[bool(reader.get_metrics_data()) for reader in readers])
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout.split() == ["False", "True"], done.stderr


@kits(flavours=["httpx"], colours=["sync"])
def test_a_client_that_cannot_be_instrumented_works_as_it_is(kit, caplog, monkeypatch):
    """The fault is logged, and the program has its client."""
    with tracing() as tracer, Server() as server:

        def broken(*args, **options):
            raise RuntimeError("planted")

        monkeypatch.setattr("poolscope._instrumentor.instrument", broken)
        monkeypatch.setattr("poolscope._instrumentor._told", WeakSet())
        instrumentor = PoolscopeInstrumentor()
        instrumentor.instrument(tracer_provider=tracer.provider, skip_dep_check=True)
        try:
            with kit.http.Client(verify=False) as client:
                assert client.get(server.url()).text == "ok"
        finally:
            instrumentor.uninstrument()
        assert [record.exc_info[0] for record in caplog.records if record.name == "poolscope"] == [RuntimeError]

"""Hostile input: hosts that were made to hurt, hosts without end, and secrets, which must come out nowhere."""

import gc
import importlib
import logging
from contextlib import suppress
from types import SimpleNamespace

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import poolscope
from flavours import FLAVOURS
from harness import HttpProxy, Server, refused_port
from observing import imbalances, scrape
from poolscope import LoggingSink, OpenTelemetrySink, PrometheusSink
from poolscope import _contract as c
from poolscope._origins import MAX_HOST_LENGTH, MAX_PER_POOL
from poolscope.cli._app import run
from property.network import Memory, SyncNetwork

ADDRESS = c.prometheus_label(c.ADDRESS)
SECRET = "canary7f3a"
HOSTS = {
    "plain": (b"shop.example", "shop.example"),
    "punycode": (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
    "IPv6": (b"2001:db8::1", "2001:db8::1"),
    "as long as a name may be": (b"a" * MAX_HOST_LENGTH, "a" * MAX_HOST_LENGTH),
    "longer": (b"a" * (MAX_HOST_LENGTH + 1), c.OTHER),
    "10 KiB": (b"a" * 10_240, c.OTHER),
    "a newline": (b'x"} 1\nfoo{a="', c.OTHER),
    "escape sequences": (b"\x1b[31mred\x07", c.OTHER),
    "NUL": (b"a\x00b", c.OTHER),
    "quotes and backslashes": (b'a"b\\c', 'a"b\\c'),
    "no ASCII": ("bücher.example".encode(), "b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}cher.example"),
    "no UTF-8": (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
    "nothing": (b"", c.OTHER),
}


def in_memory(flavour, sinks, name="pool", **limits):
    """A transport and its httpx, on a network in memory that answers every request."""
    http = importlib.import_module(flavour)
    network = SyncNetwork(
        importlib.import_module({"httpx": "httpcore"}.get(flavour, "httpcore2")), http2=False, max_streams=1
    )
    network.answers = [("whole", 0)]
    inner = http.HTTPTransport(limits=http.Limits(**limits))
    inner._pool._network_backend = Memory(network)
    ours = importlib.import_module(f"poolscope.{flavour}")
    return ours.InstrumentedSyncTransport(inner, name=name, sinks=sinks), http


def addresses(registry):
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {s.labels[ADDRESS] for family in families for s in family.samples if s.labels.get(ADDRESS)}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_host_becomes_a_label_that_hurts_nobody(flavour, host):
    """Given to the transport as bytes, past the checks of a URL: printable, bounded, and the exposition can be read."""
    raw, label = HOSTS[host]
    registry = CollectorRegistry()
    transport, http = in_memory(flavour, [PrometheusSink(registry), LoggingSink()])
    request = http.Request("GET", "http://placeholder/", headers={"host": "placeholder"})
    request.url = SimpleNamespace(raw_scheme=b"http", raw_host=raw, port=None, raw_path=b"/", scheme="http", host=raw)
    with suppress(UnicodeDecodeError):  # httpcore connects to ASCII alone, and says so to the caller
        transport.handle_request(request).read()
    assert imbalances(scrape(registry)) == []
    assert addresses(registry) == {label}
    assert all(address.isprintable() and len(address) <= MAX_HOST_LENGTH for address in addresses(registry))
    transport.close()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_redirects_to_hosts_without_end_make_no_more_series(flavour):
    """20 origins have labels of their own; the others share one, and every one of their requests is counted in it."""
    hosts = 800
    registry = CollectorRegistry()
    transport, http = in_memory(flavour, [PrometheusSink(registry)], max_connections=4)
    numbers = iter(range(hosts))

    def onwards(response):
        response.status_code = 302
        number = next(numbers, None)
        if number is not None:
            response.headers["location"] = f"http://host{number}.example/"

    with http.Client(transport=transport, event_hooks={"response": [onwards]}) as client:
        client.follow_redirects, client.max_redirects = True, hosts + 1
        client.get("http://start.example/")
        seen = scrape(registry)
        early = len(seen.samples)
        assert len(addresses(registry)) == MAX_PER_POOL + 1
        assert c.OTHER in addresses(registry)
        assert seen(c.CHECKOUTS) == hosts + 1
        assert seen(c.CHECKOUTS, address=c.OTHER) == hosts + 1 - MAX_PER_POOL
        assert imbalances(seen) == []
        assert len(transport.snapshot().origins) <= MAX_PER_POOL + 1
        client.get("http://another.example/", follow_redirects=False)
        assert len(scrape(registry).samples) == early


def test_a_hundred_thousand_hosts_leave_twenty_labels():
    """Whole requests alone, for a transport without a pool: nothing of ours grows with the hosts."""
    registry = CollectorRegistry()
    answer = httpx.Response(200)
    transport = poolscope.InstrumentedSyncTransport(
        httpx.MockTransport(lambda request: answer), name="pool", sinks=[PrometheusSink(registry)]
    )
    request = httpx.Request("GET", "http://placeholder/")
    for number in range(100_000):
        request.url = SimpleNamespace(raw_scheme=b"http", raw_host=b"host%d.example" % number, port=None)
        transport.handle_request(request)
    assert len(addresses(registry)) == MAX_PER_POOL + 1
    assert scrape(registry)(c.REQUEST_DURATION, "_count") == 100_000
    assert len(transport._observer.pool.tallies._by_origin) <= MAX_PER_POOL


@pytest.mark.parametrize("name", ["\x1b[31mred\x07", 'x"} 1\nfoo{a="', "é" * 5_000])
def test_a_hostile_name_reaches_no_terminal(name, capsys):
    """A pool may be called anything: its exposition can be read, and `top` writes what steers nothing."""
    registry = CollectorRegistry()
    transport, http = in_memory("httpx", [PrometheusSink(registry)], name=name)
    with http.Client(transport=transport) as client, served(registry) as target:
        client.get("http://shop.example/")
        assert run(["top", target, "--once", "--interval", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert shown[:-1].isprintable()


class served:  # noqa: N801 - read as a word
    """Serves a registry."""

    def __init__(self, registry):
        self._registry = registry

    def __enter__(self):
        self._server, self._thread = start_http_server(0, addr="127.0.0.1", registry=self._registry)
        return f"127.0.0.1:{self._server.server_port}"

    def __exit__(self, *exc_info):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def script(peer):
    """Answers with secrets, save on /broken: what no client understands becomes the text of its exception."""
    for request in peer.requests():
        if "broken" in request.target:
            peer.send(b"garbage\r\n\r\n")
            return
        peer.respond(200, SECRET.encode(), [("set-cookie", f"id={SECRET}"), ("x-key", SECRET)])


class Canary:
    """A transport with every sink, and all that comes out of it."""

    def __init__(self, flavour):
        self.http = importlib.import_module(flavour)
        ours = importlib.import_module(f"poolscope.{flavour}")
        self.registry = CollectorRegistry()
        self.spans = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.reader = InMemoryMetricReader()
        meters = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self.sinks = [
            PrometheusSink(self.registry),
            OpenTelemetrySink(meters, tracers, redact_query_keys=["token"]),
            LoggingSink(slow_seconds=0),
        ]
        self.limits = self.http.Limits(max_connections=1)
        self.make = ours.InstrumentedSyncTransport
        self.out = {}

    def client(self, sinks=None, **options):
        transport = self.make(name="pool", sinks=sinks or self.sinks, limits=self.limits, **options)
        headers = {
            "authorization": f"Bearer {SECRET}",
            "cookie": f"id={SECRET}",
            "x-api-key": SECRET,
            "user-agent": SECRET,
        }
        return transport, self.http.Client(
            transport=transport, headers=headers, timeout=self.http.Timeout(5, pool=0.05)
        )

    def ask(self, client, origin, path="/", **options):
        """POST with secrets in every part that a span hides too; give the exception where there is one.

        In a path and a fragment spans have to show them: the semantic conventions want `url.full` so.
        """
        url = f"http://{SECRET}:{SECRET}@{origin}{path}?token={SECRET}&sig={SECRET}"
        try:
            return client.send(client.build_request("POST", url, content=SECRET), **options)
        except self.http.TransportError as exc:
            return exc

    def provoke(self, port):
        """Success, a time-out in the pool, a refused connection, a broken answer, a forgotten response, a proxy."""
        transport, client = self.client()
        with refused_port() as refused, client:
            held = self.ask(client, f"127.0.0.1:{port}", stream=True)
            self._picture("held", transport)
            timeout = self.ask(client, f"127.0.0.1:{port}")
            self.out["notes"] = "".join(timeout.__notes__)
            self.out["verdict"] = repr(poolscope.verdict(timeout))
            held.read()
            assert SECRET in held.text, "the secrets did travel"
            self.ask(client, f"127.0.0.1:{refused}")
            self.ask(client, f"127.0.0.1:{port}", "/broken")
            self.ask(client, f"127.0.0.1:{port}", stream=True)  # and forgets it
            gc.collect()
            self._picture("after", transport)
        transport, client = self.client(self.sinks[:1])  # nothing follows its requests: a way of their own
        with client:
            for _ in range(3):
                self.ask(client, f"127.0.0.1:{port}")
            self._picture("plain", transport)
        with HttpProxy() as proxy:
            through = self.http.Proxy(proxy.url.replace("//", f"//{SECRET}:{SECRET}@"), headers={"x-key": SECRET})
            transport, client = self.client(proxy=through)
            with client:
                self.ask(client, f"127.0.0.1:{port}")
                self._picture("proxied", transport)

    def _picture(self, when, transport):
        self.out[f"{when}: repr"] = repr(transport)
        self.out[f"{when}: snapshot"] = repr(transport.snapshot())
        self.out[f"{when}: diagnosis"] = repr(transport.diagnose())
        self.out[f"{when}: exposition"] = generate_latest(self.registry).decode()
        self.out[f"{when}: OpenMetrics"] = openmetrics(self.registry).decode()
        self.out[f"{when}: OTel metrics"] = self.reader.get_metrics_data().to_json()

    def ask_the_commands(self, capsys):
        with served(self.registry) as target:
            url = f"http://{SECRET}:{SECRET}@{target}/metrics?token={SECRET}"
            for command in (["top", url, "--once", "--origins"], ["top", url, "--once", "--json"], ["doctor", url]):
                run([*command, "--interval", "0.1"])
                self.out[" ".join([command[0], *command[2:]])] = "".join(capsys.readouterr())
        for command in ("top", "doctor"):
            run([command, url, *(["--once"] if command == "top" else []), "--interval", "0.1"])
            self.out[f"{command}, gone"] = "".join(capsys.readouterr())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_secret_comes_out_anywhere(flavour, caplog, capsys):
    """Not in metrics, spans, logs, notes, verdicts, findings, pictures of the pool, nor in what the commands print."""
    canary = Canary(flavour)
    with caplog.at_level(logging.DEBUG, "poolscope"), Server(script) as server:
        canary.provoke(server.port)
    canary.ask_the_commands(capsys)
    out = canary.out
    out["logs"] = "\n".join(
        f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name.startswith("poolscope")
    )
    out["spans"] = "\n".join(span.to_json() for span in canary.spans.get_finished_spans())
    assert all(out.values())
    assert "REDACTED" in out["spans"]
    assert "connection" in out["logs"]
    assert "/metrics" in out["top, gone"] + out["doctor, gone"]
    assert [where for where, text in out.items() if SECRET in text] == []

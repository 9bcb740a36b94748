"""A tracer that sends real OTLP to a receiver, and a kit whose requests it traces."""

from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otlp import Receiver, Tree, misplaced
from poolscope import OpenTelemetrySink
from poolscope._contract import SETUP_SPAN as SETUP
from poolscope._contract import SOCKET_SPAN as SOCKET
from poolscope._contract import TLS_SPAN as TLS
from poolscope._contract import WAIT_SPAN as WAIT

__all__ = ["SETUP", "SOCKET", "TLS", "WAIT", "Tracer", "run", "tracing"]


class Tracer:
    """A tracer's SDK with a real exporter. `tree()` is what the receiver has got, checked for misplaced spans."""

    def __init__(self, receiver: Receiver, sampler=None) -> None:
        self.receiver = receiver
        self.provider = TracerProvider(sampler=sampler, resource=Resource({"service.name": "tests"}))
        exporter = OTLPSpanExporter(endpoint=f"{receiver.url}/v1/traces")
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("tests")

    def span(self, name: str = "test"):
        return self.tracer.start_as_current_span(name)

    def tree(self, *, whole: bool = True) -> Tree:
        """Give what came. whole: no span is open any more, so that each has its parent."""
        assert self.provider.force_flush()
        tree = self.receiver.tree
        wrong = misplaced(tree) if whole else []
        assert wrong == [], wrong
        return tree


def run(kit, story, **options):
    """Run a story; TLS certificates are loaded only where it is given them, because that is slow."""
    return kit.run(story, **{"verify": False, **options})


@contextmanager
def tracing(kit=None, *, sampler=None, **options):
    """Trace into a receiver; the kit's transports, where one is given, with a sink that has these options."""
    with Receiver() as receiver:
        tracer = Tracer(receiver, sampler)
        if kit is not None:
            kit.sinks = [OpenTelemetrySink(tracer_provider=tracer.provider, **options)]
        try:
            yield tracer
        finally:
            tracer.provider.shutdown()

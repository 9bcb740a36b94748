"""Receives OTLP over HTTP on loopback, in threads of its own, and decodes the protobuf that came."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otlp.tree import Span, Tree

PATIENCE = 20.0


class Receiver:
    """`with Receiver() as receiver`: `receiver.url` is the endpoint. What came is in spans and metrics."""

    def __init__(self):
        self.spans: list[Span] = []
        self.metrics = []
        self.requests = 0
        self._came = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def tree(self) -> Tree:
        with self._came:
            return Tree(list(self.spans))

    def wait(self, until) -> None:
        """Wait until `until(receiver)` is so."""
        with self._came:
            assert self._came.wait_for(lambda: until(self), PATIENCE), "it never came"

    def take(self, path: str, body: bytes) -> None:
        with self._came:
            self.requests += 1
            if path.endswith("/v1/traces"):
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        self.spans += [Span.of(span, scope.scope.name) for span in scope.spans]
            elif path.endswith("/v1/metrics"):
                for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    for scope in resource.scope_metrics:
                        self.metrics += scope.metrics
            self._came.notify_all()

    def points(self, name: str):
        """Every point of the last metric of this name that came."""
        found = [metric for metric in self.metrics if metric.name == name]
        return list(getattr(found[-1], found[-1].WhichOneof("data")).data_points) if found else []

    def __enter__(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(self.path, body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)

"""The client span of one request, by OpenTelemetry's stable HTTP conventions, and its context in the headers.

1. No credentials leave: neither those in the URL nor the values of redacted query keys.
2. The user's own request stays as it is: what goes out is a copy with the context in its headers.
"""

import re
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote_plus
from weakref import ref

from opentelemetry.context import Context
from opentelemetry.propagate import inject
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from poolscope import _contract as c
from poolscope._records import Checkout

SCHEMA = "https://opentelemetry.io/schemas/1.37.0"
REDACTED_KEYS = frozenset({"AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"})
"""Query keys that the conventions tell to redact."""

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
"""A scheme's port, where a URL gives none."""

_PARAMETER = re.compile(r"(?P<before>[?&])(?P<key>[^=&#]*)=(?P<value>[^&#]*)")


class _Sent:
    """The request that this task or thread sent last, to see that the next one sends it again.

    A redirected request is a new one, but httpx passes the same timeouts on.
    """

    __slots__ = ("count", "redirected", "request", "timeouts")

    def __init__(self, request: Any) -> None:
        self.request = ref(request)
        self.timeouts = request.extensions.get("timeout")
        self.count = 0
        self.redirected = False

    def again(self, last: "_Sent", request: Any) -> bool:
        """Whether the request repeats the last one: the same again, or what a redirect made of it."""
        return last.request() is request or (
            last.redirected and self.timeouts is not None and last.timeouts is self.timeouts
        )


_sent: ContextVar[_Sent | None] = ContextVar("poolscope_sent", default=None)


def start(tracer: Tracer, request: Any, context: Context, redacted: frozenset[str]) -> Span:
    """Start the client span, with all that a sampler may ask for."""
    method = request.method
    known = method if method in c.METHODS else c.OTHER
    url = request.url
    attributes: dict[str, AttributeValue] = {
        "http.request.method": known,
        "server.address": url.host,
        "url.full": full_url(url, redacted),
    }
    port = url.port or PORTS.get(url.scheme)
    if port is not None:
        attributes["server.port"] = port
    if known != method:
        attributes["http.request.method_original"] = method
    sent = _Sent(request)
    last = _sent.get()
    if last is not None and sent.again(last, request):
        sent.count = last.count + 1
        attributes["http.request.resend_count"] = sent.count
    _sent.set(sent)
    return tracer.start_span(known if known != c.OTHER else "HTTP", context, SpanKind.CLIENT, attributes)


def full_url(url: Any, redacted: frozenset[str]) -> str:
    """Give the URL without credentials, and without the values of redacted query keys."""
    if url.userinfo:
        url = url.copy_with(username="REDACTED", password="REDACTED")  # noqa: S106 - that is the point
    text = str(url)
    return _PARAMETER.sub(lambda found: _redact(found, redacted), text) if url.query else text


def _redact(found: re.Match[str], redacted: frozenset[str]) -> str:
    return f"{found['before']}{found['key']}=REDACTED" if unquote_plus(found["key"]) in redacted else found[0]


def carrying(request: Any, context: Context) -> Any:
    """Give the request with the context in its headers: a copy, because the user keeps his own."""
    carrier: dict[str, str] = {}
    inject(carrier, context)
    if not carrier:
        return request
    sent = object.__new__(type(request))
    sent.__dict__.update(request.__dict__)
    sent.headers = request.headers.copy()
    for key, value in carrier.items():
        sent.headers[key] = value
    return sent


def redirected() -> None:
    """Note that this task's or thread's last request was answered with a redirect."""
    sent = _sent.get()
    if sent is not None:
        sent.redirected = True


def finish(span: Span, checkout: Checkout, attributes: dict[str, AttributeValue]) -> None:
    """End the client span with what became of its request. attributes: what else is known of it."""
    if checkout.status != "":
        attributes["http.response.status_code"] = checkout.status
    if checkout.protocol:
        attributes["network.protocol.version"] = checkout.protocol
    if checkout.failure:
        attributes["error.type"] = checkout.failure
        span.set_status(StatusCode.ERROR, checkout.error or None)
    peer = None if checkout.connection is None else checkout.connection.peer
    attributes.update(peer_attributes(peer))
    span.set_attributes(attributes)
    span.end()


def peer_attributes(peer: Any) -> dict[str, AttributeValue]:
    """Give network.peer.* of a socket's peer: an address and a port, or a Unix socket's path."""
    if isinstance(peer, tuple) and len(peer) >= 2:
        return {"network.peer.address": str(peer[0]), "network.peer.port": int(peer[1])}
    return {} if not peer else {"network.peer.address": str(peer)}

"""The two transports for httpx."""

import httpx

from poolscope._body import AsyncBody, Body
from poolscope._flavour import flavour_of
from poolscope._transport import AsyncTransport, SyncTransport

_FLAVOUR = flavour_of(httpx)


class _AsyncBody(AsyncBody, httpx.AsyncByteStream):
    pass


class _Body(Body, httpx.SyncByteStream):
    pass


class InstrumentedTransport(AsyncTransport, httpx.AsyncBaseTransport):
    """An async httpx transport that shows what its connection pool does."""

    _flavour = _FLAVOUR
    _asynchronous = True
    _base = httpx.AsyncBaseTransport
    _default = httpx.AsyncHTTPTransport
    _body = _AsyncBody


class InstrumentedSyncTransport(SyncTransport, httpx.BaseTransport):
    """An httpx transport that shows what its connection pool does."""

    _flavour = _FLAVOUR
    _asynchronous = False
    _base = httpx.BaseTransport
    _default = httpx.HTTPTransport
    _body = _Body

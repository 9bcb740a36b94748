"""The two transports for httpx2, the continuation of httpx: the same two names, from the same core."""

try:
    import httpx2
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError("poolscope.httpx2 needs httpx2: pip install 'poolscope[httpx2]'", name="httpx2") from exc

from poolscope._body import AsyncBody, Body
from poolscope._flavour import flavour_of
from poolscope._transport import AsyncTransport, SyncTransport

_FLAVOUR = flavour_of(httpx2)


class _AsyncBody(AsyncBody, httpx2.AsyncByteStream):
    pass


class _Body(Body, httpx2.SyncByteStream):
    pass


class InstrumentedTransport(AsyncTransport, httpx2.AsyncBaseTransport):
    """An async httpx2 transport that shows what its connection pool does."""

    _flavour = _FLAVOUR
    _asynchronous = True
    _base = httpx2.AsyncBaseTransport
    _default = httpx2.AsyncHTTPTransport
    _body = _AsyncBody


class InstrumentedSyncTransport(SyncTransport, httpx2.BaseTransport):
    """An httpx2 transport that shows what its connection pool does."""

    _flavour = _FLAVOUR
    _asynchronous = False
    _base = httpx2.BaseTransport
    _default = httpx2.HTTPTransport
    _body = _Body

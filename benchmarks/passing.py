"""A wrapper that does nothing: the floor for whoever watches a request from the three places that poolscope does.

Around the transport, on each of the pool's connections, around each body: what comes is passed on. No clock, no count.
"""

from typing import Any

from poolscope._seams import pool_of


def passing(inner: Any, setting: Any) -> Any:
    """Wrap a transport of this setting's flavour and colour."""
    http = setting.http
    if setting.asynchronous:
        _watch_connections(pool_of(inner), "handle_async_request", _async_handler)
        transport, body = (_AsyncTransport, http.AsyncBaseTransport), (_AsyncBody, http.AsyncByteStream)
    else:
        _watch_connections(pool_of(inner), "handle_request", _handler)
        transport, body = (_Transport, http.BaseTransport), (_Body, http.SyncByteStream)
    made = type("Transport", transport, {})(inner)
    made.body = type("Body", body, {})
    return made


def _watch_connections(pool: Any, name: str, handler: Any) -> None:
    create = pool.create_connection

    def create_connection(origin: Any) -> Any:
        connection = create(origin)
        setattr(connection, name, handler(getattr(connection, name)))
        return connection

    pool.create_connection = create_connection


def _async_handler(below: Any) -> Any:
    async def handle(request: Any) -> Any:
        return await below(request)

    return handle


def _handler(below: Any) -> Any:
    def handle(request: Any) -> Any:
        return below(request)

    return handle


class _Passing:
    body: Any

    def __init__(self, inner: Any) -> None:
        self.inner = inner


class _AsyncTransport(_Passing):
    async def handle_async_request(self, request: Any) -> Any:
        response = await self.inner.handle_async_request(request)
        response.stream = self.body(response.stream)
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


class _Transport(_Passing):
    def handle_request(self, request: Any) -> Any:
        response = self.inner.handle_request(request)
        response.stream = self.body(response.stream)
        return response

    def close(self) -> None:
        self.inner.close()


class _AsyncBody(_Passing):
    def __aiter__(self) -> Any:
        return self.inner.__aiter__()

    async def aclose(self) -> None:
        await self.inner.aclose()


class _Body(_Passing):
    def __iter__(self) -> Any:
        return self.inner.__iter__()

    def close(self) -> None:
        self.inner.close()

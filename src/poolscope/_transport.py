"""The two colours of the transport. They differ by `await`, and a test says so.

1. A request that enters ends exactly once: when it fails, or with its body (`_body`).
2. Whatever the wrapped transport does is what the caller sees.
"""

import time
from typing import Any, Self

import anyio

from poolscope import _contract as c
from poolscope._body import body_class
from poolscope._entrance import enter
from poolscope._observer import Observer
from poolscope._records import CURRENT, Checkout
from poolscope._setup import Setup, deadline
from poolscope._snapshot import PoolSnapshot
from poolscope._transitions import HOLDING

_SWITCHING_PROTOCOLS = 101
_PROTOCOLS = {b"HTTP/1.1": "1.1", b"HTTP/2": "2", b"HTTP/1.0": "1.0", b"HTTP/0.9": "0.9"}
_DRAIN_POLL_SECONDS = 0.01


def _fail(observer: Observer, checkout: Checkout | None, exc: BaseException, pool_timeout: type, request: Any) -> None:
    if checkout is not None:
        timed_out = isinstance(exc, pool_timeout)
        if timed_out:
            _explain(observer, checkout, exc, request)
        checkout.fail(exc)
        observer.take(observer.pool.seen.ran)
        observer.tell(checkout, "failed", exc)
        observer.end(checkout, timed_out=timed_out)


def _explain(observer: Observer, checkout: Checkout, exc: BaseException, request: Any) -> None:
    try:
        if checkout.connection is not None:  # whoever wraps the pool had sent it again, and it was not served this time
            observer.apply(observer.pool.repeat, checkout, request.extensions.get("timeout", {}).get("pool") or 0.0)
        observer.diagnosis.explain(checkout, exc)
    except Exception:  # noqa: BLE001 - told once in the log; the exception is the user's
        observer.fault()


def _answer(observer: Observer, checkout: Checkout | None, request: Any, response: Any) -> Any:
    """Note what the response says of its connection, and watch its body. Never raises: the response is the user's."""
    if checkout is None:
        return response
    try:
        checkout.status = response.status_code
        checkout.protocol = _PROTOCOLS.get(response.extensions.get("http_version"), "")
        checkout.phase = c.UNREAD
        if checkout.trace is not None:
            observer.tell(checkout, "answered")
        connection = checkout.connection
        if connection is None or not (checkout.plain or checkout.state == HOLDING):
            observer.apply(observer.pool.answered, checkout, "network_stream" in response.extensions)
            connection = checkout.connection
        if connection is not None and (response.status_code == _SWITCHING_PROTOCOLS or request.method == "CONNECT"):
            observer.engage(checkout)
            connection.upgraded = response.status_code == _SWITCHING_PROTOCOLS or response.is_success
        if response.is_closed:  # it came with its content: nobody will close its stream
            observer.end(checkout)
        else:
            stream = response.stream
            kind: Any = type(stream)
            response.stream = body_class(observer.body, kind)(stream, observer, checkout)
    except Exception:  # noqa: BLE001 - a fault of ours is told once, and costs nobody a response
        observer.fault()
        observer.end(checkout)
    return response


class AsyncTransport(Setup):
    """The async colour: an async transport that shows what its connection pool does."""

    async def handle_async_request(self, request: Any) -> Any:
        """Send one request, as the wrapped transport does."""
        observer = self._observer
        if observer.outermost and self._passes():
            return await self._inner.handle_async_request(request)
        checkout = await self._enter_watched(request) if observer.at_entry else observer.enter(request)
        token = CURRENT.set(checkout)
        handle, sent, leave = self._inner.handle_async_request, request, None
        if observer.tracing is not None:
            handle, sent, leave = enter(observer, checkout, handle, request)
        try:
            response = await handle(sent)
        except BaseException as exc:
            _fail(observer, checkout, exc, self._flavour.http.PoolTimeout, request)
            raise
        finally:
            try:
                CURRENT.reset(token)
            except ValueError:  # somebody drives this on in another context
                CURRENT.set(None)
            if leave is not None:
                leave()
        return _answer(observer, checkout, request, response)

    async def _enter_watched(self, request: Any) -> Checkout | None:
        watch = self._observer.diagnosis
        try:
            for body in watch.unclosed():
                await body.aclose()
        except Exception:  # noqa: BLE001 - a request does not fail for another's response
            self._observer.fault()
        checkout = self._observer.enter(request)
        watch.entered(checkout)
        return checkout

    async def aclose(self) -> None:
        """Close the wrapped transport. The pool works again after it, as it does without us."""
        self._closing()
        try:
            await self._inner.aclose()
        finally:
            self._closed()

    async def drain(self, timeout: float) -> PoolSnapshot:  # noqa: ASYNC109 - the deadline is the answer, no error
        """Wait until no request is under way, at most `timeout` seconds; give what is left then.

        It looks every 10 ms. New requests are not kept out. Raises ValueError for a timeout that is not a number >= 0.
        """
        end = deadline(timeout)
        while not self.snapshot().at_rest and time.monotonic() < end:  # noqa: ASYNC110 - it may end in another thread
            await anyio.sleep(_DRAIN_POLL_SECONDS)
        return self.snapshot()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing()
        try:
            await self._inner.__aexit__(*exc_info)
        finally:
            self._closed()


class SyncTransport(Setup):
    """The sync colour: a transport that shows what its connection pool does."""

    def handle_request(self, request: Any) -> Any:
        """Send one request, as the wrapped transport does."""
        observer = self._observer
        if observer.outermost and self._passes():
            return self._inner.handle_request(request)
        checkout = self._enter_watched(request) if observer.at_entry else observer.enter(request)
        token = CURRENT.set(checkout)
        handle, sent, leave = self._inner.handle_request, request, None
        if observer.tracing is not None:
            handle, sent, leave = enter(observer, checkout, handle, request)
        try:
            response = handle(sent)
        except BaseException as exc:
            _fail(observer, checkout, exc, self._flavour.http.PoolTimeout, request)
            raise
        finally:
            try:
                CURRENT.reset(token)
            except ValueError:  # somebody drives this on in another context
                CURRENT.set(None)
            if leave is not None:
                leave()
        return _answer(observer, checkout, request, response)

    def _enter_watched(self, request: Any) -> Checkout | None:
        watch = self._observer.diagnosis
        try:
            for body in watch.unclosed():
                body.close()
        except Exception:  # noqa: BLE001 - a request does not fail for another's response
            self._observer.fault()
        checkout = self._observer.enter(request)
        watch.entered(checkout)
        return checkout

    def close(self) -> None:
        """Close the wrapped transport. The pool works again after it, as it does without us."""
        self._closing()
        try:
            self._inner.close()
        finally:
            self._closed()

    def drain(self, timeout: float) -> PoolSnapshot:
        """Wait until no request is under way, at most `timeout` seconds; give what is left then.

        It looks every 10 ms. New requests are not kept out. Raises ValueError for a timeout that is not a number >= 0.
        """
        end = deadline(timeout)
        while not self.snapshot().at_rest and time.monotonic() < end:
            time.sleep(_DRAIN_POLL_SECONDS)
        return self.snapshot()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing()
        try:
            self._inner.__exit__(*exc_info)
        finally:
            self._closed()

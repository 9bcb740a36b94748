"""The body of a response: its end is the end of the request.

1. A body ends its request once: when it is closed, or when it is collected unclosed.
2. What the inner body yields and raises goes through unchanged.
3. What else a body may be asked, the inner one answers. httpx's own has nothing to say there, and a class with
   `__getattr__` would make each attribute cost a detour in CPython.

The body of a plain request (`_plain`) is iterated by the inner iterator itself: should its socket be closed, that says
what went wrong, and its connection whether the response had come to its end.
"""

import sys
from functools import lru_cache
from types import AsyncGeneratorType, GeneratorType
from typing import Any
from weakref import ref

from poolscope import _contract as c
from poolscope._flavour import NAMES, root_of
from poolscope._network import Proxy
from poolscope._observer import Observer
from poolscope._records import Checkout


@lru_cache(maxsize=256)
def body_class(body: type, stream: type) -> type:
    """Give the class that watches streams of this class: one of a stranger's may have more to say than httpx's own."""
    return body if root_of(stream) in NAMES else type(body.__name__, (body, Proxy), {})


class _Body:
    """The parts of a response's body that have no colour."""

    def __init__(self, inner: Any, observer: Observer, checkout: Checkout) -> None:
        self._inner = inner
        self._observer = observer
        self._checkout = checkout

    def __del__(self) -> None:
        if self._checkout.ended_at is None and not sys.is_finalizing():
            self._observer.defer(self._observer.drop, self._checkout)
            self._observer.diagnosis.dropped(self._inner, self._checkout)


class _Chunks:
    """The parts of a body's iterator that have no colour.

    A class, not a generator: a caller who stops half-way lets go of the inner iterator at once, as without us.
    """

    __slots__ = ("_checkout", "_inner", "_next")

    def __init__(self, inner: Any, advance: Any, checkout: Checkout) -> None:
        self._inner = inner
        self._next = advance
        self._checkout = checkout


class AsyncChunks(_Chunks):
    """Iterates an async body."""

    __slots__ = ()

    def __aiter__(self) -> "AsyncChunks":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._next()
        except StopAsyncIteration:
            self._checkout.read = True
            raise
        except BaseException as exc:
            self._checkout.fail(exc)
            raise


class AsyncGeneratorChunks(AsyncChunks):
    """Iterates an async body that is a generator, and is one in turn: httpx2 closes those, and leaves others be."""

    __slots__ = ()

    def asend(self, value: Any) -> Any:
        """Forward to the inner generator."""
        return self._inner.asend(value)

    def athrow(self, *exc_info: Any) -> Any:
        """Forward to the inner generator."""
        return self._inner.athrow(*exc_info)

    def aclose(self) -> Any:
        """Forward to the inner generator."""
        return self._inner.aclose()


class Chunks(_Chunks):
    """Iterates a body."""

    __slots__ = ()

    def __iter__(self) -> "Chunks":
        return self

    def __next__(self) -> Any:
        try:
            return self._next()
        except StopIteration:
            self._checkout.read = True
            raise
        except BaseException as exc:
            self._checkout.fail(exc)
            raise


class GeneratorChunks(Chunks):
    """Iterates a body that is a generator, and is one in turn."""

    __slots__ = ()

    def send(self, value: Any) -> Any:
        """Forward to the inner generator."""
        return self._inner.send(value)

    def throw(self, *exc_info: Any) -> Any:
        """Forward to the inner generator."""
        return self._inner.throw(*exc_info)

    def close(self) -> Any:
        """Forward to the inner generator."""
        return self._inner.close()


class AsyncBody(_Body):
    """An async response's body: ends the request when it is closed."""

    def __aiter__(self) -> Any:
        inner = self._inner.__aiter__()
        checkout = self._checkout
        checkout.phase = c.STREAMING
        if checkout.plain and type(inner) is AsyncGeneratorType:
            checkout.chunks = ref(inner)  # weakly: who stops half-way lets go of it
            return inner
        chunks = AsyncGeneratorChunks if hasattr(inner, "aclose") else AsyncChunks
        return chunks(inner, inner.__anext__, checkout)

    async def aclose(self) -> None:
        """Close the body and give the connection back."""
        checkout, observer = self._checkout, self._observer
        checkout.closing = True
        now = observer.clock()
        try:
            await self._inner.aclose()
        except BaseException as exc:
            checkout.fail(exc)
            raise
        finally:
            observer.end(checkout, now)


class Body(_Body):
    """A response's body: ends the request when it is closed."""

    def __iter__(self) -> Any:
        inner = self._inner.__iter__()
        checkout = self._checkout
        checkout.phase = c.STREAMING
        if checkout.plain and type(inner) is GeneratorType:
            checkout.chunks = ref(inner)  # weakly: who stops half-way lets go of it
            return inner
        chunks = GeneratorChunks if hasattr(inner, "close") else Chunks
        return chunks(inner, inner.__next__, checkout)

    def close(self) -> None:
        """Close the body and give the connection back."""
        checkout, observer = self._checkout, self._observer
        checkout.closing = True
        now = observer.clock()
        try:
            self._inner.close()
        except BaseException as exc:
            checkout.fail(exc)
            raise
        finally:
            observer.end(checkout, now)

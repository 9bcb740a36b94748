"""Lets one scenario, written with `await`, run in every flavour and colour.

A scenario speaks async words. In the sync colour `Sync` turns them into the sync ones, which never
suspend, so the scenario's coroutine ends in its first step.
"""

import importlib
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import ModuleType

import anyio

import flavours
from harness.listener import PATIENCE


@dataclass(frozen=True)
class Flavour:
    """httpx with httpcore, or httpx2 with httpcore2."""

    name: str

    @property
    def httpx(self) -> ModuleType:
        return importlib.import_module(self.name)

    @property
    def core(self) -> ModuleType:
        return importlib.import_module(self.name.replace("httpx", "httpcore"))


FLAVOURS = tuple(map(Flavour, flavours.FLAVOURS))
COLOURS = ("sync", "asyncio", "trio")

_RENAMED = {"aclose": "close", "aread": "read", "handle_async_request": "handle_request"}
_CALLS = {"send", "request", "get", "options", "head", "post", "put", "patch", "delete"}
_STREAM_CALLS = {"read", "write", "start_tls"}


class Sync:
    """A sync client, response, transport or network stream that is spoken to in async words."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        if name.startswith("aiter_"):
            return lambda *args, **kwargs: _drawn(getattr(self.inner, name[1:])(*args, **kwargs))
        if name == "stream" and hasattr(self.inner, "send"):
            return self._stream
        if name in _RENAMED or name in _CALLS or name in _STREAM_CALLS:
            return self._called(getattr(self.inner, _RENAMED.get(name, name)))
        return getattr(self.inner, name)

    async def __aenter__(self):
        self.inner.__enter__()
        return self

    async def __aexit__(self, *exc_info):
        self.inner.__exit__(*exc_info)

    @staticmethod
    def _called(method):
        async def call(*args, **kwargs):
            result = method(*args, **kwargs)
            return Sync(result) if hasattr(result, "close") else result

        return call

    @asynccontextmanager
    async def _stream(self, *args, **kwargs):
        with self.inner.stream(*args, **kwargs) as response:
            yield Sync(response)


async def _drawn(iterator):
    for item in iterator:
        yield item


def inner(value):
    """What `value` is under the face it wears here."""
    return value.inner if isinstance(value, Sync) else value


def drive(colour: str, function, *args):
    """Run an async function to its end, in this colour."""
    if colour != "sync":
        return anyio.run(function, *args, backend=colour)
    coroutine = function(*args)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("a sync scenario suspended")


class Speech:
    """The words that differ by colour and are no method of httpx's."""

    def __init__(self, colour: str):
        self.colour = colour
        self.is_async = colour != "sync"

    def face(self, value):
        """`value`, spoken to in async words."""
        return value if self.is_async else Sync(value)

    def body(self, parts):
        """A generator of a request's body, of this colour."""
        return _drawn(parts) if self.is_async else iter(parts)

    def callback(self, function):
        """A hook or trace callback, of this colour."""
        if not self.is_async:
            return function

        async def call(*args):
            return function(*args)

        return call

    async def wait(self, event: threading.Event) -> None:
        """Wait until a script opens its gate."""
        opened = await anyio.to_thread.run_sync(event.wait, PATIENCE) if self.is_async else event.wait(PATIENCE)
        if not opened:
            raise TimeoutError("the script did not come to its gate")

    async def together(self, *functions) -> None:
        """Run these async functions at the same time."""
        if self.is_async:
            async with anyio.create_task_group() as group:
                for function in functions:
                    group.start_soon(function)
            return
        threads = [threading.Thread(target=drive, args=("sync", function)) for function in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

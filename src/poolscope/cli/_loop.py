"""Runs a command's event loop; a signal ends it as what the user asked for."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

from poolscope.cli._errors import CommandError

R = TypeVar("R")
_ENDS = {"SIGTERM": "terminated", "SIGHUP": "hung up"}


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """Raise CommandError at SIGTERM and SIGHUP, before an event loop runs and after it: blocks are left in order."""

    def end(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        raise CommandError(_ENDS[name], 128 + number)

    ends = [getattr(signal, name) for name in _ENDS if hasattr(signal, name)]
    before = {number: signal.signal(number, end) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(main: Coroutine[Any, Any, R]) -> R:
    """Run it to its end. SIGINT, SIGTERM and SIGHUP cancel it, and raise CommandError once it has cleaned up."""
    got: list[str] = []

    async def watched() -> R:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine that asyncio runs has one

        def end(name: str) -> None:
            got.append(name)
            task.cancel()

        for name in _ENDS:
            if hasattr(signal, name):
                with contextlib.suppress(NotImplementedError):  # no such handler on Windows
                    asyncio.get_running_loop().add_signal_handler(getattr(signal, name), end, name)
        return await main

    try:
        with in_order():  # a loop that ends leaves these signals to the system
            return asyncio.run(watched())
    except KeyboardInterrupt:
        raise CommandError("interrupted", 128 + signal.SIGINT) from None
    except asyncio.CancelledError:
        if not got:
            raise
        raise CommandError(_ENDS[got[0]], 128 + getattr(signal, got[0])) from None

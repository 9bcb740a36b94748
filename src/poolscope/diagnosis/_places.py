"""Where in the program a request was made: a line of the user's code, and the task or thread.

Two ways, neither of which a warm request pays for unless it is asked to:
- `note` walks the stack of a request that enters, for pools that want their call sites.
- `find` looks, when something went wrong, through the stacks of the running loop's tasks, for those that are inside the
  transport now. Whoever holds a response and waits elsewhere is not found. Nor are threads: another thread's frames
  may go while they are walked, and CPython 3.11 then gives freed memory for `f_back`.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator
from types import CoroutineType, FrameType
from typing import Any

import anyio

from poolscope._records import Checkout, frame_of

_HTTP = frozenset({"poolscope", "httpx", "httpx2", "httpcore", "httpcore2"})
_LOOPS = frozenset({"anyio", "asyncio", "concurrent", "contextlib", "sniffio", "threading", "trio"})
_PASSED = _HTTP | _LOOPS
"""Top-level modules whose lines are not the program's."""
_MOST_FRAMES = 100
"""Of one stack."""
_MOST_FRAMES_IN_ALL = 1000
"""Some 2 ms, in which all else stands still. No clock says it: a busy machine, or a pass of the garbage collector,
would end the search before it has looked at one stack.
"""


def note(checkout: Checkout) -> None:
    """Note who makes a request. Called from within the transport, in the request's own task or thread."""
    checkout.place = _line(_outside(sys._getframe(1)))  # noqa: SLF001 - the documented way to see a caller cheaply
    checkout.runner = _runner()


def find(wanted: set[Checkout]) -> None:
    """Note who makes these requests, as far as they are inside the transport now."""
    missing = {checkout for checkout in wanted if not checkout.place}
    reading = {frame: checkout for checkout in missing for frame in _frames_of_body(checkout)}
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop of asyncio runs here
        return
    left = _MOST_FRAMES_IN_ALL
    for task in tasks:
        if not missing or left <= 0:
            return
        stack, runner = _stack(task), f"task {task.get_name()!r}"
        left -= len(stack)
        for index, frame in enumerate(stack):
            checkout = reading.get(frame) or _checkout_of(frame)
            if checkout in missing:
                checkout.place = _line(next((one for one in stack[index:] if not _is_passed(one)), None))
                checkout.runner = runner
                missing.discard(checkout)


def _frames_of_body(checkout: Checkout) -> Iterator[FrameType]:
    """Give the frame that iterates a request's body, where no frame of ours does."""
    chunks = checkout.chunks and checkout.chunks()
    frame = chunks and frame_of(chunks)
    if frame is not None:
        yield frame


def _stack(task: "asyncio.Task[Any]") -> list[FrameType]:
    """Give the stack of a suspended task, innermost frame first."""
    stack: list[FrameType] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(stack) < _MOST_FRAMES:
        plain = type(awaited) is CoroutineType
        frame = awaited.cr_frame if plain else _attribute(awaited, "frame")
        if frame is not None:
            stack.append(frame)
        awaited = (awaited.cr_await if plain else _attribute(awaited, "await")) or _managed(frame)
    return stack[::-1]


def _attribute(awaited: Any, what: str) -> Any:
    """Give the frame of a coroutine or generator, or what it awaits."""
    for kind in ("cr", "ag", "gi"):
        found = getattr(awaited, f"{kind}_{what}", None)
        if found is not None:
            return found
    return getattr(awaited, "gi_yieldfrom", None) if what == "await" else None


def _managed(frame: FrameType | None) -> Any:
    """Give the generator that an `async with` block enters: what awaits it does not tell."""
    if frame is None or frame.f_globals.get("__name__") != "contextlib":
        return None
    return getattr(frame.f_locals.get("self"), "gen", None)


def _checkout_of(frame: FrameType) -> Any:
    """Give the request that a frame of the transport, or of a body that is being read, is about."""
    module = frame.f_globals.get("__name__")
    if module == "poolscope._transport":
        return frame.f_locals.get("checkout")
    if module == "poolscope._body":
        return getattr(frame.f_locals.get("self"), "_checkout", None)
    return None


def _is_passed(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _PASSED


def _outside(frame: FrameType | None) -> FrameType | None:
    while frame is not None and _is_passed(frame):
        frame = frame.f_back
    return frame


def _line(frame: FrameType | None) -> str:
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _runner() -> str:
    try:
        return f"task {anyio.get_current_task().name!r}"
    except RuntimeError:  # no event loop runs here
        return f"thread {threading.current_thread().name!r}"

"""Whether OpenTelemetry's own httpx instrumentation is around or inside a transport, found by structure.

1. A request has one client span. Around us, theirs is found on the call stack, up to the client; inside, by the type of
   the wrapped transport, the instance's `__dict__` and the class's `__wrapped__`. An unsampled span shows none of that.
2. Of several of theirs one stays: the outermost where one is around us, else the innermost; the others are passed by.

Nothing of theirs is imported: who has it, has it loaded.
"""

import sys
from types import MethodType
from typing import Any

from poolscope._tracing import Handle

_THEIRS = "opentelemetry.instrumentation.httpx"
_CLIENTS = frozenset({"httpx._client", "httpx2._client"})
_FRAMES = 25
"""How far from the transport the client may be: users wrap transports in transports, but not that often."""


def present() -> bool:
    """Whether theirs is loaded at all; if not, there is nothing to look for."""
    return _THEIRS in sys.modules


def wraps(transport: Any) -> bool:
    """Whether a transport is one of theirs, which wraps another in `_transport`."""
    return any(cls.__module__ == _THEIRS for cls in type(transport).__mro__)


def around() -> bool:
    """Whether theirs called us: asked from within the transport's handling of a request."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to see a caller cheaply
    for _ in range(_FRAMES):
        module = frame.f_globals.get("__name__")
        if module == _THEIRS:
            return True
        if module in _CLIENTS or frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def inside(handle: Handle, *, pass_all: bool) -> tuple[bool, Handle]:
    """Say whether theirs is in what we are about to call, and give what to call instead, so that one of them is left.

    pass_all: one is around us, so none shall be left inside.
    """
    last, rest = None, handle
    while (inner := _below(rest)) is not None:
        last, rest = rest, inner
    if pass_all or last is None:
        return last is not None, rest
    return True, last


def _below(handle: Any) -> Handle | None:
    """Give what a handle of theirs calls, None where it is not one of theirs."""
    if type(handle) is MethodType:
        owner: Any = handle.__self__
        if not wraps(owner):
            return None
        below: Handle = getattr(owner._transport, handle.__func__.__name__)  # noqa: SLF001 - so it calls what it wraps
        return below
    wrapper = getattr(handle, "_self_wrapper", None)
    theirs = getattr(getattr(wrapper, "func", wrapper), "__module__", None) == _THEIRS
    return handle.__wrapped__ if theirs else None

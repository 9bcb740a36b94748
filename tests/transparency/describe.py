"""Turns what a user holds (a response, an exception, a pool) into plain values that can be compared."""

import datetime as dt
import re
import traceback
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

from transparency.colours import inner

_INFOS = ("client_addr", "server_addr", "socket", "ssl_object", "is_readable", "no such thing")
_STREAMS = ("AsyncByteStream", "SyncByteStream")


def class_name(value) -> str:
    """Module and name of a value's class."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def described(value, flavour):
    """A plain picture of what a step of a scenario returned."""
    value = inner(value)
    if hasattr(value, "status_code"):
        return response(value, flavour)
    if isinstance(value, bytes):
        return body(value)
    if isinstance(value, (list, tuple)):
        return [described(item, flavour) for item in value]
    return value if isinstance(value, (str, int, float, bool, dict, type(None))) else class_name(value)


def body(data: bytes) -> str:
    """A body, or its size and checksum where it is long."""
    return repr(data) if len(data) <= 200 else f"{len(data)} bytes, crc {crc32(data)}"


def response(value, flavour) -> dict:
    """All that a response shows, its request and history included."""
    return {
        "class": class_name(value),
        "stream_class": class_name(value.stream),
        "stream is": [name for name in _STREAMS if isinstance(value.stream, getattr(flavour.httpx, name))],
        "stream_closed": value.is_closed,
        "stream_consumed": value.is_stream_consumed,
        "status": value.status_code,
        "reason": value.reason_phrase,
        "http_version": value.http_version,
        "headers": value.headers.raw,
        "url": _tried(lambda: str(value.url)),
        "content": _tried(lambda: body(value.content)),
        "downloaded": _tried(lambda: value.num_bytes_downloaded),
        "elapsed": _tried(lambda: value.elapsed > dt.timedelta(0)),
        "extensions": {key: extension(item, flavour) for key, item in value.extensions.items()},
        "history": [response(item, flavour) for item in value.history],
        "next_request": _tried(lambda: request(value.next_request, flavour) if value.next_request else None),
        "request": _tried(lambda: request(value.request, flavour)),
    }


def request(value, flavour) -> dict:
    """All that a request shows."""
    return {
        "class": class_name(value),
        "method": value.method,
        "url": str(value.url),
        "headers": value.headers.raw,
        "stream_class": class_name(value.stream),
        "extensions": {key: extension(item, flavour) for key, item in value.extensions.items()},
    }


def extension(value, flavour):
    """An extension's value; of a network stream what it says it is, and what it knows."""
    if isinstance(value, (bytes, str, int, float, dict, type(None))):
        return value
    shown = {"class": class_name(value)}
    if hasattr(value, "get_extra_info"):
        shown["is a stream"] = isinstance(value, (flavour.core.NetworkStream, flavour.core.AsyncNetworkStream))
        shown["infos"] = {info: _tried(lambda info=info: class_name(value.get_extra_info(info))) for info in _INFOS}
    return shown


def exception(exc: BaseException | None, flavour) -> dict | None:
    """An exception with its whole chain, and the frames it came through."""
    if exc is None:
        return None
    sent = getattr(exc, "_request", None)
    return {
        "class": class_name(exc),
        "args": [arg if isinstance(arg, (str, int)) else f"{class_name(arg)} {arg}" for arg in exc.args],
        "str": str(exc),
        "notes": list(getattr(exc, "__notes__", [])),
        "request": sent and f"{sent.method} {sent.url}",
        "suppressed": exc.__suppress_context__,
        "frames": frames(exc, flavour),
        "cause": exception(exc.__cause__, flavour),
        "context": exception(exc.__context__, flavour) if exc.__context__ is not exc.__cause__ else "the cause",
        "members": [exception(member, flavour) for member in getattr(exc, "exceptions", ())],
    }


def frames(exc: BaseException, flavour) -> list[str]:
    """Names of the functions of httpx, httpcore and of ours in a traceback, outermost first."""
    homes = {name: _home(name) for name in (flavour.httpx.__name__, flavour.core.__name__, "poolscope")}
    return [
        f"{name}: {frame.name}"
        for frame in traceback.extract_tb(exc.__traceback__)
        for name, home in homes.items()
        if Path(frame.filename).is_relative_to(home)
    ]


@cache
def _home(package: str) -> Path:
    return Path(find_spec(package).origin).parent


def pool(transport) -> dict:
    """The state of a transport's pool, as its public faces tell."""
    inside = transport._pool
    states = ("is_available", "is_idle", "is_closed", "has_expired", "info", "__repr__")
    return {
        "class": class_name(inside),
        "repr": re.sub("0x[0-9a-f]+", "0x", repr(inside)),  # the oldest httpcore shows its address
        "connections": [{state: getattr(connection, state)() for state in states} for connection in inside.connections],
        "connection_classes": [class_name(connection) for connection in inside.connections],
    }


def _tried(function):
    try:
        return function()
    except Exception as exc:
        return f"raised {class_name(exc)}: {exc}"

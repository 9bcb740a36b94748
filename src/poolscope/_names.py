"""What a pool is called. Names are capped, as everything is that becomes a label.

An unnamed pool is called after the module and function that made it, 20 such names a process, then `default`.
Of the names that users give, a process has 100, then `_OTHER`.
"""

import logging
import sys
from types import FrameType

from poolscope._contract import OTHER
from poolscope._locks import new_lock

logger = logging.getLogger("poolscope")

MAX_CALLERS = 20
MAX_NAMES = 100
_callers: set[str] = set()
_names: set[str] = set()
_lock = new_lock()


def granted(name: str) -> str:
    """Give the name, or `_OTHER` past the cap, which is logged for the first."""
    given = _within(_names, name, MAX_NAMES, OTHER)
    if given != name and OTHER not in _names:
        _names.add(OTHER)
        message = "poolscope: pool %r is called %s in metrics, as are all after it: there are %d names already"
        logger.warning(message, name, OTHER, MAX_NAMES)
    return given


def name_of_caller() -> str:
    """Name the nearest caller outside this package, such as `billing.clients.make_client`."""
    frame = _caller()
    module = _module_of(frame) or "default"
    function = frame.f_code.co_qualname
    name = module if function == "<module>" else f"{module}.{function}"
    return _within(_callers, name, MAX_CALLERS, "default")


def file_of_caller() -> str:
    """Give the source file of the nearest caller outside this package."""
    return _caller().f_code.co_filename


def _caller() -> FrameType:
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to see a caller cheaply
    while frame.f_back is not None and _module_of(frame).partition(".")[0] == "poolscope":
        frame = frame.f_back
    return frame


def _module_of(frame: FrameType) -> str:
    """Give the name of a frame's module, empty where it has none: a program may run code under any name, or None."""
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""


def _within(given: set[str], name: str, most: int, otherwise: str) -> str:
    with _lock:
        if name not in given and len(given) >= most:
            return otherwise
        given.add(name)
    return name

"""What an unnamed pool is called: the module and function that made it, 20 such names a process, then `default`."""

import sys
import threading

MAX_NAMES = 20
_given: set[str] = set()
_lock = threading.Lock()


def name_of_caller() -> str:
    """Name the nearest caller outside this package, such as `billing.clients.make_client`."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to see a caller cheaply
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "poolscope":
        frame = frame.f_back
    module = frame.f_globals.get("__name__", "default")
    function = frame.f_code.co_qualname
    name = module if function == "<module>" else f"{module}.{function}"
    with _lock:
        if name not in _given and len(_given) >= MAX_NAMES:
            return "default"
        _given.add(name)
    return name

"""Which origin gets a label of its own. Once given, a label never changes.

Origins are capped, 20 a pool and 100 a process; every further one is `_OTHER`. So series and memory do not grow
with the hosts that a service happens to call.
"""

from poolscope._contract import OTHER
from poolscope._locks import new_lock

MAX_PER_POOL = 20
MAX_PER_PROCESS = 100
MAX_HOST_LENGTH = 253
"""A DNS name is no longer; what is longer was made to hurt."""

OVERFLOW = (OTHER, OTHER)

_DEFAULT_PORTS = {b"http": 80, b"ws": 80, b"https": 443, b"wss": 443}
_granted: set[tuple[str, str]] = set()
_lock = new_lock()


def label_of(scheme: bytes, host: bytes, port: int | None) -> tuple[str, str]:
    """Give an origin's label values: server.address and server.port (the scheme's default where none is given)."""
    address = host.decode("ascii", errors="replace")
    if not address or len(address) > MAX_HOST_LENGTH or not address.isprintable():
        return OVERFLOW
    return address, str(port or _DEFAULT_PORTS.get(scheme) or "")


def grant(label: tuple[str, str], pool_has: int) -> tuple[str, str]:
    """Give the label an origin is counted under, in a pool that has `pool_has` origins so far."""
    if label == OVERFLOW or pool_has >= MAX_PER_POOL:
        return OVERFLOW
    with _lock:
        if label not in _granted and len(_granted) >= MAX_PER_PROCESS:
            return OVERFLOW
        _granted.add(label)
    return label

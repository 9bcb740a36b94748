"""httpx or httpx2: what differs between the two is here as values, so that the core is written once.

The flavour is decided by where a class was defined, never by the import's name: `httpx2.alias_httpx()` makes
`import httpx` give httpx2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from ssl import SSLContext
from types import ModuleType
from typing import Any, Protocol, TypedDict

_CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}
NAMES = frozenset(_CORES)


class Limits(Protocol):
    """The shape of both flavours' `Limits`."""

    @property
    def max_connections(self) -> int | None: ...
    @property
    def max_keepalive_connections(self) -> int | None: ...
    @property
    def keepalive_expiry(self) -> float | None: ...


class TransportOptions(TypedDict, total=False):
    """What both flavours' own transports take, for type checkers. A run asks the signature of the installed one."""

    verify: SSLContext | str | bool
    cert: str | tuple[str, str] | tuple[str, str, str] | None
    trust_env: bool
    http1: bool
    http2: bool
    limits: Limits
    proxy: Any
    uds: str | None
    local_address: str | None
    retries: int
    socket_options: Iterable[Any] | None


@dataclass(frozen=True, slots=True)
class Flavour:
    """One flavour's names. http: httpx or httpx2. core: the httpcore below it."""

    name: str
    http: Any
    core: Any

    def owns(self, pool: object) -> bool:
        """Whether the pool's class comes from this flavour's httpcore."""
        return any(root_of(cls) == self.core.__name__ for cls in type(pool).__mro__)


def root_of(cls: type) -> str:
    """Give the top-level module that defines a class."""
    return cls.__module__.partition(".")[0]


def flavour_of(http: ModuleType) -> Flavour:
    """Bind a flavour. Raises ImportError where the version is one that this package does not know."""
    name = root_of(http.AsyncBaseTransport)
    core_name = _CORES.get(name)
    version = getattr(http, "__version__", "unknown")
    if core_name is None or not hasattr(http, "AsyncHTTPTransport"):
        raise _unsupported(name, version)
    major = version.partition(".")[0]
    if name == "httpx" and major.isdigit() and int(major) >= 1:
        raise _unsupported(name, version)
    return Flavour(name, http, import_module(core_name))


def _unsupported(name: str, version: str) -> ImportError:
    return ImportError(f"poolscope supports httpx>=0.25.2,<1 and httpx2>=2; found {name} {version}")

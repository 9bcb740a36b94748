"""Shows what an httpx client's connection pool does: who waits, who holds, what is created, why connections close.

Names are bound on first use: importing this package imports neither httpx nor httpx2 nor an SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poolscope._diagnose import diagnose
    from poolscope._instrument import instrument, uninstrument
    from poolscope._snapshot import HeldConnection, OriginSnapshot, PoolSnapshot
    from poolscope._subscription import ObservedPool, Sink
    from poolscope.diagnosis._findings import Finding
    from poolscope.diagnosis._verdict import Holders, Verdict
    from poolscope.diagnosis._verdicts import verdict
    from poolscope.httpx import InstrumentedSyncTransport, InstrumentedTransport
    from poolscope.sinks.logging import LoggingSink
    from poolscope.sinks.opentelemetry import OpenTelemetrySink
    from poolscope.sinks.prometheus import PrometheusSink

_HOMES = {
    "Finding": "diagnosis._findings",
    "HeldConnection": "_snapshot",
    "Holders": "diagnosis._verdict",
    "InstrumentedSyncTransport": "httpx",
    "InstrumentedTransport": "httpx",
    "LoggingSink": "sinks.logging",
    "ObservedPool": "_subscription",
    "OpenTelemetrySink": "sinks.opentelemetry",
    "OriginSnapshot": "_snapshot",
    "PoolSnapshot": "_snapshot",
    "PrometheusSink": "sinks.prometheus",
    "Sink": "_subscription",
    "Verdict": "diagnosis._verdict",
    "diagnose": "_diagnose",
    "instrument": "_instrument",
    "uninstrument": "_instrument",
    "verdict": "diagnosis._verdicts",
}

__version__ = "0.1.0"
__all__ = [
    "Finding",
    "HeldConnection",
    "Holders",
    "InstrumentedSyncTransport",
    "InstrumentedTransport",
    "LoggingSink",
    "ObservedPool",
    "OpenTelemetrySink",
    "OriginSnapshot",
    "PoolSnapshot",
    "PrometheusSink",
    "Sink",
    "Verdict",
    "diagnose",
    "instrument",
    "uninstrument",
    "verdict",
]


if not TYPE_CHECKING:  # a type checker would take every name that there is not for one of type Any

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'poolscope' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"poolscope.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)

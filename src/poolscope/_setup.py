"""How a transport of ours is made, and what it answers: the part that has no colour.

Bad arguments get one line that names the argument, what it got and what it takes, before any traffic.
"""

import inspect
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Unpack
from weakref import WeakSet, finalize

from poolscope._flavour import Flavour, TransportOptions, root_of
from poolscope._locks import new_lock
from poolscope._names import file_of_caller, granted, name_of_caller
from poolscope._observer import Observer
from poolscope._owner import Owner
from poolscope._pool import Pool
from poolscope._records import CURRENT
from poolscope._seams import limits_of, missing_names, observer_of, pool_of, unwatch, watch
from poolscope._seen import ENDED
from poolscope._snapshot import PoolSnapshot
from poolscope._subscription import Sink
from poolscope.diagnosis._losses_log import LossesLog
from poolscope.diagnosis._watch import Options, Watch

if TYPE_CHECKING:
    from poolscope.diagnosis._findings import Finding

logger = logging.getLogger("poolscope")

_OWN_OPTIONS = ("name", "sinks", *Options.__dataclass_fields__)
_told: set[type] = set()
_shared: WeakSet[Observer] = WeakSet()
_wrapping = new_lock()  # several threads may wrap one transport: the first to come makes its observer


class Setup:
    """What both colours have. The class attributes are bound by a flavour."""

    _flavour: ClassVar[Flavour]
    _asynchronous: ClassVar[bool]
    _base: ClassVar[Any]
    _default: ClassVar[Any]
    _body: ClassVar[Any]

    def __init__(
        self,
        transport: Any = None,
        /,
        *,
        name: str | None = None,
        sinks: Sequence[Sink] | None = None,
        call_sites: bool = False,
        held_too_long_seconds: float | None = None,
        reclaim: bool = False,
        **options: Unpack[TransportOptions],
    ) -> None:
        """Instrument a new transport, made with `options`, or the given one.

        transport: an httpx transport of the same flavour and colour; then there are no other options.
        name: the pool's name in every metric; by default the module and function that called.
        sinks: where telemetry goes; by default OpenTelemetry's global providers (nothing without an SDK).
        call_sites: note where in the program each request was made, for verdicts and leaks.
        held_too_long_seconds: log and count a hold of a connection that lasts longer; None: none is.
        reclaim: close responses that were collected unclosed, so that their slots are given back.
        options: the arguments of httpx's own transport (`verify`, `http2`, `limits`, `proxy`, `retries` ...).

        Raises TypeError or ValueError naming the argument; RuntimeError where the pool is of an unknown version.
        """
        if not isinstance(name, str | None) or name == "":
            raise TypeError(f"name takes a string that is not empty, got {name!r}")
        if name is not None and any("\ud800" <= char <= "\udfff" for char in name):
            raise ValueError(f"name takes text that UTF-8 can encode, as expositions are, got {name!r}")
        checked = _checked(sinks)
        asked = Options(call_sites, held_too_long_seconds, reclaim)
        inner = self._wrapped(transport, options)
        if isinstance(inner, Setup):  # once is enough: share what is there
            self._inner: Any = inner.wrapped
            self._observer: Observer = inner.observer
            self.share(name, sinks, asked)
        else:
            self._inner = inner
            self._observer = self._observe(name, checked, asked)
        self._owner: Owner | None = self._observer.own()

    def _wrapped(self, transport: Any, options: TransportOptions) -> Any:
        kind = type(self).__name__
        takes = inspect.signature(self._default).parameters
        if "transport" in options:
            raise TypeError(f"{kind} takes the transport first, without a name: {kind}(transport, ...)")
        for option in options:
            if option not in takes:
                known = ", ".join([*_OWN_OPTIONS, *takes])
                raise TypeError(f"{kind} got an unknown argument {option!r}; it takes {known}")
        if transport is None:
            return self._default(**options)
        if options:
            given = ", ".join(options)
            raise TypeError(f"{kind} takes a transport or the arguments to make one, got both: {given}")
        if not isinstance(transport, self._base):
            wanted = f"{self._flavour.name}.{self._base.__name__}"
            got = f"{root_of(type(transport))}.{type(transport).__name__}"
            raise TypeError(f"{kind} takes a transport that is an instance of {wanted}, got {got}")
        return transport

    def share(self, name: str | None, sinks: Sequence[Sink] | None, asked: Options) -> None:
        """Tell whoever gave a name, sinks or options for a pool that has its own."""
        options = asked not in (Options(), self._observer.diagnosis.options)
        given = sinks is not None or name not in (None, self._observer.name) or options
        if given and self._observer not in _shared:
            _shared.add(self._observer)  # once: one transport may serve a client per request
            message = "poolscope: pool %r is instrumented already; a name, sinks or options given again are not used"
            logger.warning(message, self._observer.name)

    def _observe(self, name: str | None, checked: Sequence[Sink] | None, asked: Options) -> Observer:
        pool = self._visible_pool()
        with _wrapping:
            known = observer_of(pool)
            if known is not None and not known.owned and known.over:
                # Its last transport is gone, and with nothing open the sinks have let it go, or will.
                unwatch(pool)
                known = None
            if known is None:
                return self._watched(pool, name, checked, asked)
            self._observer, self._owner = known, known.own()
            known.outermost = id(self)
        self.share(name, checked, asked)
        return known

    def _watched(self, pool: Any, name: str | None, checked: Sequence[Sink] | None, asked: Options) -> Observer:
        sinks = _default_sinks() if checked is None else checked  # first: it may raise, and then nothing is watched
        limits = (None, None, None) if pool is None else limits_of(pool)
        state = Pool(granted(name) if name else name_of_caller(), limits[0], limits[1])
        state.seen.asynchronous, state.seen.file = self._asynchronous, file_of_caller()
        observer = Observer(state, pooled=pool is not None)
        observer.keepalive_expiry = limits[2]
        observer.body, observer.diagnosis = self._body, Watch(observer, asked)
        observer.at_entry = observer.diagnosis.at_entry
        if pool is not None:
            finalize(pool, observer.diagnosis.pool_collected).atexit = False
            watch(pool, observer, self._flavour, asynchronous=self._asynchronous)
        elif type(self._inner) not in _told:
            _told.add(type(self._inner))
            logger.warning(
                "poolscope: %s has no connection pool that can be seen; only whole requests are measured",
                type(self._inner).__name__,
            )
        owner = observer.own()  # a sink asks at once whether the pool is alive
        finalize(owner, ENDED.append, observer).atexit = False
        observer.subscribe(sinks)
        observer.subscribe([LossesLog()])
        self._owner = owner
        return observer

    def _visible_pool(self) -> Any:
        """Give the httpcore pool; None where there is none, as with a stranger's transport that has its own kind."""
        pool, core = pool_of(self._inner), self._flavour.core
        if pool is None:
            return None
        if not self._flavour.owns(pool):
            if not isinstance(self._inner, self._default):
                return None
            pool_class = f"{type(pool).__module__}.{type(pool).__qualname__}"
            raise TypeError(f"transport has a pool of {pool_class}, which is not one of {core.__name__}")
        missing = missing_names(pool)
        if missing:
            version = getattr(core, "__version__", "unknown")
            raise RuntimeError(f"{core.__name__} {version} is not supported: its pool has no {', '.join(missing)}")
        return pool

    def let_go(self) -> None:
        """Hold the pool no longer. Its hooks go, unless another transport of ours has it, too."""
        with _wrapping:
            self._owner = None
            if self._observer.pooled and not self._observer.owned:
                unwatch(pool_of(self._inner))

    @property
    def wrapped(self) -> Any:
        """The transport that this one instruments."""
        return self._inner

    @property
    def observer(self) -> Observer:
        """What watches its pool."""
        return self._observer

    def snapshot(self) -> PoolSnapshot:
        """Give a frozen picture of the pool now: limits, origins, and each held connection with its age in seconds."""
        return self._observer.snapshot()

    def diagnose(self) -> "list[Finding]":
        """Give what is wrong with the pool or its use since its first connection, the most severe first.

        What a client ignores because it was given a transport, `poolscope.diagnose(client)` sees better.
        """
        from poolscope.diagnosis._inside import diagnose  # noqa: PLC0415 - only for those who ask

        return diagnose(self._observer)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.snapshot()}>"

    if not TYPE_CHECKING:  # a type checker would take every name that there is not for one of type Any

        def __getattr__(self, name: str) -> Any:
            if name == "_inner":  # not there yet
                raise AttributeError(name)
            return getattr(self._inner, name)

    def _passes(self) -> bool:
        """Whether the request that enters counts already: ours is around what wraps this one, too."""
        observer = self._observer
        return observer.outermost != id(self) and observer.pool.runs(CURRENT.get())

    def _closing(self) -> None:
        self._observer.closing_pool += 1

    def _closed(self) -> None:
        self._observer.closing_pool -= 1
        self._observer.apply(self._observer.pool.close)


def _checked(sinks: Sequence[Sink] | None) -> list[Sink] | None:
    if sinks is None:
        return None
    try:
        given = list(sinks)
    except TypeError:
        raise TypeError(f"sinks takes a sequence of sinks, got {sinks!r}") from None
    for sink in given:
        if isinstance(sink, type) or not callable(getattr(sink, "attach", None)):
            raise TypeError(f"sinks takes sinks, objects with an attach method, got {sink!r}")
    return given


def _default_sinks() -> Sequence[Sink]:
    from poolscope.sinks.opentelemetry import OpenTelemetrySink  # noqa: PLC0415 - only where nobody names a sink

    return [OpenTelemetrySink()]


def deadline(timeout: float) -> float:
    """Give the monotonic second at which a time of `timeout` seconds is up."""
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout >= 0:
        raise ValueError(f"timeout takes seconds, a number that is not negative, got {timeout!r}")
    return time.monotonic() + timeout

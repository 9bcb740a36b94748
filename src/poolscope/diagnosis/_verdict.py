"""Why a request got no connection: who held the slots of its pool, and which of nine causes that is.

1. A slot that was held for most of the wait is judged by what held it; one that changed hands meanwhile by where it
   went. The cause that explains most slots is the verdict; of equal ones the first in `CAUSES`.
2. The judgement is a function of a snapshot and of who waited. It asks nobody, and changes nothing.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from poolscope import _contract as c
from poolscope._phases import ABANDONED, ORPHANED, SENDING
from poolscope._snapshot import HeldConnection, PoolSnapshot

_MOST_OF_THE_WAIT = 0.5
_LEAST_SECONDS = 0.05
"""A hold that is shorter says nothing, however short the wait was."""
_OLDEST = 3
_GROUPS = 6

CAUSES = (
    c.ORPHANED_SLOTS,
    c.LEAKED_SLOTS,
    c.UNREAD,
    c.CONNECTING,
    c.STREAMING,
    c.OTHER_ORIGIN,
    c.SLOW_ORIGIN,
    c.BURST,
    c.UNKNOWN,
)
"""What can be mended in the program comes before what cannot."""

_LOST = {ORPHANED: c.ORPHANED_SLOTS, ABANDONED: c.LEAKED_SLOTS}
_BY_PHASE = frozenset({c.CONNECTING, c.UNREAD, c.STREAMING})
"""Phases that are a cause by themselves, whomever the request waited for."""

_SENTENCES = {
    c.ORPHANED_SLOTS: "{slots} belong to no request any more: the pool lost them until the client is closed",
    c.LEAKED_SLOTS: "{slots} are held by responses that were collected unclosed: close responses, with a `with` block",
    c.UNREAD: "{slots} are held by responses that nobody has begun to read",
    c.CONNECTING: "{slots} are still connecting, {most}",
    c.STREAMING: "{slots} are held by responses that are being read, {most}",
    c.OTHER_ORIGIN: "{slots} were taken by another origin, {most}: give it a pool of its own",
    c.SLOW_ORIGIN: "{slots} have awaited an answer of {most} for at least half of the wait",
    c.BURST: "{slots} changed hands during the wait: there are more requests at once than connections",
    c.UNKNOWN: "what holds the connections cannot be seen: they are older than the instrumentation, or there are none",
}

_SENDING = "{slots} have been sending a request to {most} for at least half of the wait"


@dataclass(frozen=True, slots=True)
class Holders:
    """The slots that one origin holds in one phase. Ages are seconds. origin: address:port. phase: as in a snapshot."""

    origin: str
    phase: str
    count: int
    youngest_seconds: float
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one request got no connection.

    cause: a value of `http.client.connection.timeout.cause`. origin: address:port that it waited for. ahead: requests
    that had waited longer. holders: largest group first. oldest: the oldest slots, at most three, those that nobody
    holds any more included. The rest is as in a snapshot.
    """

    pool: str
    cause: str
    reason: str
    origin: str
    waited_seconds: float
    ahead: int
    waiting: int
    max_connections: int | None
    in_use: int
    idle: int
    orphaned: int
    holders: tuple[Holders, ...]
    oldest: tuple[HeldConnection, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        return asdict(self)

    def attributes(self) -> dict[str, str | int | float]:
        """Give what goes onto a span."""
        return {
            c.POOL: self.pool,
            c.CAUSE: self.cause,
            c.WAIT_SECONDS: self.waited_seconds,
            c.IN_USE.name: self.in_use,
            c.PENDING.name: self.waiting,
            c.ORPHANED.name: self.orphaned,
            "http.client.connection.timeout.reason": self.reason,
        }

    def __str__(self) -> str:
        limit = "unlimited" if self.max_connections is None else self.max_connections
        waited = f"waited {self.waited_seconds:.2f} s for {self.origin}, {self.ahead} ahead of it"
        pool = f"{self.in_use}/{limit} in use, {self.idle} idle, {self.orphaned} orphaned, {self.waiting} waiting"
        lines = [f"{self.cause}: {self.reason}", f"  {waited}; pool {self.pool!r}: {pool}"]
        lines += [
            f"  {one.count} {one.phase}, {one.origin}, {one.youngest_seconds:.2f} to {one.oldest_seconds:.2f} s"
            for one in self.holders[:_GROUPS]
        ]
        return "\n".join([*lines, *(f"  oldest: {described(slot)}" for slot in self.oldest)])


def described(slot: HeldConnection) -> str:
    """Give a slot as a few words, with what is known of the program."""
    place = "".join(
        f", {word}" for word in (slot.place, slot.runner, slot.trace_id and f"trace {slot.trace_id}") if word
    )
    return f"{slot.method or 'no request'} {_origin(slot)}, {slot.phase} for {slot.age_seconds:.2f} s{place}"


def judge(seen: PoolSnapshot, address: str, port: str, since: float, now: float) -> Verdict:
    """Say why a request for this origin got no connection between these two monotonic seconds."""
    origin, waited_seconds = f"{address}:{port}", now - since
    slots = [*seen.lost, *_one_a_connection(seen.held)]
    causes = Counter(_causes(seen, slots, origin, waited_seconds))
    cause = max(CAUSES, key=lambda one: (causes[one], -CAUSES.index(one))) if causes else c.UNKNOWN
    return Verdict(
        pool=seen.name,
        cause=cause,
        reason=_reason(cause, causes, slots, origin, waited_seconds),
        origin=origin,
        waited_seconds=waited_seconds,
        ahead=bisect_left(seen.waiting_seconds, since - seen.taken_at, key=lambda seconds: -seconds),
        waiting=seen.waiting,
        max_connections=seen.max_connections,
        in_use=seen.in_use,
        idle=seen.idle,
        orphaned=seen.orphaned,
        holders=_grouped(slots),
        oldest=tuple(sorted(slots, key=lambda slot: -slot.age_seconds)[:_OLDEST]),
    )


def _causes(seen: PoolSnapshot, slots: list[HeldConnection], origin: str, waited_seconds: float) -> Iterator[str]:
    """Give the cause that each slot of the pool stands for."""
    yield from (_cause(slot, origin, waited_seconds) for slot in slots)
    yield from [c.UNKNOWN] * seen.unseen
    # What is free now was not while it waited; what is in use by nobody was given to one that has not begun yet.
    if (slots or seen.idle or seen.in_use) and seen.max_connections is not None:
        yield from [c.BURST] * (seen.max_connections - len(slots) - seen.unseen)


def _cause(slot: HeldConnection, origin: str, waited_seconds: float) -> str:
    if slot.phase in _LOST:
        return _LOST[slot.phase]
    stood = slot.age_seconds >= max(waited_seconds * _MOST_OF_THE_WAIT, _LEAST_SECONDS)
    if stood and slot.phase in _BY_PHASE:
        return slot.phase
    if _origin(slot) != origin:
        return c.OTHER_ORIGIN
    return c.SLOW_ORIGIN if stood else c.BURST


def _reason(cause: str, causes: Counter[str], slots: list[HeldConnection], origin: str, waited_seconds: float) -> str:
    concerned = [slot for slot in slots if _cause(slot, origin, waited_seconds) == cause]
    most = Counter(_origin(slot) for slot in concerned).most_common(1)
    count = f"{causes[cause]} of {causes.total()} connections"
    sending = 2 * sum(slot.phase == SENDING for slot in concerned) > len(concerned)
    sentence = _SENDING if cause == c.SLOW_ORIGIN and sending else _SENTENCES[cause]
    return sentence.format(slots=count, most=f"{most[0][0]}" if most else origin)


def _one_a_connection(held: tuple[HeldConnection, ...]) -> list[HeldConnection]:
    """Give each connection once, with the request that has had it longest: HTTP/2 serves several on one."""
    first: dict[int, HeldConnection] = {}
    for one in held:
        first.setdefault(one.connection_id, one)
    return list(first.values())


def _grouped(slots: list[HeldConnection]) -> tuple[Holders, ...]:
    ages: dict[tuple[str, str], list[float]] = {}
    for slot in slots:
        ages.setdefault((_origin(slot), slot.phase), []).append(slot.age_seconds)
    groups = [Holders(*key, len(seconds), min(seconds), max(seconds)) for key, seconds in ages.items()]
    return tuple(sorted(groups, key=lambda one: (-one.count, -one.oldest_seconds)))


def _origin(slot: HeldConnection) -> str:
    return f"{slot.address}:{slot.port}"

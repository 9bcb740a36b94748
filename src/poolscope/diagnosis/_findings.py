"""The table of findings: what each is called, how much it matters, what judges it, how to fix it.

A severity says what a finding costs. info: nothing yet, a setting does less than it seems. warning: time or connections
now, or an outage as soon as a server is slow. error: requests fail or slots are lost.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from poolscope.alerts.links import Links
from poolscope.diagnosis import _connections, _limits, _use
from poolscope.diagnosis._evidence import Evidence
from poolscope.diagnosis._limits import Proof

Severity = Literal["info", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
"""The milder first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a pool or with its use.

    code: its name. evidence: the numbers that prove it, units in their names, and what they are about. says: the same
    in one line. fix: what to do, in one sentence. url: its page, a path in the project's repository;
    `poolscope export findings` writes the pages out of the installed package.
    """

    code: str
    severity: Severity
    pool: str
    evidence: Mapping[str, float | str]
    says: str
    fix: str
    url: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.code}: pool {self.pool!r}: {self.says}. {self.fix} {self.url}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. fix: may name the evidence. unless: rules whose findings explain this one away.

    inside: only the process itself can see it. timed: it needs the seconds between the two moments.
    """

    code: str
    severity: Severity
    judge: Callable[[Evidence], Proof | None]
    fix: str
    unless: tuple[str, ...] = ()
    inside: bool = False
    timed: bool = False


def _rule(
    severity: Severity,
    judge: Callable[[Evidence], Proof | None],
    fix: str,
    *unless: Callable[[Evidence], Proof | None],
    inside: bool = False,
    timed: bool = False,
) -> Rule:
    return Rule(_code(judge), severity, judge, fix, tuple(_code(other) for other in unless), inside, timed)


def _code(judge: Callable[[Evidence], Proof | None]) -> str:
    return judge.__name__.replace("_", "-")


RULES: tuple[Rule, ...] = (
    _rule(
        "error",
        _use.responses_not_closed,
        "Close every streamed response: use `with client.stream(...)`, or `response.close()` in a finally.",
    ),
    _rule(
        "error",
        _connections.orphaned_slots,
        "Replace the client to have the slots back, and use a pool timeout where requests are cancelled while they"
        " wait: httpx2 loses none by that.",
        _use.client_across_event_loops,
    ),
    _rule(
        "error",
        _use.client_across_event_loops,
        "Make one client per event loop, and close it in the loop that used it.",
        inside=True,
    ),
    _rule(
        "warning",
        _connections.client_not_closed,
        "Close the client where it was made: `with httpx.Client() as client`, or `await client.aclose()` at shutdown.",
    ),
    _rule(
        "warning",
        _connections.client_per_request,
        "Make one client at start-up and share it: connections are reused only within a client.",
    ),
    _rule(
        "warning",
        _use.event_loop_lag,
        "Move blocking work off the event loop (`asyncio.to_thread`): a larger pool would not shorten these waits.",
        inside=True,
    ),
    _rule(
        "warning",
        _use.origin_starvation,
        "Give {holder} a client of its own, so that it can fill only its own pool.",
        timed=True,
    ),
    _rule(
        "warning",
        _limits.pool_too_small,
        "Raise max_connections to {connections_needed}, or make requests hold connections for a shorter time.",
        _use.responses_not_closed,
        _connections.orphaned_slots,
        _use.origin_starvation,
        _use.event_loop_lag,
        _connections.keepalive_below_concurrency,
        timed=True,
    ),
    _rule(
        "warning",
        _limits.no_pool_timeout,
        "Give every request a pool timeout, such as `httpx.Timeout(10, pool=2)`.",
        inside=True,
    ),
    _rule(
        "warning",
        _limits.pool_timeout_too_long,
        "Set the pool timeout to what a caller still waits for, such as `httpx.Timeout(10, pool=2)`.",
        _limits.no_pool_timeout,
    ),
    _rule(
        "warning",
        _limits.unbounded_pool,
        "Set max_connections to what the server is meant to bear.",
    ),
    _rule(
        "warning",
        _connections.keepalive_below_concurrency,
        "Set max_keepalive_connections to max_connections: httpcore 1.x counts all connections against it; httpx2"
        " counts the idle ones alone.",
    ),
    _rule(
        "warning",
        _connections.keepalive_equal_to_max,
        "Raise max_connections above the sum of what the origins keep idle, or give each busy origin its own client.",
    ),
    _rule(
        "warning",
        _connections.keepalive_expiry_too_long,
        "Set keepalive_expiry below the server's own keep-alive timeout.",
        _connections.client_per_request,
    ),
    _rule(
        "warning",
        _use.responses_not_read,
        "Read responses to their end before closing them, or ask the server for less.",
    ),
    _rule(
        "warning",
        _use.http2_stream_queue,
        "Spread the requests over more clients, or raise the server's limit of concurrent streams.",
    ),
    _rule(
        "warning",
        _use.ignored_configuration,
        "Give these to the transport, or make the client without `transport=` and call `poolscope.instrument(client)`.",
        inside=True,
    ),
    _rule(
        "info",
        _limits.pool_too_large,
        "Lower max_connections to what the server is meant to bear; {connections_needed:.0f} is twice what was seen.",
    ),
    _rule(
        "info",
        _connections.connections_too_old,
        "Replace the client now and then, or have the server close connections after some minutes or requests.",
    ),
)


def findings(evidence: Evidence) -> list[Finding]:
    """Judge one pool; the most severe first, then in the table's order."""
    proofs = {rule.code: proof for rule in RULES if (proof := rule.judge(evidence)) is not None}
    told = [rule for rule in RULES if rule.code in proofs and not any(code in proofs for code in rule.unless)]
    return most_severe_first(_finding(rule, evidence.pool, *proofs[rule.code]) for rule in told)


def most_severe_first(found: Iterable[Finding]) -> list[Finding]:
    """Order findings by what they cost."""
    return sorted(found, key=lambda finding: -SEVERITIES.index(finding.severity))


def _finding(rule: Rule, pool: str, numbers: dict[str, float | str], says: str) -> Finding:
    url = Links().finding(rule.code)
    return Finding(rule.code, rule.severity, pool, MappingProxyType(numbers), says, rule.fix.format(**numbers), url)

"""Findings about how a program uses its client: what it does with responses, origins, event loops, arguments.

Each function gives the numbers that prove its finding and a line that says them, or None.
"""

from poolscope import _contract as c
from poolscope.diagnosis import _thresholds as t
from poolscope.diagnosis._evidence import Evidence, Where, above, mean, named
from poolscope.diagnosis._limits import Proof


def responses_not_read(evidence: Evidence) -> Proof | None:
    """Find responses that were closed before their end, which costs the connection."""
    unread, requests = evidence.increase(c.CLOSED, {c.REASON: c.RESPONSE_UNREAD}), evidence.checkouts
    if unread < max(t.FEWEST_CLOSES, t.UNREAD_SHARE * requests):
        return None
    return (
        {"responses_not_read": unread, "requests": requests},
        (
            f"{unread:.0f} connections were closed because their response was not read to its end, for {requests:.0f}"
            " requests"
        ),
    )


def responses_not_closed(evidence: Evidence) -> Proof | None:
    """Find responses that were forgotten: collected unclosed, or kept and never looked at."""
    leaked = evidence.increase(c.LEAKED, {c.LEAK: c.RESPONSE_UNCLOSED})
    held = () if evidence.snapshot is None else evidence.snapshot.held
    forgotten = [one.age_seconds for one in held if one.phase == c.UNREAD and one.age_seconds > t.UNREAD_SECONDS]
    if not leaked and not forgotten:
        return None
    oldest = max(forgotten, default=0.0)
    says = f"responses collected unclosed: {leaked:.0f}"
    if evidence.snapshot is not None:  # else nobody saw what is held
        says += f"; holding a connection unread for more than {t.UNREAD_SECONDS:.0f} s: {len(forgotten)}"
    if forgotten:
        says += f", the longest {oldest:.0f} s"
    return (
        {"responses_leaked": leaked, "responses_forgotten": len(forgotten), "oldest_forgotten_seconds": oldest},
        says,
    )


def origin_starvation(evidence: Evidence) -> Proof | None:
    """Find a slow origin that holds the pool while requests to a fast one wait for it."""
    limit, seconds, origins = evidence.limit, evidence.seconds, evidence.origins()
    if limit is None or not seconds or len(origins) < 2:
        return None
    uses = {named(origin): evidence.growth(c.USE_TIME, origin) for origin in origins}
    held = {
        named(origin): max(uses[named(origin)].sum / seconds, evidence.level(c.CHECKED_OUT, origin))
        / (limit * evidence.pools)
        for origin in origins
    }
    holder = max(held, key=held.__getitem__)
    if held[holder] < t.HOLDER_SHARE:
        return None
    for origin in origins:
        starved = named(origin)
        if starved == holder or not _waits(evidence, origin):
            continue
        slow, fast = mean(uses[holder]), mean(uses[starved])
        if uses[holder].count and slow < t.HOLDER_FACTOR * fast:
            continue
        waits = evidence.growth(c.WAIT_TIME, origin)
        return (
            {
                "holder": holder,
                "starved": starved,
                "held_share": held[holder],
                "starved_wait_seconds": mean(waits),
                "starved_use_seconds": fast,
                "starved_timeouts": evidence.increase(c.TIMEOUTS, origin),
            },
            (
                f"{holder} holds {held[holder]:.0%} of the slots, while {waits.count} requests to {starved} waited"
                f" {mean(waits):.3f} s on average for {fast:.3f} s of use"
            ),
        )
    return None


def _waits(evidence: Evidence, origin: Where) -> bool:
    """Whether waiting is a good part of what requests to this origin do, timeouts and those that wait now included."""
    waits, uses = evidence.growth(c.WAIT_TIME, origin), evidence.growth(c.USE_TIME, origin)
    slow = above(waits, t.WAIT_SECONDS)
    return slow >= t.FEWEST_CLOSES and waits.sum >= t.STARVED_SHARE * (waits.sum + uses.sum)


def http2_stream_queue(evidence: Evidence) -> Proof | None:
    """Find requests that have a connection and wait for a stream on it."""
    waits = evidence.growth(c.STREAM_WAIT_TIME)
    slow = above(waits, t.STREAM_WAIT_SECONDS)
    if slow < max(t.FEWEST_CLOSES, t.WAITING_SHARE * waits.count):
        return None
    return (
        {
            "requests": waits.count,
            f"stream_waits_over_{t.STREAM_WAIT_SECONDS:g}_seconds": slow,
            "stream_wait_seconds": mean(waits),
        },
        (
            f"{slow} of {waits.count} HTTP/2 requests waited more than {t.STREAM_WAIT_SECONDS:g} s for a stream on a"
            f" connection they had, {mean(waits):.3f} s on average"
        ),
    )


def event_loop_lag(evidence: Evidence) -> Proof | None:
    """Find waits that are the event loop's: requests were given a slot and did not run on."""
    seen = evidence.seen
    if seen is None or not seen.asynchronous or seen.late_times < t.LATE_COUNT:
        return None
    if seen.late_hand_overs < t.LATE_SHARE * seen.hand_overs:
        return None
    late = seen.late_seconds / seen.late_hand_overs
    return (
        {
            "hand_overs": seen.hand_overs,
            "late_hand_overs": seen.late_hand_overs,
            "late_times": seen.late_times,
            "lag_seconds": late,
        },
        (
            f"{seen.late_hand_overs} of {seen.hand_overs} requests that were given a new connection ran on {late:.3f} s"
            f" later on average, at {seen.late_times} times: the event loop was busy elsewhere"
        ),
    )


def client_across_event_loops(evidence: Evidence) -> Proof | None:
    """Find a client that was used in another event loop without having been closed."""
    changes = 0 if evidence.seen is None else evidence.seen.loop_changes
    if not changes:
        return None
    return (
        {"event_loop_changes": changes},
        f"changes of the event loop while the pool's connections belonged to the one before: {changes}",
    )


def ignored_configuration(evidence: Evidence) -> Proof | None:
    """Find arguments and proxies that a client ignores because it was given a transport."""
    if not evidence.ignored:
        return None
    what = "; ".join(evidence.ignored)
    return {"settings_ignored": len(evidence.ignored), "ignored": what}, f"the client does not use: {what}"

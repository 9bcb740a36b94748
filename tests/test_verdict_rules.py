"""How a verdict is reached, from snapshots that are written down: one rule each, and what is stronger."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolscope import HeldConnection, PoolSnapshot
from poolscope import _contract as c
from poolscope.diagnosis._verdict import CAUSES, judge

OURS, OTHERS = ("api.test", "443"), ("slow.test", "443")
PHASES = ("connecting", "sending", "awaiting headers", "unread", "streaming")


def slots(count, phase, seconds, origin=OURS, first=0):
    method = "" if phase == "orphaned" else "GET"
    return [HeldConnection(first + n, *origin, "1.1", method, phase, seconds) for n in range(count)]


def pool(*held, size=4, idle=0, unseen=0, waiting=()):
    lost = [slot for slot in held if slot.phase in ("orphaned", "abandoned")]
    rest = tuple(slot for slot in held if slot not in lost)
    return PoolSnapshot(
        "p", size, size, 5.0, len(held), 0, idle, 0, len(waiting), (), rest, tuple(lost), tuple(waiting), unseen, 100.0
    )


def cause(seen, waited=2.0):
    return judge(seen, *OURS, 100.0 - waited, 100.0).cause


def test_slots_that_have_just_been_given_to_others_changed_hands():
    """They are in use, and nobody holds them yet: it is not that they cannot be seen."""
    assert cause(replace(pool(), in_use=4)) == c.BURST


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (slots(4, "orphaned", 9), c.ORPHANED_SLOTS),
        (slots(4, "abandoned", 9), c.LEAKED_SLOTS),
        (slots(4, "abandoned", 0.1), c.LEAKED_SLOTS),
        (slots(4, "unread", 9), c.UNREAD),
        (slots(4, "unread", 9, OTHERS), c.UNREAD),
        (slots(4, "connecting", 9, OTHERS), c.CONNECTING),
        (slots(4, "streaming", 9), c.STREAMING),
        (slots(4, "awaiting headers", 9), c.SLOW_ORIGIN),
        (slots(4, "sending", 9), c.SLOW_ORIGIN),
        (slots(4, "sending", 9, OTHERS), c.OTHER_ORIGIN),
        (slots(4, "awaiting headers", 0.1, OTHERS), c.OTHER_ORIGIN),
        (slots(4, "awaiting headers", 0.9), c.BURST),
        (slots(4, "awaiting headers", 1.0), c.SLOW_ORIGIN),
        (slots(4, "unread", 0.9), c.BURST),
        (slots(4, "connecting", 0.9), c.BURST),
        ([], c.UNKNOWN),
    ],
)
def test_what_held_the_slots_is_the_cause(held, expected):
    """A slot that was held for half of the wait or more counts by what held it; a younger one changed hands."""
    assert cause(pool(*held)) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (pool(*slots(1, "streaming", 9), *slots(3, "awaiting headers", 9, first=1)), c.SLOW_ORIGIN),
        (pool(*slots(2, "orphaned", 9), *slots(2, "awaiting headers", 9, first=2)), c.ORPHANED_SLOTS),
        (pool(*slots(2, "unread", 9), *slots(2, "connecting", 9, first=2)), c.UNREAD),
        (pool(*slots(1, "awaiting headers", 9), idle=3), c.BURST),
        (pool(*slots(1, "awaiting headers", 9), unseen=3), c.UNKNOWN),
        (pool(idle=4), c.BURST),
        (pool(*slots(1, "awaiting headers", 9), size=None), c.SLOW_ORIGIN),
    ],
)
def test_most_slots_decide_and_what_can_be_mended_comes_first(seen, expected):
    assert cause(seen) == expected


def test_a_short_wait_makes_nobody_slow():
    """With no time to wait at all, a hold of some milliseconds is none that is to blame."""
    assert cause(pool(*slots(4, "awaiting headers", 0.02)), waited=0.001) == c.BURST
    assert cause(pool(*slots(4, "awaiting headers", 0.06)), waited=0.001) == c.SLOW_ORIGIN


@pytest.mark.parametrize(
    ("sending", "words"), [(3, "have been sending a request to"), (2, "have awaited an answer of")]
)
def test_a_slow_upload_is_not_said_to_await_an_answer(sending, words):
    """The server may wait for the program's own generator."""
    held = [*slots(sending, "sending", 9), *slots(4 - sending, "awaiting headers", 9, first=sending)]
    verdict = judge(pool(*held), *OURS, 98.0, 100.0)
    assert verdict.reason == f"4 of 4 connections {words} {':'.join(OURS)} for at least half of the wait"


def test_requests_that_share_a_connection_count_once():
    """HTTP/2: the connection is the slot, and the oldest of its requests says since when it is taken."""
    shared = [HeldConnection(7, *OTHERS, "2", "GET", "awaiting headers", age) for age in (9.0, 0.2, 0.1)]
    verdict = judge(pool(*shared, size=1), *OURS, 98.0, 100.0)
    assert (verdict.cause, verdict.holders[0].count) == (c.OTHER_ORIGIN, 1)


def test_ahead_are_those_that_have_waited_longer():
    """Not itself; and a picture that is a little older than the time-out says the same."""
    seen = pool(*slots(4, "unread", 9), waiting=(5.0, 3.0, 2.0, 1.0))
    for age in (0.0, 0.05):
        assert judge(replace(seen, taken_at=100.0 - age), *OURS, 98.0 - age, 100.0).ahead == 2


def test_the_text_is_bounded():
    """Sixty origins in five phases: six groups and three of the oldest are told."""
    held = [
        HeldConnection(n, f"host{n % 60}.test", "443", "1.1", "GET", PHASES[n % 5], n, "a.py:1") for n in range(500)
    ]
    verdict = judge(pool(*held, size=500), *OURS, 98.0, 100.0)
    lines = str(verdict).splitlines()
    assert len(lines) == 2 + 6 + 3
    assert max(map(len, lines)) < 200
    assert sum(group.count for group in verdict.holders) == 500


held_slots = st.builds(
    HeldConnection,
    st.integers(0, 30),
    st.sampled_from(["api.test", "slow.test"]),
    st.just("443"),
    st.just("1.1"),
    st.just("GET"),
    st.sampled_from([*PHASES, "orphaned", "abandoned"]),
    st.floats(0, 100),
)


@given(
    st.lists(held_slots, max_size=20),
    st.integers(0, 20) | st.none(),
    st.integers(0, 5),
    st.integers(0, 5),
    st.floats(0, 50),
)
def test_every_picture_has_one_verdict(held, size, idle, unseen, waited):
    """Whatever it shows: a cause of the contract, and no slot counted twice."""
    verdict = judge(pool(*held, size=size, idle=idle, unseen=unseen), *OURS, 100.0 - waited, 100.0)
    assert verdict.cause in c.CAUSES
    lost = sum(slot.phase in ("orphaned", "abandoned") for slot in held)
    assert sum(group.count for group in verdict.holders) <= lost + len({slot.connection_id for slot in held})
    assert str(verdict).startswith(f"{verdict.cause}: ")


def test_every_cause_of_the_contract_can_be_the_verdict():
    assert sorted(CAUSES) == sorted(c.CAUSES)

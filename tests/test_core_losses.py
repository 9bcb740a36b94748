"""What a pool has lost, told to the number: holds that are too long, responses that nobody closed, slots of nobody."""

import pytest

from ledger import Ledger
from poolscope import _contract as c
from poolscope._snapshot import picture


def desk(limit=None, connections=3):
    """A ledger whose pool has every connection that was made; `look` brings its losses up to date."""
    ledger = Ledger(connections)
    ledger.losses = ledger.pool.losses
    ledger.losses.held_too_long_seconds = limit
    ledger.losses.kept = lambda: ledger.kept
    ledger.look = lambda at: ledger.losses.look(ledger.pool.checkouts.copy(), at)
    return ledger


def test_a_hold_of_the_limit_is_a_leak_once_and_its_end_is_told():
    """At the limit and not before; with its age and phase; given back at the second that it ended."""
    ledger = desk(limit=10.0)
    request, connection = ledger.hold(1.0)
    ledger.facts()
    ledger.look(10.5)
    assert ledger.facts() == []
    ledger.look(11.0)
    ledger.look(12.0)
    assert ledger.facts() == [("Leaked", 11.0, c.HELD_TOO_LONG, 1, 10.0, "awaiting headers", request)]
    ledger.hold(11.5)
    ledger.facts()
    ledger.look(21.5)
    assert ledger.counted(21.5)["leaks", c.HELD_TOO_LONG] == 2
    request.phase = c.STREAMING
    ledger.pool.end(request, True, False, 22.0)
    ledger.facts()
    ledger.look(30.0)
    ledger.look(31.0)
    assert ledger.facts() == [("GivenBack", 30.0, 21.0, c.STREAMING, request)]
    assert connection.tally is request.tally


def test_without_a_limit_or_as_another_protocol_a_hold_may_last():
    """No threshold, no leak; a WebSocket is meant to last; who waits holds nothing."""
    without, with_one = desk(), desk(limit=1.0)
    without.hold(1.0)
    without.facts()
    without.look(1000.0)
    _, socket = with_one.hold(1.0)
    socket.upgraded = True
    waits = with_one.request(1.0)
    with_one.pool.offer(waits, with_one.idle(1.0), 2.0)
    with_one.facts()
    with_one.look(1000.0)
    assert (without.facts(), with_one.facts()) == ([], [])
    _, other = with_one.hold(1.0)
    with_one.facts()
    with_one.look(1000.0)
    assert [fact[:3] for fact in with_one.facts()] == [("Leaked", 1000.0, c.HELD_TOO_LONG)]
    assert not other.upgraded


def test_a_response_that_nobody_closed_is_a_leak_until_its_slot_is_free():
    """Counted once, with its age; its slot is abandoned, not orphaned."""
    ledger = desk(limit=3.0)
    request, connection = ledger.hold(1.0, method="POST")
    ledger.look(5.0)
    ledger.facts()
    ledger.losses.dropped(request, 6.0)
    ledger.pool.end(request, False, False, 6.0)
    assert ledger.facts()[0] == ("Leaked", 6.0, c.RESPONSE_UNCLOSED, 1, 5.0, "sending", request)
    ledger.look(7.0)
    assert ledger.facts() == [], "what nobody will give back is told once"
    assert (ledger.losses.lost, ledger.losses.orphaned) == ({connection}, set())
    [slot] = picture(ledger.pool, 5.0, 8.0).lost
    assert (slot.phase, slot.age_seconds, slot.method, slot.connection_id) == ("abandoned", 7.0, "POST", connection.id)
    ledger.losses.dropped(request, 9.0)
    assert ledger.losses.leaks[c.RESPONSE_UNCLOSED] == 1
    ledger.pool.slots.closed(connection, c.FAILED, 10.0)
    ledger.look(11.0)
    assert (ledger.losses.abandoned, ledger.losses.lost) == ({}, set())


@pytest.mark.parametrize("how", ["upgraded", "closing", "out of the pool", "no connection"])
def test_a_response_whose_connection_goes_anyway_is_no_leak(how):
    """Another protocol's, one that the pool is closing or has given up, or none at all."""
    ledger = desk()
    request, connection = ledger.hold(1.0)
    connection.upgraded = how == "upgraded"
    connection.closing = c.POOL_CLOSED if how == "closing" else ""
    connection.in_pool = how != "out of the pool"
    request.connection = None if how == "no connection" else connection
    ledger.losses.dropped(request, 2.0)
    assert (ledger.losses.abandoned, set(ledger.losses.leaks.values())) == ({}, {0})


def test_a_pool_that_was_collected_says_how_many_it_left_open():
    """A leak of the whole pool, with no origin and no request; what has no socket is not open."""
    ledger = desk()
    assert ledger.losses.held_too_long_seconds is None
    ledger.open(1.0)
    ledger.idle(1.0)
    ledger.reserve(1.0)
    given_up = ledger.open(1.0)
    ledger.pool.slots.detached(given_up, 2.0)
    assert ledger.losses.still_open() == 2
    ledger.facts()
    ledger.losses.collected(2, 3.0)
    assert ledger.facts() == [("Leaked", 3.0, c.POOL_UNCLOSED, 2, 0.0, "", None)]
    ledger.losses.collected(1, 3.5)
    assert ledger.counted(4.0)["leaks", c.POOL_UNCLOSED] == 2


def test_an_active_connection_of_nobody_is_orphaned_until_it_is_idle():
    """Told once as lost and once as found; counted while it is so."""
    ledger = desk()
    connection = ledger.open(1.0)
    ledger.facts()
    ledger.look(2.0)
    ledger.look(3.0)
    assert ledger.facts() == [("SlotOrphaned", 2.0, connection.id, c.ACTIVE)]
    assert ledger.counted(3.0)["orphaned",] == 1
    [slot] = picture(ledger.pool, 5.0, 4.0).lost
    assert (slot.phase, slot.age_seconds, slot.method, slot.address, slot.port) == ("orphaned", 3.0, "", "shop", "80")
    assert (slot.connection_id, slot.protocol) == (connection.id, "1.1")
    connection.probe().idle = True
    ledger.look(5.0)
    ledger.look(6.0)
    assert ledger.facts() == [("SlotRecovered", 5.0, connection.id)]


def test_a_slot_that_never_connects_is_orphaned_after_a_quarter_of_a_second():
    """Not sooner, because a request may be on its way to it; its word is connecting."""
    ledger = desk()
    connection = ledger.reserve(1.0)
    ledger.look(1.125)
    assert ledger.facts() == []
    ledger.look(1.25)
    assert ledger.facts() == [("SlotOrphaned", 1.25, connection.id, c.CONNECTING)]
    later = ledger.reserve(2.0)
    ledger.pool.slots.connecting(later, None, 2.5)
    ledger.facts()
    ledger.look(2.625)
    assert ledger.facts() == [], "it began to connect just now"
    ledger.look(2.75)
    assert ledger.facts() == [("SlotOrphaned", 2.75, later.id, c.CONNECTING)]


@pytest.mark.parametrize("how", ["idle", "closed", "collected", "stranger", "upgraded", "forgotten", "owned"])
def test_a_slot_that_somebody_may_own_is_not_orphaned(how):
    """Idle, closed or collected; known to another; of another protocol; forgotten by the pool; a request's."""
    ledger = desk()
    connection = ledger.open(1.0)
    probe = connection.probe()
    probe.idle, probe.closed = how == "idle", how == "closed"
    connection.stranger, connection.upgraded = how == "stranger", how == "upgraded"
    other = ledger.open(1.0)
    if how == "collected":
        connection.probe = lambda: None
    if how == "forgotten":
        ledger.kept.discard(id(probe))
    if how == "owned":
        ledger.pool.offer(ledger.request(2.0), connection, 2.0)
    ledger.look(5.0)
    assert ledger.losses.lost == {other}


def test_where_the_pool_cannot_be_asked_nothing_is_lost():
    """No list of its connections, no orphan."""
    ledger = desk()
    ledger.losses.kept = lambda: None
    ledger.open(1.0)
    ledger.look(5.0)
    assert (ledger.losses.lost, ledger.losses.unseen()) == (set(), 0)


@pytest.mark.parametrize(
    ("entered", "port", "ended", "orphaned"),
    [
        (0.5, 80, False, False),
        (1.0, 80, False, False),
        (1.5, 80, False, True),  # it came after the slot was taken
        (0.5, 81, False, True),  # it waits for another origin
        (0.5, 80, True, True),
    ],
)
def test_a_slot_may_be_an_earlier_waiting_requests(entered, port, ended, orphaned):
    """One that waits for this origin and came before the slot was taken may have been given it."""
    ledger = desk()
    heir = ledger.request(entered, port=port)
    connection = ledger.reserve(1.0)
    if ended:
        heir.ended = True
    ledger.look(5.0)
    assert (connection in ledger.losses.lost) is orphaned


def test_an_uncounted_waiting_request_may_be_any_slots_heir():
    """A plain request's origin is not known until it is counted."""
    ledger = desk()
    heir = ledger.request(0.5, port=81)
    heir.tally = None
    connection = ledger.reserve(1.0)
    ledger.look(5.0)
    assert connection not in ledger.losses.lost
    heir.connection = ledger.open(2.0)
    ledger.look(6.0)
    assert connection in ledger.losses.lost, "it has another connection"


def test_connections_older_than_the_instrumentation_are_unseen():
    """What the pool has and we did not make."""
    ledger = desk()
    ledger.open(1.0)
    ledger.losses.kept = lambda: {id(one.probe()) for one in ledger.pool.slots.taken.values()} | {1, 2}
    assert ledger.losses.unseen() == 2
    assert picture(ledger.pool, 5.0, 2.0).unseen == 2


def test_a_pool_that_was_told_nothing_loses_nothing():
    """No limit of a hold, no list of the pool's connections."""
    ledger = Ledger()
    ledger.hold(1.0)
    ledger.open(1.0)
    ledger.pool.losses.look(ledger.pool.checkouts.copy(), 1000.0)
    assert (ledger.pool.losses.lost, set(ledger.pool.losses.leaks.values())) == (set(), {0})


@pytest.mark.parametrize(("protocol", "phase"), [("1.1", "sending"), ("2", "awaiting headers"), ("", "connecting")])
def test_a_leak_says_what_its_request_was_about(protocol, phase):
    """By its connection's state and protocol, as a snapshot would."""
    ledger = desk(limit=5.0)
    request = ledger.post(1.0, protocol)
    ledger.facts()
    ledger.look(9.0)
    assert ledger.facts() == [("Leaked", 9.0, c.HELD_TOO_LONG, 1, 8.0, phase, request)]

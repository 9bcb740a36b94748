"""Plain requests: counted in bulk as each would have been alone, and taken into the state machine as far as they came.

The seconds of a story are all different, so that no number can stand in for another.
"""

from types import SimpleNamespace

import pytest

from ledger import Ledger, target
from poolscope import _contract as c
from poolscope._plain import serves
from poolscope._records import Checkout

TRACE = type("Trace", (), {"span_context": "span", "epoch": 1000.0})()


def test_ended_plain_requests_are_counted_once_all_together():
    """Waits, uses and durations by their own origin, method and status; nothing is told of them one by one."""
    ledger = Ledger()
    here, there = ledger.idle(0.0), ledger.idle(0.0, port=81)
    ledger.facts()
    for connection, method, status, entered, offered, ended in (
        (here, "GET", 200, 1.0, 1.25, 2.0),
        (here, "GET", 200, 3.0, 3.5, 5.0),
        (here, "POST", 201, 6.0, 6.0, 6.5),
        (there, "BREW", 418, 7.0, 7.125, 8.0),
    ):
        port = 80 if connection is here else 81
        ledger.leave(ledger.guest(offered, connection, method, port, entered), ended, status)
    assert ("checkouts",) not in ledger.counted(8.5)
    ledger.pool.fold(9.0)
    ledger.pool.fold(9.5)
    assert ledger.facts() == []
    assert ledger.pool.checkouts == set()
    seen = ledger.counted(10.0)
    assert {
        key: value for key, value in seen.items() if key[0] not in ("max", "idle.max", "pools", "pools.opened")
    } == {
        ("checkouts",): 3,
        ("acquisitions", c.REUSED): 3,
        ("wait_time",): (3, 0.75),
        ("use_time",): (3, 2.75),
        ("create_time", ""): (1, 0.0),
        ("opened",): 1,
        ("open_connections", "idle", "1.1"): 1,
        ("request.duration", "GET", 200, "", "1.1"): (2, 3.0),
        ("request.duration", "POST", 201, "", "1.1"): (1, 0.5),
        ("checkouts", "81"): 1,
        ("acquisitions", "81", c.REUSED): 1,
        ("wait_time", "81"): (1, 0.125),
        ("use_time", "81"): (1, 0.875),
        ("create_time", "81", ""): (1, 0.0),
        ("opened", "81"): 1,
        ("open_connections", "81", "idle", "1.1"): 1,
        ("request.duration", c.OTHER, "81", 418, "418", "1.1"): (1, 1.0),
        ("busy_time",): 3.625,
    }
    assert (here.requests, here.idle_at, there.requests, there.idle_at) == (3, 6.5, 1, 8.0)


def test_one_that_lost_its_connection_as_it_ended_keeps_nobody_from_being_counted():
    """It has no connection to count at; those after it have."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    refused, fine = ledger.guest(1.0, connection), ledger.guest(1.5, connection)
    ledger.leave(refused, 2.0)
    ledger.leave(fine, 3.0)
    refused.connection = None
    ledger.pool.fold(4.0)
    assert ledger.counted(5.0)["use_time",] == (1, 1.5)


def test_whoever_asked_for_whole_requests_is_given_each_that_was_plain():
    """One that was taken in while it ended is told step by step instead, at the second of its end."""
    ledger = Ledger()
    whole = []
    ledger.pool.journal.want(Checkout, whole.append)
    connection = ledger.idle(0.0)
    plain = ledger.guest(1.0, connection)
    ledger.leave(plain, 2.0)
    taken_in = ledger.guest(3.0, connection)
    ledger.leave(taken_in, 4.0)
    ledger.pool.engage(taken_in, True)
    ledger.facts()
    ledger.pool.fold(9.0)
    assert whole == [plain]
    assert ("Released", 4.0, 1.0, connection.id) in ledger.facts()
    assert ledger.counted(9.0)["use_time",] == (2, 2.0)


def test_a_traced_plain_request_leaves_its_exemplar():
    """In the bucket of its own wait, at the hand-over's second."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.25, connection, entered=1.0)
    request.trace = TRACE
    ledger.leave(request, 2.0)
    ledger.pool.fold(3.0)
    assert connection.tally.wait_time.exemplars == {c.QUEUE.index(0.25): (0.25, "span", 1001.25)}


def test_a_request_that_was_counted_as_it_came_is_no_second_checkout():
    """One that waited while somebody looked has been counted; its end counts the rest."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    ledger.pool.admit(request)
    ledger.pool.admit(request)
    ledger.leave(request, 2.0)
    ledger.pool.fold(3.0)
    assert ledger.counted(4.0)["checkouts",] == 1


def test_a_look_takes_plain_requests_in_as_far_as_they_have_come():
    """One that waits is counted and stays plain; one whose connection has accepted it holds it since the hand-over."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    waits = Checkout(target(), "GET", 1.0)
    ledger.pool.checkouts.add(waits)
    holds = ledger.guest(2.5, connection, "HEAD", entered=2.0)
    ledger.facts()
    assert ledger.pool.slots.busy == 1
    ledger.pool.settle(3.0)
    ledger.pool.settle(4.0)
    told = ledger.facts()
    assert sorted(told, key=str) == sorted(
        [
            ("RequestStarted", 1.0, "GET"),
            ("CheckoutStarted", 1.0),
            ("RequestStarted", 2.0, "HEAD"),
            ("CheckoutStarted", 2.0),
            ("ConnectionReused", 2.5, connection.id, "1.1", 2.5),
            ("Acquired", 2.5, c.REUSED, 0.5, connection.id, None),
        ],
        key=str,
    )
    assert (waits.plain, holds.plain, connection.plain) == (True, False, False)
    assert (connection.engaged, ledger.pool.slots.guests, ledger.pool.slots.busy) == (holds, {}, 1)
    seen = ledger.counted(5.0)
    assert (seen["checked_out",], seen["pending_requests",], seen["busy_time",]) == (1, 1, 2.5)


def test_one_whose_connection_has_not_accepted_it_is_only_offered():
    """It may yet be refused; the next write says that it was not."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    connection.probe().idle = True
    armed = []
    stream = type("Stream", (), {"arm": lambda self: armed.append(connection)})()
    connection.stream = lambda: stream
    ledger.facts()
    ledger.pool.engage(request)
    assert (request.state, connection.offered, connection.plain, armed) == ("offered", 1, False, [connection])
    assert [fact[0] for fact in ledger.facts()] == ["RequestStarted", "CheckoutStarted"]
    ledger.pool.write(request, connection, 2.0)
    assert ledger.facts()[-1] == ("Acquired", 2.0, c.REUSED, 0.0, connection.id, None)
    assert armed == [connection]


def met(ledger, connection, seconds):
    """Let one plain request after the other be handed the same connection; the first is its guest."""
    first, *others = (ledger.guest(at, connection) for at in seconds)
    ledger.pool.slots.guests[connection] = first
    connection.rivals += others
    return first, *others


@pytest.mark.parametrize("whose", [0, 1, 2])
def test_a_look_takes_in_all_that_met_on_a_connection(whose):
    """Whoever is looked at first: who came first holds it, the others are offered it; each is counted once."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    armed = []
    connection.stream = lambda: SimpleNamespace(arm=lambda: armed.append(connection))
    requests = met(ledger, connection, (1.0, 2.0, 3.0))
    ledger.pool.engage(requests[whose])
    assert [one.state for one in requests] == ["holding", "offered", "offered"]
    assert (connection.holders, connection.offered, connection.rivals) == (1, 2, [])
    assert (ledger.pool.slots.guests, connection.plain, connection.engaged) == ({}, False, requests[0])
    assert not any(one.plain for one in requests)
    assert armed == [connection]
    assert ledger.counted(4.0)["checkouts",] == 3


def test_a_request_counts_where_it_came_in_and_its_connection_where_it_leads():
    """A transport between us and the pool may change its URL, when it has been counted already, as one that waits."""
    ledger = Ledger()
    connection = ledger.idle(0.0, port=81)
    request = ledger.guest(1.0, connection)
    ledger.pool.admit(request)
    request.status, request.ended_at = 200, 3.0
    ledger.pool.ended.append(request)
    ledger.pool.fold(4.0)
    own, leads = request.tally, connection.tally
    assert (own.checkouts, own.acquisitions[c.REUSED], own.use_time.sum, own.wait_time.count) == (1, 1, 2.0, 1)
    assert (leads.checkouts, leads.acquisitions[c.REUSED], leads.use_time.count) == (0, 0, 0)


@pytest.mark.parametrize(("port", "plain"), [(80, True), (81, False)])
def test_a_connection_of_another_origin_than_its_request_takes_no_plain_ones(port, plain):
    """They would count now for the one, now for the other."""
    ledger = Ledger()
    request, connection = ledger.hold(1.0, ledger.open(0.0, port=port))
    assert connection.alias is not plain
    ledger.pool.end(request, True, False, 2.0)
    assert (connection.state, connection.plain) == ("idle", plain)
    ledger.hold(3.0, connection)
    assert connection.alias is not plain


def test_who_writes_has_the_connection_whoever_came_first():
    """The first gave way between the two: it is offered what the other holds, and may be refused yet."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    first, second = met(ledger, connection, (1.0, 2.0))
    ledger.facts()
    ledger.pool.write(second, connection, 3.0)
    assert (first.state, second.state, connection.engaged) == ("offered", "holding", second)
    assert ("Acquired", 2.0, c.REUSED, 0.0, connection.id, None) in ledger.facts()
    ledger.pool.withdraw(first, 4.0)
    assert ledger.facts()[-1] == ("Requeued", 4.0, c.EARLY, connection.id)
    assert (first.state, connection.holders, connection.offered) == ("waiting", 1, 0)


def test_one_that_was_answered_has_had_the_connection_whoever_is_its_guest():
    """A look from another thread may find it between its end and its leaving: it has given up nothing."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    first, second = met(ledger, connection, (1.0, 2.0))
    second.status, second.ended_at = 200, 3.0
    ledger.pool.engage(first)
    ledger.pool.ended.append(second)
    ledger.pool.fold(4.0)
    counted = ledger.counted(5.0)
    assert (first.state, second.state) == ("holding", "done")
    assert (counted["acquisitions", c.REUSED], counted["use_time",]) == (2, (1, 1.0))


def test_when_a_guest_leaves_the_next_is_one():
    """In the order in which they came; one that was refused is none, and one that is neither changes nothing."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    first, second, third, fourth = met(ledger, connection, (1.0, 2.0, 3.0, 4.0))
    slots = ledger.pool.slots
    ledger.pool.withdraw(second, 5.0)
    assert (slots.guests, connection.rivals) == ({connection: first}, [third, fourth])
    slots.left(first, connection)
    slots.left(first, connection)
    assert (slots.guests, connection.rivals, slots.busy) == ({connection: third}, [fourth], 1)
    slots.left(third, connection)
    slots.left(fourth, connection)
    slots.left(fourth, connection)
    assert (slots.guests, connection.rivals, slots.busy) == ({}, [], 0)


@pytest.mark.parametrize(
    ("status", "idle", "closing", "collected", "held", "accepted"),
    [
        (200, True, True, True, True, True),
        ("", False, False, False, False, True),
        ("", True, False, False, False, False),
        ("", False, True, False, False, False),
        ("", False, False, True, False, False),
        ("", False, False, False, True, False),
    ],
)
def test_a_connection_has_accepted_whom_it_answers_or_works_for(status, idle, closing, collected, held, accepted):
    """A response proves it; else it must be there, not idle, nobody else's, and not one that the pool closes."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    request.status = status
    connection.holders = int(held)
    probe = connection.probe()
    probe.idle, probe.closed = idle, True  # a request that failed has closed it
    connection.closing = c.EVICTED if closing else ""
    connection.probe = lambda: None if collected else probe
    assert serves(request, connection) is accepted


def test_a_second_request_on_a_guests_connection_takes_the_guest_in():
    """Both are then in the state machine: the first holds it, the second is offered it and has joined."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    first = ledger.guest(1.0, connection)
    second = ledger.request(2.0)
    ledger.facts()
    ledger.pool.offer(second, connection, 3.0)
    assert ("Acquired", 1.0, c.REUSED, 0.0, connection.id, None) in ledger.facts()
    assert (first.plain, second.joined, connection.holders, connection.offered) == (False, True, 1, 1)


def test_a_refused_plain_request_goes_on_waiting_plain():
    """An early requeue, of its own connection; that one is free for others, and another's guest stays there."""
    ledger = Ledger()
    one, other = ledger.idle(0.0), ledger.idle(0.0)
    request, neighbour = ledger.guest(1.0, one), ledger.guest(1.0, other)
    ledger.facts()
    ledger.pool.withdraw(request, 2.0)
    assert ledger.facts() == [
        ("RequestStarted", 1.0, "GET"),
        ("CheckoutStarted", 1.0),
        ("Requeued", 2.0, c.EARLY, one.id),
    ]
    assert (request.plain, request.queued, request.connection) == (True, True, None)
    assert ledger.pool.slots.guests == {other: neighbour}
    ledger.pool.withdraw(request, 3.0)
    assert ledger.facts() == []
    assert ledger.counted(4.0)["requeues", c.EARLY] == 1
    request.connection = other
    ledger.pool.withdraw(request, 5.0)
    assert ledger.pool.slots.guests == {other: neighbour}, "it was never the other's"
    assert ledger.counted(6.0)["requeues", c.EARLY] == 2


@pytest.mark.parametrize(
    ("plain", "idle", "collected", "state"),
    [
        (True, True, False, "idle"),
        (False, True, False, "idle"),
        (True, False, False, "active"),
        (True, True, True, "active"),
    ],
)
def test_one_that_comes_again_waits_anew(plain, idle, collected, state):
    """What it had is given back late; the connection is idle again where it says so."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection) if plain else ledger.hold(1.0, connection)[0]
    connection.probe().idle = idle
    if collected:
        connection.probe = lambda: None
    ledger.pool.repeat(request, 0.0, 3.0)
    assert (request.state, request.connection, request.entered_at, request.plain) == ("waiting", None, 3.0, False)
    assert (connection.holders, connection.offered, connection.state) == (0, 0, state)
    counted = ledger.counted(4.0)
    assert (counted["checkouts",], counted["acquisitions", c.REUSED], counted["requeues", c.LATE]) == (1, 1, 1)
    assert (counted["pending_requests",], ledger.pool.slots.guests) == (1, {})
    ledger.pool.repeat(request, 1.0, 5.0)
    assert (request.state, request.entered_at) == ("waiting", 3.0)


@pytest.mark.parametrize(("waited", "since"), [(1.5, 1.5), (2.5, 1.0)])
def test_one_that_was_there_again_for_a_while_waited_that_long(waited, since):
    """But not from before it had what it gives back."""
    ledger = Ledger()
    request = ledger.guest(1.0, ledger.idle(0.0))
    ledger.pool.repeat(request, waited, 3.0)
    assert request.entered_at == since


def test_a_plain_requests_socket_that_closes_is_closed_by_it():
    """The state machine takes it in as the holder, so its end gives the reason."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    connection.probe().idle = True  # the connection was not asked to be in use yet
    ledger.pool.slots.socket_closed(connection, 2.0)
    request.error = "ReadError"
    ledger.facts()
    ledger.pool.end(request, False, False, 3.0)
    assert ledger.facts()[0] == ("ConnectionClosed", 3.0, connection.id, c.FAILED, 2.0, "1.1", True, 1)


def test_a_guests_connection_that_the_pool_closes_goes_for_the_pools_reason():
    """Its guest was not accepted: it is offered a connection that is gone, and waits on."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    connection.probe().idle = True
    connection.closing = c.EVICTED
    ledger.facts()
    ledger.pool.slots.socket_closed(connection, 2.0)
    assert ledger.facts()[-1] == ("ConnectionClosed", 2.0, connection.id, c.EVICTED, 2.0, "1.1", False, 0)
    assert request.state == "offered"


def test_a_guests_slot_that_the_pool_gives_up_is_the_guests_no_more():
    """It is taken in, its connection is no slot of the pool, and in_use is what is left."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    ledger.pool.slots.detached(connection, 2.0)
    assert (request.plain, request.state, connection.in_pool) == (False, "holding", False)
    assert (ledger.pool.slots.busy, ledger.pool.slots.busy_seconds) == (0, 1.0)
    unaccepted = ledger.idle(3.0)
    waits = ledger.guest(4.0, unaccepted)
    unaccepted.probe().idle = True
    ledger.pool.slots.detached(unaccepted, 5.0)
    assert (waits.plain, waits.state) == (False, "offered")
    assert (ledger.pool.slots.busy, ledger.pool.slots.busy_seconds) == (0, 1.0)


def test_a_guest_that_came_since_the_step_began_takes_nothing_from_the_busy_time():
    """A plain request needs no lock to come: the step that takes its slot away may be older."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    ledger.guest(2.0, connection)
    ledger.pool.slots.detached(connection, 1.5)
    assert (ledger.pool.slots.busy, ledger.pool.slots.busy_seconds) == (0, 0.0)


def test_a_plain_request_that_fails_ends_step_by_step():
    """An end that is no whole exchange takes it in: acquired, released, with its error."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    request.error = "ReadError"
    ledger.facts()
    ledger.pool.end(request, True, False, 3.0)
    assert [fact[0] for fact in ledger.facts()] == [
        "RequestStarted",
        "CheckoutStarted",
        "ConnectionReused",
        "Acquired",
        "ConnectionIdled",
        "Released",
        "RequestEnded",
    ]
    assert (ledger.pool.checkouts, connection.engaged, connection.plain) == (set(), None, True)


def test_a_request_that_is_told_step_by_step_is_not_plain():
    """A sink that asked for each step hears each: no connection takes it as a guest."""
    assert Ledger().request(1.0).plain is False


def test_a_request_that_was_taken_in_while_it_ended_leaves_its_connection_idle():
    """At its own end's second; one whose connection never accepted it gave up its wait, and timed out nowhere."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    ledger.leave(request, 2.0)
    ledger.pool.engage(request)
    ledger.facts()
    ledger.pool.fold(9.0)
    assert ledger.facts()[0] == ("ConnectionIdled", 2.0, connection.id, "1.1")
    unaccepted = ledger.guest(10.0, connection)
    connection.probe().idle = True
    ledger.leave(unaccepted, 11.0, status="")
    ledger.pool.engage(unaccepted)
    ledger.facts()
    ledger.pool.fold(12.0)
    assert ledger.facts()[0] == ("Abandoned", 11.0, 1.0, "", None)


def test_a_look_between_two_moments_of_an_end_leaves_the_request_to_its_end():
    """Its end is noted and it is not yet among the ended: it is counted by the next fold, as a plain one."""
    ledger = Ledger()
    connection = ledger.idle(0.0)
    request = ledger.guest(1.0, connection)
    request.status, request.ended_at = 200, 2.0
    ledger.pool.settle(3.0)
    assert request.plain
    ledger.leave(request, 2.0)
    ledger.pool.settle(4.0)
    assert ledger.counted(5.0)["use_time",] == (1, 1.0)


def test_one_that_ends_while_others_are_counted_is_counted_with_the_next():
    """Another thread may append between any two of our lines."""
    ledger = Ledger()
    first, second = ledger.idle(0.0), ledger.idle(0.0)
    late = ledger.guest(1.0, second)
    late.status, late.ended_at = 200, 3.0

    class Shared(list):
        def __getitem__(self, index):
            found = super().__getitem__(index)
            if late not in self:
                self.append(late)
            return found

    ledger.pool.ended = Shared()
    ledger.leave(ledger.guest(1.0, first), 2.0)
    ledger.pool.fold(4.0)
    assert ledger.counted(5.0)["use_time",] == (1, 1.0)
    ledger.pool.fold(6.0)
    assert ledger.counted(7.0)["use_time",] == (2, 3.0)


def test_one_that_waits_plain_and_is_handed_what_is_not_goes_step_by_step():
    """From the offer on: its first bytes make the hand-over final."""
    ledger = Ledger()
    checkout = Checkout(target(), "GET", 1.0)
    ledger.pool.checkouts.add(checkout)
    connection = ledger.open(1.0, "2")
    ledger.pool.offer(checkout, connection, 2.0)
    ledger.pool.write(checkout, connection, 3.0)
    assert (checkout.plain, checkout.state) == (False, "holding")

"""What the state machine tells and counts, to the number: each fact once, at its second, with its origin.

The seconds of a story are all different, so that no number can stand in for another.
"""

from types import SimpleNamespace

import pytest

from ledger import Ledger
from poolscope import _contract as c
from poolscope._records import Checkout
from poolscope._transitions import DONE

LIMITS = {("max",): 3.0, ("idle.max",): 2.0, ("pools",): 1, ("pools.opened",): 1}
TRACE = SimpleNamespace(span_context="span", epoch=1000.0)


def test_a_cold_request_tells_its_whole_life():
    """Queue, slot, set-up, use and end: each moment once, each duration from its own two seconds."""
    ledger = Ledger()
    pool = ledger.pool
    request = ledger.request(1.0)
    connection = ledger.reserve(2.0)
    assert ledger.counted(2.5) == LIMITS | {
        ("checkouts",): 1,
        ("pending_requests",): 1,
        ("active_requests", "GET"): 1,
        ("in_use",): 1,
        ("busy_time",): 0.5,
        ("oldest_pending_age",): 1.5,
    }
    pool.offer(request, connection, 3.0)
    pool.connect(request, connection, 4.5)
    assert ledger.counted(5.0)["establishing",] == 1
    pool.slots.opened(connection, "1.1", 5.25)
    pool.write(request, connection, 5.5)
    assert ledger.facts() == [
        ("RequestStarted", 1.0, "GET"),
        ("CheckoutStarted", 1.0),
        ("Acquired", 4.5, c.NEW, 2.0, connection.id, None),
        ("ConnectStarted", 4.5, connection.id),
        ("ConnectionOpened", 5.25, connection.id, 0.75, "1.1"),
    ]
    assert ledger.counted(6.0) == LIMITS | {
        ("checkouts",): 1,
        ("acquisitions", c.NEW): 1,
        ("wait_time",): (1, 2.0),
        ("active_requests", "GET"): 1,
        ("checked_out",): 1,
        ("create_time", ""): (1, 0.75),
        ("opened",): 1,
        ("open_connections", "active", "1.1"): 1,
        ("in_use",): 1,
        ("busy_time",): 4.0,
        ("oldest_use_age",): 3.0,
    }
    request.status, request.protocol, request.read = 200, "1.1", True
    pool.end(request, True, False, 7.0)
    assert ledger.facts() == [
        ("ConnectionIdled", 7.0, connection.id, "1.1"),
        ("Released", 7.0, 4.0, connection.id),
        ("RequestEnded", 7.0, "GET", 200, "", "1.1", 6.0, False),
    ]
    assert ledger.counted(20.0) == LIMITS | {
        ("checkouts",): 1,
        ("acquisitions", c.NEW): 1,
        ("wait_time",): (1, 2.0),
        ("use_time",): (1, 4.0),
        ("create_time", ""): (1, 0.75),
        ("opened",): 1,
        ("open_connections", "idle", "1.1"): 1,
        ("busy_time",): 5.0,
        ("request.duration", "GET", 200, "", "1.1"): (1, 6.0),
    }
    assert (connection.holders, connection.offered, connection.requests) == (0, 0, 1)
    assert (pool.checkouts, request.state) == (set(), "done")


def test_a_second_life_of_a_connection_adds_up():
    """Reused after an idle time and closed by its server: counts and sums grow by exactly the second request."""
    ledger = Ledger()
    pool = ledger.pool
    connection = ledger.idle(1.0)
    for entered, offered, written, ended in ((3.0, 3.5, 4.0, 6.0), (8.0, 8.25, 9.0, 11.0)):
        request = ledger.request(entered)
        pool.offer(request, connection, offered)
        ledger.facts()
        pool.write(request, connection, written)
        pool.write(request, connection, written + 0.5)  # more of the same request
        wait, idle = offered - entered, written - (1.0 if entered == 3.0 else 6.0)
        assert ledger.facts() == [
            ("ConnectionReused", written, connection.id, "1.1", idle),
            ("Acquired", written, c.REUSED, wait, connection.id, None),
        ]
        pool.end(request, True, False, ended)
        pool.end(request, True, False, ended + 1)  # an end is one end
    pool.slots.closed(connection, c.KEEPALIVE_EXPIRED, 12.0)
    assert ledger.facts()[-1] == ("ConnectionClosed", 12.0, connection.id, c.KEEPALIVE_EXPIRED, 11.0, "1.1", False, 2)
    pool.slots.closed(connection, c.FAILED, 13.0)  # a close is one close
    assert ledger.facts() == []
    assert ledger.counted(20.0) == LIMITS | {
        ("checkouts",): 2,
        ("acquisitions", c.REUSED): 2,
        ("wait_time",): (2, 0.75),
        ("use_time",): (2, 5.25),
        ("create_time", ""): (1, 0.0),
        ("opened",): 1,
        ("closed", c.KEEPALIVE_EXPIRED): 1,
        ("duration", "1.1"): (1, 11.0),
        ("busy_time",): 4.0,
        ("request.duration", "GET", "", "", ""): (2, 6.0),
    }
    assert pool.slots.taken == {}


def test_an_early_requeue_sums_the_wait_and_a_late_one_begins_anew():
    """Before the hand-over is final the wait goes on; after it, a use is undone and another wait begins."""
    ledger = Ledger()
    pool = ledger.pool
    first, second = ledger.idle(0.0), ledger.open(0.0, "2")
    request = ledger.request(1.0)
    pool.offer(request, first, 2.0)
    ledger.facts()
    pool.withdraw(request, 3.0)
    assert ledger.facts() == [("Requeued", 3.0, c.EARLY, first.id)]
    assert (first.offered, request.queued, request.connection) == (0, True, None)
    pool.offer(request, second, 5.0)
    pool.commit(request, c.REUSED, 5.5)
    assert ledger.facts() == [("Acquired", 5.5, c.REUSED, 4.0, second.id, None)]
    pool.slots.socket_closed(second, 6.0)  # its reason stands when its request says so
    assert ledger.facts() == []
    pool.withdraw(request, 7.0)
    assert ledger.facts() == [
        ("ConnectionClosed", 7.0, second.id, c.CONNECTION_CLOSE, 6.0, "2", True, 1),
        ("Requeued", 7.0, c.LATE, second.id),
    ]
    assert (second.holders, second.offered) == (0, 0)
    pool.withdraw(request, 8.0)  # nothing is left to take back
    third = ledger.open(8.0)
    pool.offer(request, third, 8.25)
    pool.commit(request, c.REUSED, 8.25)
    pool.slots.socket_closed(third, 8.5)
    third.unread = True
    ledger.facts()
    pool.withdraw(request, 8.75)  # it is sent once more, and nobody read what it got
    assert ledger.facts()[0][3] == c.RESPONSE_UNREAD
    pool.offer(request, first, 9.0)
    pool.write(request, first, 9.5)
    assert ledger.facts()[-1] == ("Acquired", 9.5, c.REUSED, 0.25, first.id, None)
    pool.withdraw(request, 9.75)
    pool.offer(request, first, 9.8125)
    pool.withdraw(request, 9.875)
    pool.offer(request, first, 9.9375)
    pool.withdraw(request, 9.96875)
    counted = ledger.counted(10.0)
    assert (counted["requeues", c.EARLY], counted["requeues", c.LATE]) == (3, 3)


def test_requeues_leave_the_rest_as_it_was():
    """One early, one late: the waits that ended, the close and the hold that goes on."""
    ledger = Ledger()
    pool = ledger.pool
    first, second = ledger.idle(0.0), ledger.open(0.0, "2")
    request = ledger.request(1.0)
    pool.offer(request, first, 2.0)
    pool.withdraw(request, 3.0)
    pool.offer(request, second, 5.0)
    pool.write(request, second, 5.5)
    assert request.streaming
    pool.slots.socket_closed(second, 6.0)
    pool.withdraw(request, 7.0)
    assert not request.streaming
    pool.offer(request, first, 9.0)
    pool.write(request, first, 9.5)
    counted = ledger.counted(10.0)
    assert (counted["requeues", c.EARLY], counted["requeues", c.LATE]) == (1, 1)
    assert (counted["wait_time",], counted["acquisitions", c.REUSED]) == ((2, 6.0), 2)
    assert counted["closed", c.CONNECTION_CLOSE] == 1
    assert counted["oldest_use_age",] == 1.0


@pytest.mark.parametrize("offered", [False, True])
@pytest.mark.parametrize(
    ("timed_out", "told", "counted"),
    [
        (True, ("TimedOut", 4.0, 3.0, c.BURST, TRACE), ("timeouts", c.BURST)),
        (False, ("Abandoned", 4.0, 3.0, "ReadError", TRACE), ("abandoned", "ReadError")),
    ],
)
def test_a_wait_that_ends_without_a_connection_is_told_by_its_end(offered, timed_out, told, counted):
    """PoolTimeout with its cause, or abandoned with its error; what was offered is offered no more."""
    ledger = Ledger()
    connection = ledger.idle(0.5)
    request = ledger.request(1.0)
    request.trace, request.cause, request.error = TRACE, c.BURST, "ReadError"
    if offered:
        ledger.pool.offer(request, connection, 2.0)
    ledger.facts()
    ledger.pool.end(request, False, timed_out, 4.0)
    assert ledger.facts() == [told, ("RequestEnded", 4.0, "GET", "", "ReadError", "", 3.0, False)]
    assert (connection.offered, request.state) == (0, "done")
    seen = ledger.counted(5.0)
    assert (seen[counted], seen["wait_time",]) == (1, (1, 3.0))
    assert ("pending_requests",) not in seen
    again = ledger.request(6.0)
    again.cause, again.error = c.BURST, "ReadError"
    ledger.pool.end(again, False, timed_out, 8.0)
    assert ledger.counted(9.0)[counted] == 2
    tally = request.tally
    assert tally.wait_time.exemplars == {c.QUEUE.index(5.0): (3.0, "span", 1004.0)}


def test_a_traced_request_keeps_its_exemplar_and_how_it_came_to_its_connection():
    """The exemplar lies in the bucket of its wait, at the hand-over's second; the trace knows source and queue."""
    ledger = Ledger(connections=1)
    connection = ledger.idle(0.0)
    request = ledger.request(1.0)
    request.trace = TRACE
    ledger.pool.offer(request, connection, 1.25)
    ledger.pool.write(request, connection, 2.0)
    assert ledger.facts()[-1] == ("Acquired", 2.0, c.REUSED, 0.25, connection.id, TRACE)
    assert request.tally.wait_time.exemplars == {c.QUEUE.index(0.25): (0.25, "span", 1002.0)}
    assert (request.source, request.queued) == (c.REUSED, False)
    ledger.pool.end(request, True, False, 3.0)
    later = ledger.request(2.5)
    later.trace = TRACE
    ledger.pool.offer(later, connection, 3.0)
    ledger.pool.write(later, connection, 3.5)
    assert later.queued, "no slot was free when it came"


@pytest.mark.parametrize(
    ("source", "busy", "freed_at", "queued"),
    [
        (c.NEW, 1, 0.0, False),  # it has the slot itself
        (c.REUSED, 0, 0.0, False),
        (c.REUSED, 1, 0.0, True),
        (c.REUSED, 0, 1.0, True),  # given back at the second that it came
        (c.NEW, 1, 1.5, True),
        (c.SHARED, 1, 0.0, True),
    ],
)
def test_a_trace_says_that_a_request_queued_where_no_slot_was_free(source, busy, freed_at, queued):
    """Where every slot is taken as it is handed a connection that is not new, or one was given back since it came."""
    ledger = Ledger(connections=1)
    request = ledger.request(1.0)
    ledger.pool.slots.full_at = freed_at
    ledger.pool.slots.in_use = busy
    ledger.pool.note(request, source)
    assert (request.source, request.queued) == (source, queued)


def test_http2_requests_share_a_connection_and_wait_for_streams():
    """Who is handed what another holds, or was offered, has joined it; the stream's wait begins when both are there."""
    ledger = Ledger()
    pool = ledger.pool
    connection = ledger.reserve(0.5)
    first, second, third = (ledger.request(at) for at in (1.0, 1.5, 2.0))
    pool.offer(first, connection, 2.0)
    pool.offer(second, connection, 3.0)
    assert (first.joined, second.joined, connection.offered) == (False, False, 2), "either may yet go"
    pool.connect(first, connection, 4.0)
    pool.slots.opened(connection, "2", 6.0)
    ledger.facts()
    pool.write(first, connection, 6.5)
    pool.write(first, connection, 6.75)
    assert ledger.facts() == [("StreamWaited", 6.5, 0.5, connection.id)]
    pool.write(second, connection, 7.0)
    assert ledger.facts() == [
        ("Acquired", 7.0, c.SHARED, 1.5, connection.id, None),
        ("StreamWaited", 7.0, 1.0, connection.id),
    ]
    assert (first.joined, second.joined) == (False, True)
    pool.offer(third, connection, 8.0)
    pool.write(third, connection, 8.25)
    assert ledger.facts()[-1] == ("StreamWaited", 8.25, 0.25, connection.id)
    assert (connection.holders, connection.requests, connection.offered) == (3, 3, 0)
    seen = ledger.counted(9.0)
    assert seen["stream_wait_time",] == (3, 1.75)
    assert (seen["acquisitions", c.NEW], seen["acquisitions", c.SHARED]) == (1, 2)
    assert seen["open_connections", "active", "2"] == 1
    for request, ended in ((first, 10.0), (second, 11.0), (third, 12.0)):
        ledger.facts()
        pool.end(request, True, False, ended)
        told = [fact[0] for fact in ledger.facts()]
        assert ("ConnectionIdled" in told) == (request is third), "it is idle when its last stream ended"


@pytest.mark.parametrize("protocol", ["1.1", "2"])
def test_who_is_left_of_two_that_were_handed_an_idle_connection_reuses_it(protocol):
    """The first gave up before it began: there is nobody whom the second joins."""
    ledger = Ledger()
    connection = ledger.idle(0.5, protocol)
    first, second = ledger.request(1.0), ledger.request(1.0)
    ledger.pool.offer(first, connection, 2.0)
    ledger.pool.offer(second, connection, 2.0)
    ledger.pool.end(first, False, False, 3.0)
    ledger.pool.write(second, connection, 4.0)
    assert (ledger.counted(5.0)["acquisitions", c.REUSED], second.joined) == (1, False)


def test_nobody_shares_a_connection_of_http_1():
    """One that was handed what another holds still, and writes, has it after that one."""
    ledger = Ledger()
    first, connection = ledger.hold(1.0)
    second = ledger.request(2.0)
    ledger.pool.offer(second, connection, 2.0)
    assert second.joined
    ledger.pool.write(second, connection, 3.0)
    assert (ledger.counted(4.0)["acquisitions", c.REUSED], first.state, second.joined) == (2, "holding", False)


def test_a_failed_attempt_leaves_the_slot_and_a_second_one_may_open_it():
    """Each attempt counts with its own duration and error; the slot is taken from first to last."""
    ledger = Ledger()
    pool = ledger.pool
    request = ledger.request(1.0)
    connection = ledger.reserve(2.0)
    pool.offer(request, connection, 2.0)
    ledger.facts()
    pool.connect(request, connection, 3.0)
    pool.slots.failed(connection, "ConnectTimeout", 3.5)
    pool.slots.failed(connection, "ConnectTimeout", 3.75)  # an attempt ends once
    assert connection.connector is None
    pool.connect(request, connection, 5.0)
    assert (connection.connector, connection.socket_closed_at) == (request, None)
    pool.slots.opened(connection, "1.1", 7.0)
    assert connection.connector is None
    assert ledger.facts() == [
        ("Acquired", 3.0, c.NEW, 1.0, connection.id, None),
        ("ConnectStarted", 3.0, connection.id),
        ("ConnectFailed", 3.5, connection.id, 0.5, "ConnectTimeout"),
        ("ConnectStarted", 5.0, connection.id),
        ("ConnectionOpened", 7.0, connection.id, 2.0, "1.1"),
    ]
    seen = ledger.counted(8.0)
    assert (seen["create_time", "ConnectTimeout"], seen["create_time", ""]) == ((1, 0.5), (1, 2.0))
    assert seen["busy_time",] == 6.0


def test_an_attempt_of_nobody_hands_nothing_over():
    """A connection that is set up for no request, or for one that has another connection, is no acquisition."""
    ledger = Ledger()
    mine, other = ledger.reserve(1.0), ledger.reserve(1.0)
    request = ledger.request(2.0)
    ledger.pool.offer(request, mine, 3.0)
    ledger.facts()
    ledger.pool.connect(request, other, 4.0)
    ledger.pool.connect(None, mine, 5.0)
    ledger.pool.write(request, other, 6.0)
    assert ledger.facts() == [("ConnectStarted", 4.0, other.id), ("ConnectStarted", 5.0, mine.id)]
    ledger.pool.slots.connecting(mine, None, 7.0)  # it is under way
    assert mine.connecting_at == 5.0


def test_a_slot_that_never_connected_is_freed():
    """A request that breaks while it connects fails the attempt; the collected slot is freed, with no close."""
    ledger = Ledger()
    pool = ledger.pool
    request = ledger.request(1.0)
    connection = ledger.reserve(2.0)
    pool.offer(request, connection, 2.0)
    pool.connect(request, connection, 3.0)
    ledger.facts()
    pool.slots.broke(connection, request, "ConnectError", c.FAILED, 5.0)
    pool.slots.gone(connection, 6.0)
    pool.slots.gone(connection, 7.0)
    assert ledger.facts() == [
        ("ConnectFailed", 5.0, connection.id, 2.0, "ConnectError"),
        ("SlotFreed", 6.0, connection.id),
    ]
    seen = ledger.counted(8.0)
    assert (seen["busy_time",], seen["create_time", "ConnectError"]) == (4.0, (1, 2.0))
    assert ("in_use",) not in seen
    assert pool.slots.taken == {}


def test_a_connection_collected_while_it_connects_is_dropped():
    """The attempt ends, with the word for what nobody closed; so does the slot."""
    ledger = Ledger()
    connection = ledger.reserve(1.0)
    ledger.pool.connect(None, connection, 2.0)
    ledger.facts()
    ledger.pool.slots.gone(connection, 4.0)
    assert ledger.facts() == [
        ("ConnectFailed", 4.0, connection.id, 2.0, c.DROPPED),
        ("SlotFreed", 4.0, connection.id),
    ]


@pytest.mark.parametrize(
    ("shut", "unread", "reason"),
    [
        (False, None, c.DROPPED),
        (False, True, c.DROPPED),
        (True, None, c.DROPPED),
        (True, True, c.RESPONSE_UNREAD),
        (True, False, c.CONNECTION_CLOSE),
    ],
)
def test_a_stream_that_is_collected_closes_its_connection_for_what_is_known(shut, unread, reason):
    """Whoever holds it: nothing else will tell of it."""
    ledger = Ledger()
    connection = ledger.hold(1.0)[1]
    connection.socket_closed_at, connection.unread = 2.0 if shut else None, unread
    ledger.facts()
    ledger.pool.slots.dropped(connection, 3.0)
    assert [fact[3] for fact in ledger.facts() if fact[0] == "ConnectionClosed"] == [reason]


def test_an_open_connection_that_is_collected_gives_its_slot_back_and_stays_open():
    """Its socket may live on; no slot is freed twice."""
    ledger = Ledger()
    connection = ledger.open(1.0)
    connection.stream = lambda: None
    ledger.facts()
    ledger.pool.slots.gone(connection, 3.0)
    assert ledger.facts() == []
    seen = ledger.counted(9.0)
    assert (seen["busy_time",], seen["open_connections", "active", "1.1"]) == (2.0, 1)
    assert ("in_use",) not in seen


def test_a_slot_that_the_pool_gave_to_another_was_busy_until_then():
    """It has the connection no more when it makes the next one."""
    ledger = Ledger()
    connection = ledger.open(1.0)
    ledger.kept.discard(id(connection.probe()))
    ledger.reserve(5.0)
    assert (connection.in_pool, ledger.counted(5.0)["busy_time",], ledger.pool.slots.in_use) == (False, 4.0, 1)


def test_an_open_connection_of_which_no_socket_was_seen_ends_with_it():
    """Nothing else will tell."""
    ledger = Ledger()
    connection = ledger.open(1.0)
    ledger.facts()
    ledger.pool.slots.gone(connection, 3.0)
    assert ledger.facts() == [("ConnectionClosed", 3.0, connection.id, c.DROPPED, 2.0, "1.1", True, 0)]
    seen = ledger.counted(9.0)
    assert (seen["busy_time",], seen["closed", c.DROPPED]) == (2.0, 1)
    assert not {("in_use",), ("open_connections", "active", "1.1")} & seen.keys()


@pytest.mark.parametrize(
    ("error", "cancelled", "read", "unread", "reason"),
    [
        ("ReadError", False, True, None, c.FAILED),
        ("CancelledError", True, True, True, c.CANCELLED),
        ("", False, True, None, c.CONNECTION_CLOSE),
        ("", False, False, None, c.RESPONSE_UNREAD),
        ("", False, False, False, c.CONNECTION_CLOSE),
        ("", False, True, True, c.RESPONSE_UNREAD),
    ],
)
def test_the_request_says_why_its_socket_closed(error, cancelled, read, unread, reason):
    """Its error, its cancel, its end or its early close; the socket lived until it closed, not until that was known.

    Whether its response had come to its end by then, the connection says where it can.
    """
    ledger = Ledger()
    request, connection = ledger.hold(1.0)
    request.error, request.cancelled, request.read, connection.unread = error, cancelled, read, unread
    ledger.facts()
    ledger.pool.slots.socket_closed(connection, 3.0)
    ledger.pool.slots.socket_closed(connection, 4.0)
    assert ledger.facts() == []
    ledger.pool.end(request, True, False, 6.0)
    assert ledger.facts()[:2] == [
        ("ConnectionClosed", 6.0, connection.id, reason, 2.0, "1.1", True, 1),
        ("Released", 6.0, 5.0, connection.id),
    ]
    assert ledger.counted(7.0)["closed", reason] == 1


@pytest.mark.parametrize(
    ("upgraded", "closing", "reason"),
    [(True, c.EVICTED, c.UPGRADED), (False, c.EVICTED, c.EVICTED), (False, "", c.FAILED)],
)
def test_a_socket_that_nobody_holds_closes_at_once(upgraded, closing, reason):
    """As what it had become, or for the pool's reason, or as a failure."""
    ledger = Ledger()
    connection = ledger.idle(1.0)
    connection.upgraded, connection.closing = upgraded, closing
    ledger.facts()
    ledger.pool.slots.socket_closed(connection, 3.0)
    assert ledger.facts() == [("ConnectionClosed", 3.0, connection.id, reason, 2.0, "1.1", False, 0)]
    assert not connection.plain


@pytest.mark.parametrize(
    ("upgraded", "closing", "reason"), [(True, "", c.UPGRADED), (False, c.POOL_CLOSED, c.POOL_CLOSED)]
)
def test_a_known_reason_closes_a_held_socket_at_once(upgraded, closing, reason):
    """What was upgraded, and what the pool closes in flight, waits for no request's word."""
    ledger = Ledger()
    _, connection = ledger.hold(1.0)
    connection.upgraded, connection.closing = upgraded, closing
    ledger.facts()
    ledger.pool.slots.socket_closed(connection, 3.0)
    assert ledger.facts() == [("ConnectionClosed", 3.0, connection.id, reason, 2.0, "1.1", True, 1)]


def test_a_request_that_breaks_closes_only_what_has_lost_its_socket():
    """A failure before a response ends the connection where the socket is gone, for its reason; else it stays."""
    ledger = Ledger()
    request, connection = ledger.hold(1.0)
    ledger.facts()
    ledger.pool.slots.broke(connection, request, "ReadError", c.CANCELLED, 2.0)
    assert ledger.facts() == []
    ledger.pool.slots.socket_closed(connection, 3.0)
    ledger.pool.slots.broke(connection, request, "ReadError", c.CANCELLED, 4.0)
    assert ledger.facts() == [("ConnectionClosed", 4.0, connection.id, c.CANCELLED, 2.0, "1.1", True, 1)]


def test_the_pool_says_which_connections_it_has_given_up():
    """A slot taken while the pool has forgotten another connection frees that one's: in_use stays within the limit."""
    ledger = Ledger()
    gone, stays = ledger.open(1.0), ledger.open(2.0)
    unknown = ledger.open(2.0)
    unknown.probe = lambda: None
    ledger.pool.reserve(b"http", b"shop", 80, {id(stays.probe()), id(None)}, 5.0)
    assert (gone.in_pool, stays.in_pool, unknown.in_pool) == (False, True, True)
    assert ledger.pool.slots.in_use == 3
    assert ledger.counted(5.0)["busy_time",] == 4.0 + 3.0 + 3.0
    gone_again = ledger.pool.slots.busy_seconds
    ledger.pool.slots.detached(gone, 9.0)  # a slot is given back once
    assert ledger.pool.slots.busy_seconds == gone_again


def kept(ledger, at, *, own=True, given_up=False):
    """Make an idle connection of httpcore's own, or of a stranger's; give it."""
    connection = ledger.reserve(at)
    assert (connection.own, ledger.pool.losses.kept()) == (False, None)
    connection.own = own
    ledger.pool.slots.connecting(connection, None, at)
    if given_up:
        ledger.pool.slots.detached(connection, at)
    ledger.pool.slots.opened(connection, "1.1", at)
    ledger.pool.slots.idled(connection, at)
    return connection


@pytest.mark.parametrize("how", ["look", "close"])
def test_a_connection_is_kept_no_longer_than_the_pool_has_it(how):
    """Not one that it gives up unclosed, which is seen at the next look and when it is closed."""
    ledger = Ledger(connections=5)
    forgotten, stays, stranger = kept(ledger, 1.0), kept(ledger, 1.0), kept(ledger, 1.0, own=False)
    late = kept(ledger, 1.0, given_up=True)
    assert [one.kept for one in (forgotten, stays, stranger, late)] == [forgotten.probe(), stays.probe(), None, None]
    ledger.pool.losses.kept = lambda: {id(stays.probe())}
    ledger.pool.close(2.0) if how == "close" else ledger.pool.losses.look([], 2.0)
    assert [one.kept for one in (forgotten, stays)] == [None, stays.probe()]
    assert [one.in_pool for one in (forgotten, stays, stranger)] == [False, True, True]
    ledger.pool.losses.kept = lambda: None
    ledger.pool.losses.look([], 3.0)  # nothing can be seen of the pool, and nothing follows from that
    assert stays.in_pool
    ledger.pool.close(4.0)
    assert stays.kept is None


def test_the_last_moment_without_a_free_slot_is_known():
    """It is noted when a slot is given back that left none free, not when others were free."""
    ledger = Ledger(connections=2)
    first, second = ledger.open(1.0), ledger.open(2.0)
    ledger.pool.slots.idled(first, 3.0)
    assert ledger.pool.slots.full_at == 3.0
    ledger.pool.slots.idled(second, 4.0)
    assert ledger.pool.slots.full_at == 3.0


def test_only_an_idle_http_1_connection_of_the_pool_is_for_plain_requests():
    """Not one of HTTP/2, not one that somebody was offered, not one that the pool has given up."""
    ledger = Ledger(connections=9)
    fine, newer, offered, given_up = ledger.idle(1.0), ledger.idle(1.0, "2"), ledger.open(1.0), ledger.open(1.0)
    ledger.pool.offer(ledger.request(1.0), offered, 2.0)
    ledger.pool.slots.detached(given_up, 2.0)
    for connection in (offered, given_up):
        ledger.pool.slots.idled(connection, 3.0)
    assert [one.plain for one in (fine, newer, offered, given_up)] == [True, False, False, False]
    ledger.pool.slots.used(fine, 4.0)
    assert (fine.plain, fine.busy_at) == (False, 4.0)
    assert ledger.pool.slots.in_use == 1
    ledger.pool.slots.used(given_up, 4.0)
    assert ledger.pool.slots.in_use == 1, "its slot is no longer the pool's"


def test_a_connection_stays_active_while_somebody_holds_it():
    """Idle is said by the pool; a holder has the last word."""
    ledger = Ledger()
    _, connection = ledger.hold(1.0)
    ledger.facts()
    ledger.pool.slots.idled(connection, 2.0)
    assert (ledger.facts(), connection.state) == ([], "active")


def test_a_response_older_than_the_instrumentation_is_reused_without_a_wait():
    """Its start stands for its entry and its hand-over; its connection is no slot of ours."""
    ledger = Ledger()
    request = ledger.request(1.0)
    request.entered_at = 3.0
    ledger.facts()
    ledger.pool.adopt(request, 4.0)
    assert [fact[:4] for fact in ledger.facts()] == [("Acquired", 4.0, c.REUSED, 0.0)]
    assert (request.entered_at, request.offered_at) == (1.0, 1.0)
    assert ledger.pool.slots.taken == {}
    ledger.pool.end(request, False, False, 5.0)
    assert ledger.counted(6.0)["use_time",] == (1, 4.0)
    handed = ledger.request(7.0)
    ledger.pool.offer(handed, connection := ledger.open(7.0), 7.5)
    ledger.pool.adopt(handed, 8.0)
    assert (handed.connection, handed.offered_at) == (connection, 7.5)


@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("seen", [True, False])
def test_an_answer_over_no_connection_is_none_of_the_pools_where_nobody_saw_it_wait(carried, seen):
    """A cache's. One that was seen, and one that a connection carried, count as reused."""
    ledger = Ledger()
    request = Checkout(ledger.request(0.5, pooled=False).target, "GET", 1.0)
    ledger.pool.checkouts = {request}
    ledger.facts()
    if seen:
        ledger.pool.settle(1.5)
    ledger.pool.answered(request, carried, 2.0)
    assert request.plain is False
    ledger.pool.end(request, False, False, 3.0)
    facts = ledger.facts()
    kinds = [fact[0] for fact in facts]
    assert all(fact[1] == 2.0 for fact in facts if fact[0] == "Acquired")
    at_pool = ["CheckoutStarted", "Acquired"] if carried or seen else []
    assert kinds == ["RequestStarted", *at_pool, *["Released"] * bool(at_pool), "RequestEnded"]
    assert (request.plain, request.state, ledger.pool.checkouts) == (False, DONE, set())


def test_a_pool_is_one_that_was_opened():
    """Until another of its name is counted with it."""
    assert Ledger().pool.opened == 1


def test_a_pool_opens_and_closes_and_opens_again():
    """Each is told once, with the limits; a slot taken, or a whole request, after the close opens it again."""
    ledger = Ledger()
    pool = ledger.pool
    pool.seen.loop = "loop"
    pool.open(1.0)
    pool.close(2.0)
    assert (pool.live, pool.seen.loop) == (False, None)
    ledger.reserve(3.0)
    ledger.reserve(3.5)
    assert pool.live
    pool.close(4.0)
    ledger.request(5.0)  # it may yet time out without a slot
    ledger.request(5.5, pooled=False)
    ledger.request(5.75, pooled=False)
    assert [fact for fact in ledger.facts() if fact[0].startswith("Pool")] == [
        ("PoolOpened", 1.0, 3.0, 2.0),
        ("PoolClosed", 2.0),
        ("PoolOpened", 3.0, 3.0, 2.0),
        ("PoolClosed", 4.0),
        ("PoolOpened", 5.5, 3.0, 2.0),
    ]


def test_a_transport_without_a_pool_counts_whole_requests_alone():
    """No checkout, no wait, no level of a pool: active, then its duration."""
    ledger = Ledger()
    request = ledger.request(1.0, "POST", pooled=False)
    assert ledger.facts() == [("RequestStarted", 1.0, "POST")]
    assert ledger.counted(2.0, pooled=False) == {("active_requests", "POST"): 1}
    request.status = 204
    ledger.pool.end(request, False, False, 3.0)
    assert ledger.facts() == [("RequestEnded", 3.0, "POST", 204, "", "", 2.0, False)]
    assert ledger.counted(4.0, pooled=False) == {("request.duration", "POST", 204, "", ""): (1, 2.0)}
    assert ("checkouts",) not in ledger.counted(4.0)


def test_a_request_without_a_port_counts_at_its_schemes():
    """The scheme says which."""
    ledger = Ledger()
    ledger.request(1.0, port=None)
    assert ledger.counted(2.0)["checkouts",] == 1


def test_who_answers_for_a_request_is_told_with_its_end():
    """So that a sink leaves the duration to the other instrumentation."""
    ledger = Ledger()
    request = ledger.request(1.0)
    request.measured_elsewhere = True
    ledger.pool.end(request, False, False, 2.0)
    assert ledger.facts()[-1] == ("RequestEnded", 2.0, "GET", "", "", "", 1.0, True)


def test_an_adopted_request_counts_at_its_own_origin():
    """A hold of it that is too long is told there, too."""
    ledger = Ledger()
    request = ledger.request(1.0)
    ledger.pool.adopt(request, 2.0)
    ledger.facts()
    ledger.pool.losses.held_too_long_seconds = 1.0
    ledger.pool.losses.look([request], 5.0)
    assert [fact[:4] for fact in ledger.facts()] == [("Leaked", 5.0, c.HELD_TOO_LONG, 1)]
    assert request.connection.tally is request.tally


def test_an_unlimited_pool_says_so_by_its_number():
    """None is the contract's number for no limit."""
    ledger = Ledger(None, None)
    assert (ledger.pool.max, ledger.pool.idle_max) == (c.UNLIMITED, c.UNLIMITED)
    assert ledger.pool.slots.limit == c.UNLIMITED
    assert (Ledger(7, 5).pool.max, Ledger(7, 5).pool.idle_max, Ledger(7, 5).pool.slots.limit) == (7.0, 5.0, 7.0)


def test_connections_add_up():
    """Two opened, two reused, two in use: each origin's number and the pool's."""
    ledger = Ledger()
    for connection in (ledger.idle(1.0), ledger.idle(2.0)):
        ledger.hold(3.0, connection)
    seen = ledger.counted(5.0)
    assert (seen["opened",], seen["in_use",], seen["checked_out",]) == (2, 2, 2)
    assert seen["open_connections", "active", "1.1"] == 2
    for connection in list(ledger.pool.slots.taken.values()):
        ledger.pool.slots.closed(connection, c.EVICTED, 6.0)
    assert ledger.counted(7.0)["closed", c.EVICTED] == 2


def test_in_a_pool_that_was_never_full_nobody_queued():
    """Neither the first nor one after it."""
    ledger = Ledger()
    for at in (0.0, 1.0):
        request = ledger.request(at)
        request.trace = TRACE
        ledger.pool.offer(request, ledger.idle(at), at)
        ledger.pool.write(request, request.connection, at)
        assert not request.queued


def test_a_guest_that_came_a_moment_too_late_takes_no_slot_twice():
    """It found the connection free and somebody else took it: when that one is idle, no slot is in use."""
    ledger = Ledger()
    request, connection = ledger.hold(1.0, ledger.idle(0.5))
    ledger.guest(2.0, connection)
    ledger.pool.end(request, True, False, 3.0)
    assert (ledger.pool.slots.guests, ledger.pool.slots.busy) == ({}, 0)


def test_a_slot_for_an_origin_without_a_port_counts_at_its_schemes():
    """The scheme says which."""
    ledger = Ledger()
    connection = ledger.pool.reserve(b"https", b"shop", None, set(), 1.0)
    assert (connection.tally.address, connection.tally.port) == ("shop", "443")

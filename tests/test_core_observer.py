"""The observer: what the seams saw becomes steps at the clock's second, plain where it can be; who asks is answered."""

import gc
from types import SimpleNamespace

import pytest

from ledger import Ledger, target
from poolscope import _contract as c
from poolscope._observer import Observer
from poolscope._records import CURRENT
from poolscope.diagnosis._watch import Options, Watch


class Told:
    """A request's trace, or a sink's tracing, that keeps what it is told, or fails at it."""

    span_context, epoch = None, 0.0

    def __init__(self, *, passive=False, fails=False):
        self.passive, self.fails, self.told = passive, fails, []

    def __repr__(self):
        return "Told()"

    def __getattr__(self, name):
        def keep(*facts):
            self.told.append((name, *facts))
            if self.fails:
                raise ZeroDivisionError

        return keep


@pytest.fixture
def desk():
    """A ledger, and its observer, whose clock says `desk.now`."""
    ledger = Ledger()
    ledger.now = 1.0
    ledger.observer = Observer(ledger.pool, clock=lambda: ledger.now)
    ledger.enter = lambda method="GET": ledger.observer.enter(SimpleNamespace(url=target(), method=method))
    return ledger


def armed_connection(desk, protocol="1.1"):
    armed = []
    made = desk.idle(0.5, protocol)
    stream = SimpleNamespace(arm=lambda: armed.append("write"), arm_read=lambda: armed.append("read"))
    made.stream = lambda: stream
    desk.facts()
    return made, armed


def test_a_new_observer_knows_nothing(desk):
    """No owner, no tracing, no diagnosis; it is plain where there is a pool to see."""
    one = desk.observer
    assert (one.pooled, one.plain, one.closing_pool, one.keepalive_expiry) == (True, True, 0, None)
    assert (one.body, one.diagnosis, one.at_entry, one.tracing, one.watch_entrance) == (None, None, False, None, None)
    assert (one.name, one.owned, one.live, one.in_use, one.outermost) == ("pool", False, False, 0, 0)
    unpooled = Observer(desk.pool, pooled=False)
    assert (unpooled.pooled, unpooled.plain) == (False, False)
    assert unpooled.clock() > 0


def test_a_plain_request_passes_without_a_step(desk):
    """Entered, offered and ended at the clock's seconds; counted when somebody looks."""
    connection, armed = armed_connection(desk)
    checkout = desk.enter()
    assert (checkout.plain, checkout.started_at, desk.pool.checkouts) == (True, 1.0, {checkout})
    desk.now = 2.0
    assert desk.observer.offer(checkout, connection) is checkout
    assert (checkout.offered_at, checkout.connection, desk.pool.slots.guests) == (
        2.0,
        connection,
        {connection: checkout},
    )
    assert desk.observer.in_use == 1
    checkout.status, checkout.chunks, desk.now = 200, "chunks", 4.0
    desk.observer.end(checkout)
    desk.now = 5.0
    desk.observer.end(checkout)
    assert (checkout.ended_at, checkout.chunks, desk.pool.slots.guests, desk.pool.ended) == (4.0, None, {}, [checkout])
    assert (armed, desk.facts()) == ([], [])
    seen = desk.observer.read()
    where = ("pool", "shop", "80")
    assert seen.numbers[c.ACQUISITIONS, (*where, c.REUSED)] == 1
    assert seen.histograms[c.USE_TIME, where].sum == 2.0
    assert desk.pool.ended == []


def test_enough_of_them_are_counted_at_once(desk):
    """At the number that stands for enough, and not before."""
    connection, _ = armed_connection(desk)
    desk.observer.fold_at = 2
    for left in ([1], []):
        checkout = desk.enter()
        desk.observer.offer(checkout, connection)
        checkout.status = 200
        desk.observer.end(checkout)
        assert len(desk.pool.ended) == len(left)


def test_a_traced_plain_request_is_noted_and_told(desk):
    """How it came to its connection, where no slot was free last, and its end; one that is not is noted nowhere."""
    connection, _ = armed_connection(desk)
    desk.observer.trace(Told())
    checkout = desk.enter()
    checkout.trace = Told()
    desk.observer.offer(checkout, connection)
    assert (checkout.source, checkout.queued) == (c.REUSED, False)
    desk.pool.slots.limit = 1
    desk.now = 3.0
    desk.observer.end(checkout)
    assert (checkout.trace.told, desk.pool.slots.full_at) == ([("ended", checkout)], 3.0)
    bare = desk.enter()
    desk.observer.offer(bare, connection)
    desk.now = 4.0
    desk.observer.end(bare)
    assert (bare.source, desk.pool.slots.full_at) == ("", 3.0)


def test_one_that_comes_once_more_waits_from_then_on(desk):
    """Whoever wraps the pool sends it again: what it waited for is over."""
    connection, _ = armed_connection(desk)
    checkout = desk.enter()
    desk.observer.offer(checkout, connection)
    desk.now += 5.0
    assert desk.observer.offer(checkout, connection) is checkout
    assert (checkout.entered_at, checkout.offered_at) == (desk.now, desk.now)


@pytest.mark.parametrize("why", ["not plain", "not idle"])
def test_what_cannot_go_plain_is_offered_step_by_step(desk, why):
    """The connection's next write will say that the hand-over is final."""
    connection, armed = armed_connection(desk, "2" if why == "not idle" else "1.1")
    desk.observer.plain = why != "not plain"
    checkout = desk.enter()
    desk.now = 2.0
    assert desk.observer.offer(checkout, connection) is checkout
    assert (checkout.plain, checkout.state, checkout.offered_at, armed) == (False, "offered", 2.0, ["write"])
    assert desk.pool.slots.guests == {}


def test_a_request_with_a_body_notes_when_its_answer_is_read(desk):
    """One without has sent everything with its first write."""
    for method, expected in (("POST", ["read"]), ("PUT", ["read"]), ("GET", []), ("HEAD", [])):
        connection, armed = armed_connection(desk)
        desk.observer.offer(desk.enter(method), connection)
        assert armed == expected


def test_whoever_comes_past_us_makes_a_connection_a_strangers(desk):
    """No request of ours, one that has ended, or one of another observer's: nothing is handed over."""
    connection, armed = armed_connection(desk)
    assert desk.observer.offer(None, connection) is None
    assert connection.stranger
    other, _ = armed_connection(desk)
    over = desk.enter()
    over.ended_at = 1.0
    assert desk.observer.offer(over, other) is None
    assert (other.stranger, over.connection, armed) == (True, None, [])
    third, armed = armed_connection(desk)
    anothers = Ledger().request(0.5)  # its client was instrumented anew while it waited
    assert desk.observer.offer(anothers, third) is None
    assert (third.stranger, anothers.connection, armed, desk.pool.slots.guests) == (True, None, [], {})


def test_a_request_of_a_transport_without_a_pool_is_counted_whole(desk):
    """It waits for nothing."""
    desk.observer.plain = desk.observer.pooled = False
    checkout = desk.enter("POST")
    assert (checkout.plain, checkout.state, checkout.method) == (False, "done", "POST")
    assert [fact[:2] for fact in desk.facts()] == [("RequestStarted", 1.0)]


@pytest.mark.parametrize(
    ("read", "protocol", "upgraded", "probe_idle", "idle"),
    [
        (True, "1.1", False, False, True),
        (True, "1.1", True, False, False),
        (True, "2", False, False, False),
        (True, "2", False, True, True),
        (False, "1.1", False, True, True),
        (False, "1.1", False, False, False),
    ],
)
def test_whether_a_connection_is_idle_after_a_request(desk, read, protocol, upgraded, probe_idle, idle):
    """HTTP/1.1 after a whole exchange is; else it is asked."""
    checkout, connection = desk.hold(1.0, desk.idle(0.5, protocol))
    checkout.read, connection.upgraded, connection.probe().idle = read, upgraded, probe_idle
    desk.now = 3.0
    desk.observer.end(checkout)
    assert connection.state == ("idle" if idle else "active")
    assert checkout.ended_at == 3.0


def test_a_connection_that_is_gone_or_never_was_is_not_idle(desk):
    """Nobody is asked; the request ends all the same, as what it was."""
    checkout, connection = desk.hold(1.0, desk.idle(0.5))
    connection.probe = lambda: None
    desk.observer.end(checkout)
    assert connection.state == "active"
    waits = desk.request(1.0)
    waits.trace = Told()
    desk.observer.trace(Told())
    desk.facts()
    desk.observer.end(waits, timed_out=True)
    assert desk.facts()[0][0] == "TimedOut"
    assert waits.trace.told == [("ended", waits)]
    plain = desk.enter()
    desk.observer.end(plain)
    assert "Abandoned" in [fact[0] for fact in desk.facts()]
    failed = desk.guest(1.0, desk.idle(0.5))
    failed.error = "ReadError"
    desk.observer.end(failed)
    assert desk.pool.ended == []


def test_a_request_that_is_engaged_is_plain_no_longer(desk):
    """As far as it has come."""
    connection, _ = armed_connection(desk)
    checkout = desk.guest(1.0, connection)
    desk.observer.engage(checkout)
    assert (checkout.plain, checkout.state) == (False, "holding")


def test_a_response_that_was_dropped_is_a_leak_and_an_end_once(desk):
    """Its trace hears of it when facts are delivered; one that had ended is no leak."""
    checkout, connection = desk.hold(1.0, desk.idle(0.5))
    desk.observer.trace(Told())
    checkout.trace = Told()
    desk.observer.drop(checkout, 3.0)
    desk.observer.drop(checkout, 4.0)
    assert (desk.pool.losses.leaks[c.RESPONSE_UNCLOSED], checkout.ended_at, connection.state) == (1, 3.0, "active")
    assert checkout.trace.told == []
    desk.observer.apply(lambda now: None)
    assert checkout.trace.told == [("ended", checkout)] * 2
    bare, _ = desk.hold(1.0, desk.idle(0.5))
    desk.observer.drop(bare, 5.0)
    assert list(desk.observer._unclosed.queue) == []


def test_an_opened_connection_is_told_to_whom_it_connects_for(desk):
    """Who that was is known until it is open."""
    desk.observer.trace(Told())
    checkout, connection = desk.request(1.0), desk.reserve(1.0)
    checkout.trace = Told()
    desk.pool.offer(checkout, connection, 1.0)
    desk.pool.connect(checkout, connection, 1.0)
    desk.now = 2.0
    desk.observer.opened(connection, "2")
    assert (connection.state, connection.protocol, connection.opened_at) == ("active", "2", 2.0)
    assert checkout.trace.told == [("opened", checkout, connection)]


@pytest.mark.parametrize(
    ("phase", "closing", "exc", "error", "by_pool"),
    [
        (c.STREAMING, False, None, "", ""),
        (c.STREAMING, False, OSError(), "OSError", ""),
        (c.STREAMING, False, GeneratorExit(), "", ""),
        (c.STREAMING, True, OSError(), "", ""),
        (c.STREAMING, False, OSError(), "", c.POOL_CLOSED),  # an `async with` of the client was left by it
        ("requesting", False, OSError(), "", ""),
    ],
)
def test_a_socket_that_closes_under_a_body_that_is_not_watched_ends_it(desk, phase, closing, exc, error, by_pool):
    """With what is handled there as its error, but for the end of its own generator; not while it is being closed."""
    connection, _ = armed_connection(desk)
    checkout = desk.guest(1.0, connection)
    connection.closing = by_pool
    checkout.phase, checkout.closing = phase, closing
    desk.now = 3.0
    desk.observer.socket_closed(connection, exc)
    assert (checkout.error, connection.socket_closed_at) == (error, 3.0)
    desk.observer.socket_closed(desk.idle(0.5), exc)


@pytest.mark.parametrize("half_read", [True, False, None])
def test_how_far_the_response_had_come_is_asked_as_its_socket_closes(desk, half_read):
    """Before its end is counted. Where that cannot be asked, it is not known, and no fault."""
    connection, _ = armed_connection(desk)
    assert connection.unread is None
    desk.observer.socket_closed(connection, None)
    assert connection.unread is None, "no pool has said how that is asked"
    asked = []
    connection = desk.hold(1.0, desk.idle(0.5))[1]
    desk.observer.half_read = lambda one: asked.append((one, one.socket_closed_at)) or half_read
    desk.observer.socket_closed(connection, None)
    assert (connection.unread, asked) == (half_read, [(connection, None)])
    desk.observer.half_read = lambda one: one.nothing_of_the_kind
    desk.observer.socket_closed(desk.idle(0.5), None)


def test_an_attempt_to_connect_that_fails_frees_no_slot_and_is_told_to_its_request(desk):
    """With what it failed by."""
    checkout, connection = desk.request(1.0), desk.reserve(1.0)
    checkout.trace = Told()
    desk.observer.trace(Told())
    desk.pool.slots.connecting(connection, checkout, 1.0)
    token = CURRENT.set(checkout)
    desk.now = 3.0
    desk.observer.failed(connection, OSError("refused"))
    CURRENT.reset(token)
    assert (connection.state, connection.tally.create_time["OSError"].sum) == ("reserved", 2.0)
    assert checkout.trace.told == [("connect_failed", checkout, "OSError")]


def test_a_new_sockets_peer_is_noted_where_somebody_traces(desk):
    """And told; where it cannot be said, it is told without."""
    checkout, connection = desk.request(1.0), desk.reserve(1.0)
    checkout.trace = Told()
    stream = SimpleNamespace(get_extra_info=lambda name: ("10.0.0.1", name))
    desk.observer.met(checkout, connection, stream)
    assert (connection.peer, checkout.trace.told) == (None, [])
    desk.observer.trace(Told())
    desk.observer.met(checkout, connection, stream)
    assert connection.peer == ("10.0.0.1", "server_addr")
    desk.observer.met(checkout, connection, None)
    assert checkout.trace.told == [("connected", checkout, connection)] * 2


def test_tracing_that_fails_is_told_of_once_by_name_and_traces_no_more(desk, caplog):
    """A request pays nothing for it; who has no trace hears nothing."""
    desk.observer.trace(Told())
    checkout = desk.request(1.0)
    desk.observer.tell(None, "served")
    desk.observer.tell(checkout, "served")
    checkout.trace = Told(fails=True)
    desk.observer.tell(checkout, "served", 1)
    desk.observer.tell(checkout, "served", 2)
    assert checkout.trace.told == [("served", checkout, 1)]
    assert desk.observer.tracing is None
    desk.observer.untrace()
    [record] = caplog.records
    told = "poolscope: sink Told() failed and is disabled for pool 'pool'"
    assert (record.getMessage(), record.levelname, record.name) == (told, "ERROR", "poolscope")
    assert record.exc_info


def test_a_passive_tracing_gives_way_and_no_other_does(desk):
    """The first that makes spans stays."""
    passive, first, second = Told(passive=True), Told(), Told()
    for tracing, stays in ((passive, passive), (Told(passive=True), passive), (first, first), (second, first)):
        desk.observer.trace(tracing)
        assert desk.observer.tracing is stays
    desk.observer.trace(passive)
    assert desk.observer.tracing is first
    assert desk.observer._subscriptions == (desk.observer._unclosed,)


def test_a_pool_lives_as_long_as_a_transport_owns_it(desk):
    """One owner for all of them; gone with the last, or with the close."""
    owner = desk.observer.own()
    assert (desk.observer.own() is owner, desk.observer.owned, desk.observer.live) == (True, True, True)
    assert desk.observer.read().numbers[c.POOLS, ("pool",)] == 1
    desk.pool.close(1.0)
    assert (desk.observer.owned, desk.observer.live) == (True, False)
    desk.pool.open(1.0)
    del owner
    gc.collect()
    assert (desk.observer.owned, desk.observer.live) == (False, False)
    assert desk.observer.read().numbers[c.POOLS, ("pool",)] == 0
    assert desk.observer.own() is not None


@pytest.mark.parametrize(
    ("reclaim", "connection", "upgraded", "kept"),
    [(True, True, False, True), (False, True, False, False), (True, False, False, False), (True, True, True, False)],
)
def test_a_body_that_is_to_be_reclaimed_is_its_owners(desk, reclaim, connection, upgraded, kept):
    """It holds the pool, so nobody keeps it but the transports; without one, nobody keeps it at all."""
    observer = desk.observer
    watch = Watch(observer, Options(reclaim=reclaim))
    checkout, held = desk.hold(1.0)
    checkout.connection, held.upgraded = held if connection else None, upgraded
    watch.dropped("no transport", checkout)
    owner = observer.own()
    assert list(owner.unclosed) == []
    watch.dropped("body", checkout)
    assert list(owner.unclosed) == ([("body", checkout)] if kept else [])
    assert list(watch.unclosed()) == (["body"] if kept else [])
    assert held.closing == (c.RESPONSE_UNREAD if kept else "")
    assert list(owner.unclosed) == []


def test_a_body_that_is_reclaimed_counts_as_a_leak_first_and_keeps_its_reason(desk):
    """What finalizers have deferred is done, under the lock; what closes it already, closes it."""
    watch, owner = Watch(desk.observer, Options(reclaim=True)), desk.observer.own()
    checkout, held = desk.hold(1.0)
    held.closing = c.FAILED
    done = []
    desk.observer.defer(done.append)
    assert list(watch.unclosed()) == done == []
    watch.dropped("body", checkout)
    assert (len(owner.unclosed), list(watch.unclosed()), done, held.closing) == (1, ["body"], [1.0], c.FAILED)


def test_a_reading_is_taken_at_the_moment_of_what_is_to_be_done_with_it(desk):
    """Under the lock, before it is copied; of a transport without a pool whole requests alone."""
    done = []

    def cut():
        assert desk.observer.inside
        done.append(len(desk.pool.checkouts))
        desk.pool.tallies.whole.checkouts = 7

    assert desk.observer.read(cut).numbers[c.CHECKOUTS, ("pool", "", "")] == 7
    assert done == [0]
    desk.observer.pooled = False
    assert {metric for metric, _ in desk.observer.read().numbers} <= {c.ACTIVE_REQUESTS}


def test_a_snapshot_says_the_clocks_second_and_the_expiry(desk):
    """Of the pool as it is now."""
    desk.observer.keepalive_expiry, desk.now = 7.0, 4.0
    seen = desk.observer.snapshot()
    assert (seen.name, seen.keepalive_expiry_seconds, seen.taken_at) == ("pool", 7.0, 4.0)


def test_a_pool_is_over_when_nothing_runs_or_is_open_or_is_left_to_say(desk):
    """A request, a connection, either keeps it from rest."""
    assert desk.observer.over is True
    checkout = desk.enter()
    assert desk.observer.over is False
    desk.observer.end(checkout)
    assert desk.observer.over is True
    connection = desk.idle(0.5)
    assert desk.observer.over is False
    desk.pool.slots.closed(connection, c.FAILED, 1.0)
    assert desk.observer.over is True


def test_sinks_are_attached_to_the_observer_itself(desk):
    """It is what a sink may ask."""
    asked = []
    desk.observer.subscribe([SimpleNamespace(attach=lambda pool: asked.append(pool) or {})])
    assert asked == [desk.observer]


def test_a_look_asks_the_pool_about_connections_that_nobody_holds(desk):
    """Its word is the last: idle ones are idle, unless somebody has them; closed ones are gone, or not the pool's."""
    desk.pool.losses.kept = lambda: desk.kept
    held, offered = desk.hold(0.5)[1], desk.open(0.5)
    desk.pool.offer(desk.request(0.5), offered, 0.5)
    busy, idle, gone, reserved, closed, connecting = (
        desk.open(0.5), desk.open(0.5), desk.open(0.5), desk.reserve(0.5), desk.reserve(0.5), desk.reserve(0.5),
    )  # fmt: skip
    desk.pool.slots.connecting(connecting, None, 0.5)
    for one in (held, offered, idle):
        one.probe().idle = True
    unseen = desk.open(0.5)  # whose socket was never seen: no other word of its end will come
    for one in (closed, connecting, busy, unseen):
        one.probe().closed = True
    busy.stream = gone.probe = lambda: None
    desk.facts()
    desk.now = 3.0
    desk.observer.snapshot()
    states = [one.state for one in (held, offered, busy, idle, gone, reserved, closed, connecting, unseen)]
    assert states == ["active", "active", "active", "idle", "active", "reserved", "closed", "establishing", "closed"]
    assert idle.idle_at == 3.0
    assert [one.in_pool for one in (held, busy, connecting, reserved)] == [True, False, False, True]
    assert ("SlotFreed", 3.0, closed.id) in desk.facts()
    assert reserved in desk.pool.losses.lost, "what is lost is looked at, too"


@pytest.mark.parametrize("question", ["is_closed", "is_idle"])
def test_a_pool_that_cannot_answer_costs_no_reading(desk, question, caplog):
    """A connection of somebody's own class raises: what is known is read, and the fault is told once."""

    def raises():
        raise ZeroDivisionError

    desk.pool.losses.kept = lambda: desk.kept
    desk.pool.losses.held_too_long_seconds = 2.0
    desk.hold(0.5)
    setattr(desk.open(0.5).probe(), question, raises)
    desk.now = 3.0
    for _ in range(2):
        assert desk.observer.read().numbers[c.IN_USE, ("pool",)] == 2
    assert desk.observer.snapshot().in_use == 2
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]
    assert desk.pool.losses.leaks[c.HELD_TOO_LONG] == 1, "what can be looked at, is"


def test_the_end_of_a_guest_that_somebody_has_shown_out_is_an_end(desk):
    """Its connection was taken meanwhile: nothing is raised into the request, and it counts."""
    connection, _ = armed_connection(desk)
    checkout = desk.enter()
    desk.observer.offer(checkout, connection)
    desk.pool.slots.guests.clear()
    checkout.status = 200
    desk.observer.end(checkout)
    assert desk.pool.ended == [checkout]


@pytest.mark.parametrize("plain", [True, False])
def test_a_request_ends_when_its_body_began_to_close(desk, plain):
    """It may wait for the pool's lock in there, while another has its connection already."""
    connection, _ = armed_connection(desk)
    checkout = desk.enter()
    desk.observer.offer(checkout, connection)
    checkout.status, checkout.protocol = 200, "1.1"
    if not plain:
        desk.observer.engage(checkout)
    desk.now = 9.0
    desk.observer.end(checkout, 4.0)
    desk.observer.apply(desk.pool.fold)
    use, duration = connection.tally.use_time, connection.tally.request_duration["GET", 200, "", "1.1"]
    assert (checkout.ended_at, use.sum, duration.sum) == (4.0, 4.0 - checkout.offered_at, 4.0 - checkout.started_at)


def test_a_request_that_is_sent_twice_at_a_time_has_the_first_connection(desk):
    """Whose end is whose cannot be told: neither connection counts as lost. Once it is answered, it is sent again."""
    desk.observer.unanswered = lambda connection: connection is first
    checkout, first, second = desk.enter(), desk.reserve(1.0), desk.idle(0.5)
    assert desk.observer.offer(checkout, first) is checkout
    assert desk.observer.offer(checkout, second) is None
    assert (checkout.connection, first.stranger, second.stranger, second.offered) == (first, True, True, 0)
    desk.observer.unanswered = lambda connection: False
    assert desk.observer.offer(checkout, second) is checkout
    assert checkout.connection is second


def test_nothing_is_unanswered_where_no_pool_says_so(desk):
    """A request that comes again is one that was sent again."""
    assert desk.observer.unanswered(desk.idle(0.5)) is False


def test_what_is_dropped_before_it_was_served_has_abandoned_its_wait(desk):
    """It timed out nowhere."""
    waits = desk.request(1.0)
    desk.facts()
    desk.observer.drop(waits, 3.0)
    assert desk.facts()[0][:3] == ("Abandoned", 3.0, 2.0)


def test_of_two_that_are_handed_one_idle_connection_the_refused_one_never_had_it(desk):
    """The pool may hand it to two before the first has begun: one re-queue, early, and no acquisition of the second."""
    connection, armed = armed_connection(desk)
    first, second = desk.enter(), desk.enter()
    desk.observer.offer(first, connection)
    connection.probe().idle = False  # the first runs on it
    desk.observer.offer(second, connection)
    assert (connection.rivals, desk.pool.slots.guests, armed) == ([second], {connection: first}, ["write"])
    desk.observer.wrote(first, connection)
    desk.observer.wrote(None, connection)
    assert (first.plain, desk.facts()) == (True, [])
    desk.observer.apply(desk.pool.withdraw, second)
    assert [fact[0] for fact in desk.facts()] == ["RequestStarted", "CheckoutStarted", "Requeued"]
    assert (first.plain, second.plain, connection.rivals) == (True, True, [])
    desk.observer.read()
    assert [fact for fact in desk.facts() if fact[0] == "Acquired"] == [
        ("Acquired", 1.0, c.REUSED, 0.0, connection.id, None)
    ]
    assert connection.holders == 1


def test_of_two_that_are_handed_one_idle_connection_the_second_has_it_when_the_first_is_done(desk):
    """It was so fast that the second was not refused: that is the guest now, and its write is no news."""
    connection, _ = armed_connection(desk)
    first, second = desk.enter(), desk.enter()
    desk.observer.offer(first, connection)
    desk.observer.offer(second, connection)
    first.status = 200
    desk.observer.end(first)
    assert (connection.rivals, desk.pool.slots.guests, desk.observer.in_use) == ([], {connection: second}, 1)
    desk.observer.wrote(second, connection)
    assert (second.plain, desk.facts()) == (True, [])
    second.status = 200
    desk.observer.end(second)
    assert (desk.pool.ended, desk.observer.in_use) == ([first, second], 0)


def test_a_request_that_comes_after_a_look_began_makes_no_age_negative_and_no_counter_go_back(desk):
    """It needs no lock to come, and is taken in by that look: in another thread that is a matter of microseconds."""
    connection, _ = armed_connection(desk)
    waits = desk.enter()
    before = desk.observer.read().numbers
    seconds = iter([2.0, 3.5])

    def clock():
        now = next(seconds)
        if now == 2.0:
            desk.now = 3.0
            desk.observer.clock = lambda: desk.now
            desk.observer.offer(desk.enter(), connection)
            connection.probe().idle = False
            desk.observer.clock = clock
        return now

    desk.observer.clock = clock
    seen = desk.observer.read().numbers
    at = ("pool",)
    assert (seen[c.OLDEST_USE_AGE, at], seen[c.OLDEST_PENDING_AGE, at]) == (0.5, 2.5)
    assert (before[c.BUSY_TIME, at], seen[c.BUSY_TIME, at]) == (0.0, 0.5)
    assert waits.plain


def test_one_that_a_look_took_in_while_it_became_a_guest_has_its_connection_when_it_writes(desk):
    """The look came from another thread, between two stores of the offer."""
    connection, _ = armed_connection(desk)
    checkout = desk.enter()
    checkout.offered_at, checkout.connection = 1.0, connection
    desk.observer.read()
    desk.pool.slots.guests[connection] = checkout
    assert checkout.state == "offered"
    desk.observer.wrote(checkout, connection)
    assert checkout.state == "holding"


def test_of_two_that_are_handed_one_idle_connection_the_one_that_writes_has_it(desk):
    """Threads may go on in another order than they came in."""
    connection, _ = armed_connection(desk)
    first, second = desk.enter(), desk.enter()
    desk.observer.offer(first, connection)
    desk.observer.offer(second, connection)
    desk.observer.wrote(second, connection)
    assert (first.state, second.state) == ("offered", "holding")


def test_one_that_is_handed_a_second_connection_has_given_the_first_back(desk):
    """Whoever wraps the pool sent it again."""
    first, second = desk.idle(0.5), desk.idle(0.5)
    request = desk.enter()
    desk.observer.offer(request, first)
    assert desk.pool.slots.guests == {first: request}
    first.probe().idle = True
    desk.now = 2.0
    desk.observer.offer(request, second)
    assert (request.connection, first.state, first.holders) == (second, "idle", 0)
    assert desk.counted(3.0)["requeues", c.LATE] == 1


def test_in_the_midst_of_a_step_there_is_a_picture_and_no_request(desk):
    """What waits to be taken stays; a request that no step can take in is nobody's."""
    seen, looked = [], []
    desk.observer.plain = False

    def then():
        desk.observer.apply(looked.append)
        seen.extend([desk.enter(), desk.observer.snapshot().taken_at, list(looked)])

    desk.observer.read(then)
    assert seen == [None, 1.0, []]
    desk.now = 4.0
    assert desk.enter() is not None
    assert looked == [4.0]

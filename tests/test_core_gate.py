"""The gate: steps at the clock's second under one lock, facts after it; what fails there costs nobody else anything."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from ledger import target
from poolscope import _locks
from poolscope import events as e
from poolscope._gate import Gate
from poolscope._locks import is_mine, new_lock
from poolscope._pool import Pool
from poolscope._records import Checkout
from poolscope._subscription import Subscription


@pytest.fixture
def gate():
    """A gate whose clock says what `gate.now` is; `gate.log` has what the steps saw."""
    made = Gate(Pool("pool", 3, 2), plain=True, clock=lambda: made.now)
    made.now, made.log = 1.0, []

    def step(*args):
        assert made.inside
        made.log.append(args)
        return len(made.log)

    made.step = step
    return made


class Hears:
    """A sink that keeps what it hears, or fails at it."""

    def __init__(self, *kinds, fails=False):
        self.kinds, self.fails, self.heard = kinds, fails, []

    def __repr__(self):
        return "Hears()"

    def attach(self, pool):
        self.pool = pool
        return dict.fromkeys(self.kinds, self.hear)

    def hear(self, fact):
        self.heard.append(fact)
        if self.fails:
            raise ZeroDivisionError


def opens(gate):
    """Tell of the pool's opening."""
    return gate.pool.open


def wrong(now):
    raise ZeroDivisionError


def told(caplog):
    return [(r.name, r.levelname, r.getMessage(), bool(r.exc_info)) for r in caplog.records]


@pytest.mark.parametrize("way", ["apply", "take"])
def test_a_step_is_given_its_arguments_and_the_second(gate, way):
    """Under the lock; its result comes back, and what was deferred was done before, in its order, at that second."""
    gate.defer(gate.step, "first")
    gate.defer(gate.step, "second", 2)
    assert gate.log == []
    gate.now = 5.0
    assert getattr(gate, way)(gate.step, "third") == 3
    assert gate.log == [("first", 5.0), ("second", 2, 5.0), ("third", 5.0)]
    assert not gate.inside
    assert getattr(gate, way)(gate.step) == 4


@pytest.mark.parametrize("way", ["apply", "take"])
def test_a_step_that_fails_is_told_once_and_the_next_one_goes_on(gate, way, caplog):
    """None for the one that failed; one line for all of them, with its traceback."""
    assert getattr(gate, way)(wrong) is None
    assert getattr(gate, way)(wrong) is None
    assert getattr(gate, way)(gate.step) == 1
    assert told(caplog) == [
        ("poolscope", "ERROR", "poolscope: fault in the observer of pool 'pool'; its numbers may be off", True)
    ]


@pytest.mark.parametrize("way", ["apply", "take", "look"])
def test_a_deferred_step_that_fails_costs_no_other(gate, way, caplog):
    """Those after it are taken, and so is the one that came; it is told once, when the lock is free."""
    free = []
    caplog.handler.addFilter(lambda record: free.append(not gate.inside) or True)
    gate.attach([Hears(e.PoolOpened)], None)
    for step in (wrong, gate.step, wrong):
        gate.defer(step)
    assert getattr(gate, way)(gate.step) == 2
    assert gate.log == [(1.0,), (1.0,)]
    assert free == ([] if way == "take" else [True])
    gate.look(lambda now: None)
    gate.defer(wrong)
    gate.look(lambda now: None)
    assert free == [True]
    [record] = caplog.records
    assert told(caplog) == [
        ("poolscope", "ERROR", "poolscope: fault in the observer of pool 'pool'; its numbers may be off", True)
    ]
    assert record.exc_info[0] is ZeroDivisionError


def test_a_look_sees_what_it_can_where_something_of_ours_fails(gate, caplog):
    """What cannot be taken in is told of; the look is taken."""
    gate.pool.settle = wrong
    assert gate.look(lambda now: ("seen", now)) == ("seen", 1.0)
    assert [line[1] for line in told(caplog)] == ["ERROR"]


def test_a_step_in_the_midst_of_another_is_taken_later(gate):
    """With the next one, at its second. What is taken where a result is needed at once, is not taken at all."""

    def outer(now):
        assert gate.inside
        assert gate.apply(gate.step, "later") is None
        assert gate.take(gate.step, "never") is None
        gate.log.append("outer")
        return now

    assert gate.apply(outer) == 1.0
    assert (gate.log, gate.inside) == (["outer"], False)
    gate.now = 7.0
    gate.apply(gate.step)
    assert gate.log == ["outer", ("later", 7.0), (7.0,)]


def test_a_lock_is_given_again_to_who_holds_it_unless_that_is_not_wanted():
    """To nobody else meanwhile."""
    again, once = new_lock(), new_lock(again=False)
    assert not is_mine(again)
    with again, once, ThreadPoolExecutor(1) as other:
        assert is_mine(again)
        assert again.acquire(blocking=False)
        again.release()
        assert not other.submit(is_mine, again).result()
        assert not other.submit(again.acquire, blocking=False).result()
        assert not once.acquire(blocking=False)
    assert not is_mine(again)


def test_facts_are_delivered_when_the_lock_is_free(gate):
    """By a step and by a look, not by what takes a step where the pool's own lock may be held."""
    sink = Hears(e.PoolOpened)
    gate.attach([sink], "the pool")
    assert sink.pool == "the pool"
    sink.hear = sink.heard.append
    gate.take(opens(gate))
    assert sink.heard == []
    gate.apply(gate.step)
    assert [fact.at for fact in sink.heard] == [1.0]
    gate.take(opens(gate))
    gate.now = 2.0
    assert gate.look(lambda now: ("seen", now)) == ("seen", 2.0)
    assert len(sink.heard) == 2
    gate.defer(gate.pool.open)
    gate.look(lambda now: None)
    assert [fact.at for fact in sink.heard] == [1.0, 1.0, 2.0]


@pytest.fixture
def no_collection():
    """No real one begins meanwhile, nor ends."""
    gc.disable()
    yield
    gc.enable()


def test_facts_wait_while_this_thread_collects_garbage(gate, monkeypatch, no_collection):
    """A sink's own lock may be held there. The next step delivers them, and another thread does at once."""
    sink = Hears(e.PoolOpened)
    gate.attach([sink], None)
    monkeypatch.setattr(_locks, "_collector", threading.get_ident())
    gate.apply(opens(gate))
    gate.look(lambda now: None)
    assert sink.heard == []
    with ThreadPoolExecutor(1) as other:
        other.submit(gate.apply, opens(gate)).result()
    assert len(sink.heard) == 2
    gate.apply(opens(gate))
    assert len(sink.heard) == 2
    monkeypatch.setattr(_locks, "_collector", 0)
    gate.apply(gate.step)
    assert len(sink.heard) == 3


def test_a_thread_collects_garbage_from_the_collectors_start_to_its_end():
    """What it finalizes finds that so; other threads, and whoever lets go of something by himself, do not."""
    found = []

    class Finalized:
        def __del__(self):
            with ThreadPoolExecutor(1) as other:
                found.append((_locks.collecting(), other.submit(_locks.collecting).result()))

    Finalized()
    one = Finalized()
    one.itself = one
    del one
    gc.collect()
    assert (found, _locks._collector) == ([(False, False), (True, False)], 0)


@pytest.mark.parametrize(("whose", "after"), [("this thread's", True), ("another's", False)])
def test_a_collection_of_another_thread_is_not_in_a_forked_child(whose, after, monkeypatch):
    """There it will never end, and its number may be another thread's one day. This one's goes on; locks are free."""
    monkeypatch.setattr(_locks, "_collector", threading.get_ident() + (whose == "another's"))
    held = new_lock()
    with ThreadPoolExecutor(1) as other:
        other.submit(held.acquire).result()
    _locks._free_all()
    assert (_locks._collector, held.acquire(blocking=False)) == (threading.get_ident() if after else 0, True)


def test_a_look_sees_what_is_plain_taken_in(gate):
    """At its second, under the lock; ended ones are counted."""
    checkout = Checkout(target(), "GET", 0.5)
    gate.pool.checkouts.add(checkout)
    gate.look(lambda now: gate.step(checkout.tally is not None))
    assert gate.log == [(True,)]


def test_a_sink_that_fails_to_attach_is_left_out_by_name(gate, caplog):
    """The others are attached, and hear."""

    class Broken:
        def __repr__(self):
            return "Broken()"

        def attach(self, pool):
            raise ZeroDivisionError

    before, after = Hears(e.PoolOpened), Hears(e.PoolOpened)
    gate.attach([before, Broken(), after], None)
    gate.apply(opens(gate))
    assert (len(before.heard), len(after.heard)) == (1, 1)
    assert told(caplog) == [
        ("poolscope", "ERROR", "poolscope: sink Broken() failed to attach to pool 'pool' and is disabled", True)
    ]


def test_a_sink_that_fails_is_disabled_by_name_and_nothing_is_kept_for_it(gate, caplog):
    """Once; whoever stands after it hears on."""
    broken, fine = Hears(e.PoolOpened, fails=True), Hears(e.PoolOpened)
    gate.attach([broken, fine], None)
    first, _ = gate._subscriptions
    for _ in range(2):
        gate.apply(opens(gate))
    assert gate._disable(first) is False, "another thread, in which it failed at the same time, does not say so again"
    assert (len(broken.heard), len(fine.heard)) == (1, 2)
    assert told(caplog) == [
        ("poolscope", "ERROR", "poolscope: sink Hears() failed and is disabled for pool 'pool'", True)
    ]
    assert len(gate.pool.journal.wanted[e.PoolOpened]) == 1


def test_a_sink_that_wants_nothing_costs_nothing(gate):
    """No subscription; those after it are attached."""
    idle, sink = Hears(), Hears(e.PoolOpened)
    gate.attach([idle, sink], None)
    assert [one.sink for one in gate._subscriptions] == [sink]
    assert (gate.plain, gate.fold_at) == (True, 256)


@pytest.mark.parametrize(
    ("kinds", "plain", "fold_at"),
    [
        ((e.TimedOut, e.ConnectionOpened), True, 256),
        ((e.Acquired,), False, 256),
        ((e.RequestEnded, e.TimedOut), False, 256),
        ((Checkout,), True, 16),
        ((Checkout, e.Released), True, 16),
    ],
)
def test_requests_are_plain_where_every_sink_is_content_with_whole_ones(gate, kinds, plain, fold_at):
    """One that asks for a request's steps and not for whole ones hears each; one that records them gets them sooner."""
    gate.attach([Hears(*kinds)], None)
    assert (gate.plain, gate.fold_at) == (plain, fold_at)
    gate.fold_at = 4
    gate.attach([Hears(Checkout)], None)
    assert gate.fold_at == 4


def test_what_ended_before_a_sink_came_is_not_told_to_it(gate):
    """It is counted first."""
    connection = gate.pool.reserve(b"http", b"shop", 80, set(), 0.0)
    ended = Checkout(target(), "GET", 0.5)
    ended.connection, ended.status, ended.ended_at = connection, 200, 0.75
    gate.pool.checkouts.add(ended)
    gate.pool.ended.append(ended)
    sink = Hears(Checkout)
    gate.attach([sink], None)
    gate.look(lambda now: None)
    assert (sink.heard, gate.pool.ended, connection.requests) == ([], [], 1)


def test_a_subscription_of_ones_own_is_delivered_and_moves_behind_the_others(gate):
    """Its queue is emptied once, after those that came before; asked for again, it stands last and once."""
    order = []
    own, other = (Subscription({e.PoolOpened: lambda fact, n=n: order.append(n)}) for n in ("own", "other"))
    gate.attach([SimpleNamespace(attach=lambda pool: own), SimpleNamespace(attach=lambda pool: other)], None)
    gate.apply(opens(gate))
    gate.deliver_from(own)
    gate.apply(opens(gate))
    assert order == ["own", "other", "other", "own"]


def test_a_queue_that_another_thread_empties_is_no_fault(gate):
    """It was faster: nothing is left to deliver."""
    heard = []
    subscription = Subscription({int: heard.append})

    class Contended:
        def __init__(self):
            self.items = [1, 2]

        def __bool__(self):
            return True

        def popleft(self):
            if not self.items:
                raise IndexError
            return self.items.pop(0)

    subscription.queue = Contended()
    subscription.flush()
    assert heard == [1, 2]


def test_a_sink_that_has_nothing_to_hear_keeps_none_from_hearing(gate):
    """Of two that ask for other facts, the second hears its own. Who attached itself is named; else nobody."""
    first, second = Hears(e.PoolClosed), Hears(e.PoolOpened)
    gate.attach([first, second], None)
    gate.apply(opens(gate))
    assert (first.heard, len(second.heard)) == ([], 1)
    assert Subscription({}).sink is None

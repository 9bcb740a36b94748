"""Multi-process mode's upkeep: when pools are looked at and forgotten, what a fork and a worker's end change."""

from types import SimpleNamespace

import pytest
from prometheus_client import values

from ledger import key
from multiprocess_desk import Pool, attached, metrics, mode
from poolscope import _contract as c
from poolscope import events as e
from poolscope.sinks import _multiprocess
from poolscope.sinks._multiprocess import MultiprocessMetrics
from poolscope.sinks.prometheus import child_exit

__all__ = ["metrics", "mode"]


def test_after_a_fork_the_levels_of_inherited_pools_are_set_anew(mode, metrics):
    """Once, with the first event; a name without a pool that can be seen has none."""
    first, other, _ = attached(metrics, Pool(in_use=3), Pool("other", in_use=1), Pool("unseen", limits=None))
    other.in_use = 2
    first.pass_time(0.25)
    assert mode.level(c.IN_USE, "other") == 1, "there was no fork"
    mode.pid = 42
    first.pass_time(0.5)
    assert (mode.level(c.IN_USE), mode.level(c.IN_USE, "other"), mode.level(c.MAX, "other")) == (3, 2, 4)
    assert key((c.IN_USE, ("unseen",))) not in mode.shown()
    other.in_use = 4
    first.pass_time(0.75)
    assert mode.level(c.IN_USE, "other") == 2
    assert {path.name for path in mode.directory.glob("gauge*")} == {f"gauge_liveall_{pid}.db" for pid in (41, 42)}


def test_pools_in_use_are_looked_at_once_a_second(metrics):
    """With the next event; what it has to say since then is heard."""
    pool = attached(metrics, Pool(in_use=1))
    looks = []
    for at in (0.5, 1.25, 1.5, 2.25, 7.0, 7.75, 8.0):
        pool.pass_time(at)
        looks.append(pool.looks)
    assert looks == [2, 2, 3, 3, 4, 4, 5]


@pytest.mark.parametrize(("few", "looks"), [(0, [1, 1, 2, 2, 2, 2, 3]), (2, [1, 2, 2, 2, 3, 3, 3])])
def test_pools_are_looked_at_when_one_is_made(mode, monkeypatch, few, looks):
    """While they are few; more of them only where they are more than twice as many as the last time."""
    assert _multiprocess._FEW == 32
    monkeypatch.setattr(_multiprocess, "_FEW", few)
    metrics, pools = MultiprocessMetrics(opt_in=False), [Pool(in_use=1)]
    seen = []
    for _ in looks:
        attached(metrics, pools[-1])
        pools.append(Pool())
        seen.append(pools[0].looks)
    assert seen == looks


def test_a_pool_that_ended_says_its_last_words_and_is_forgotten(mode, metrics):
    """As soon as it is at rest. One that nobody holds is looked at until then; one that is idle and held is not."""
    pools = idle, busy, over, leaving, unseen, last = attached(
        metrics,
        *(Pool(in_use=in_use) for in_use in (0, 1, 0, 0)),
        Pool("unseen", limits=None),
        Pool(in_use=1),
    )
    for pool in (over, leaving, unseen):
        pool.owned = pool.live = False
    leaving.over = False
    before = [pool.looks for pool in pools]
    over.last_words = [e.ConnectionClosed("pool", "shop", "80", 0.5, 3, c.DROPPED, 4.5, "1.1", False, 7)]
    idle.pass_time(0.5)
    assert [pool.looks - was for pool, was in zip(pools, before, strict=True)] == [0, 1, 1, 1, 1, 1]
    assert [feed.pool for feed in metrics._feeds["pool"]] == [idle, busy, leaving, last]
    assert metrics._feeds["unseen"] == []
    assert metrics._sweep_over == 2 * 4
    assert mode.counted()[("closed", c.DROPPED)] == 1
    assert mode.level(c.POOLS) == 3
    assert key((c.POOLS, ("unseen",))) not in mode.shown()


def test_a_name_without_pools_has_none_in_use(mode, metrics):
    """What it counted stays."""
    pool = attached(metrics, Pool(in_use=1))
    assert (mode.level(c.IN_USE), mode.level(c.POOLS)) == (1, 1)
    pool.owned = pool.live = False
    pool.pass_time(0.5)
    levels = (c.IN_USE, c.POOLS, c.POOLS_OPENED, c.MAX)
    assert [mode.level(metric) for metric in levels] == [0, 0, 1, 4]
    assert metrics._feeds == {"pool": []}


def test_a_known_origin_costs_no_reading_and_a_known_label_no_lookup(metrics):
    """The pool is read where an event names an origin for the first time."""
    pool = attached(metrics, Pool(origins=[("shop", "80")]))
    assert pool.reads == 1
    native, asked = metrics._metrics[c.PENDING], []
    metrics._metrics[c.PENDING] = SimpleNamespace(labels=lambda *labels: asked.append(labels) or native.labels(*labels))
    for _ in range(3):
        pool.tell(e.CheckoutStarted, 0.5, origin=("shop", "80"))
    assert pool.reads == 1
    pool.origins.append(("shop", "81"))
    for _ in range(3):
        pool.tell(e.CheckoutStarted, 0.5, origin=("shop", "81"))
    assert pool.reads == 2
    assert asked == [("pool", "shop", "80"), ("pool", "shop", "81")]


def test_a_worker_that_ended_takes_its_levels_with_it(mode, metrics, monkeypatch):
    """And no other's; outside the mode nothing is touched."""
    attached(metrics, Pool())
    worker, other = SimpleNamespace(pid=41), SimpleNamespace(pid=42)
    with monkeypatch.context() as patch:
        patch.setattr(values, "ValueClass", values.MutexValue)
        child_exit(None, worker)
    child_exit(None, other)
    assert mode.level(c.POOLS) == 1
    child_exit(None, worker)
    assert mode.counted() == {("pools.opened",): 1}

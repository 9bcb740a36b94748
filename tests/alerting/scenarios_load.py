"""Histories of load: utilization, slow checkouts, time-outs, a stalled pool. Times are minutes."""

from alerting.promtool import Fire
from alerting.sim import Pool
from poolscope._contract import UNLIMITED
from poolscope.alerts.rules import CHECKOUTS_SLOW, STALLED, TIMEOUTS, UTILIZATION


def utilization_sustained(form):
    pool = Pool(form=form).run(20).run(20, in_use=9).run(20)
    return [pool], [Fire(UTILIZATION, pool, 29, 47)]


def utilization_with_dips(form):
    """Every fifth scrape is below the line: 32 of 40 are above it."""
    pool = Pool(form=form).run(15).run(25, in_use=lambda i: 5 if i % 5 == 0 else 9)
    return [pool], [Fire(UTILIZATION, pool, 26)]


def utilization_dips_too_often(form):
    pool = Pool(form=form).run(15).run(25, in_use=lambda i: 5 if i % 4 == 0 else 9)
    return [pool], []


def utilization_on_the_line(form):
    """Exactly 80 % is not above 80 %."""
    return [Pool(form=form).run(30, in_use=8)], []


def utilization_missed_scrapes(form):
    pool = Pool(form=form).run(15).run(4, in_use=9).missed(2).run(4, in_use=9).missed(1).run(8, in_use=9)
    return [pool], [Fire(UTILIZATION, pool, 24.5)]


def utilization_burst(form):
    return [Pool(form=form).run(15).run(6, in_use=10).run(15)], []


def utilization_seven_minutes(form):
    return [Pool(form=form).run(15).run(7.5, in_use=10, waiting=5).run(15)], []


def utilization_of_a_new_process(form):
    """Full from its first second: quiet until the window is filled."""
    other = Pool(form=form, instance="shop-1:8000").run(24)
    pool = Pool(form=form).gone(0).run(24, in_use=10)
    return [pool, other], [Fire(UTILIZATION, pool, 9)]


def utilization_of_a_dead_process(form):
    """Dies after five full minutes: what is left in the window is all full, and there is too little of it."""
    return [Pool(form=form).run(15).run(5, in_use=10).gone(15)], []


def utilization_restart(form):
    pool = Pool(form=form).run(10).run(6, in_use=9).gone(0.5).restart().run(6, in_use=9).run(10)
    return [pool], [Fire(UTILIZATION, pool, 19.5, 29.5)]


def unlimited(form):
    return [Pool(form=form, limit=UNLIMITED).run(20, in_use=5000, waiting=0)], []


def full_at_birth_and_dead_soon(form):
    """Alive for two minutes, full from the first second, and gone."""
    return [Pool(form=form).run(2, in_use=10).gone(15)], []


def limit_zero(form):
    return [Pool(form=form, limit=0).run(20, in_use=1)], []


def idle(form):
    return [Pool(form=form).run(40, requests=0, in_use=0)], []


def one_full_pod_of_fifty(form):
    calm = Pool(form=form, instance="shop-0:8000").run(20)
    pods = [calm, *(calm.twin(f"shop-{i}:8000") for i in range(1, 49))]
    pod = Pool(form=form, instance="shop-49:8000").run(20, in_use=10)
    return [*pods, pod], [Fire(UTILIZATION, pod, 9)]


def two_pools_of_one_process(form):
    busy = Pool(form=form, pool="payments").run(20, in_use=10)
    calm = Pool(form=form, pool="search").run(20)
    return [busy, calm], [Fire(UTILIZATION, busy, 9)]


def renamed(form):
    old = Pool(form=form, pool="payments").run(15).gone(15)
    new = Pool(form=form, pool="billing").gone(0)
    new.length = 60
    return [old, new.run(15)], []


def slow(form):
    pool = Pool(form=form, origins=3).run(10).run(10, slow=0.02, in_use=5, waiting=5).run(20)
    return [pool], [Fire(CHECKOUTS_SLOW, pool, 13.5, 27.5)]


def slow_below_a_percent(form):
    return [Pool(form=form).run(30, slow=0.009)], []


def slow_above_a_percent(form):
    pool = Pool(form=form).run(10).run(20, slow=0.012)
    return [pool], [Fire(CHECKOUTS_SLOW, pool, 14.9)]


def slow_only_twice(form):
    """Two slow checkouts in ten requests of five minutes are no pattern."""
    return [Pool(form=form).run(30, requests=2, slow=0.2)], []


def slow_thrice_of_few(form):
    """Three of ten in five minutes are, also where a client calls seldom."""
    pool = Pool(form=form).run(10, requests=2).run(30, requests=2, slow=0.4)
    return [pool], [Fire(CHECKOUTS_SLOW, pool, 14)]


def slow_reset(form):
    """A restart sets the counters back: no slow checkout is made of it."""
    return [Pool(form=form).run(10, slow=0.005).gone(0.5).restart().run(10, slow=0.005)], []


def slow_by_time_out(form):
    """Waits that end in PoolTimeout after 5 s are waits over 5 s."""
    pool = Pool(form=form).run(10).run(10, slow=0.05, timeouts=0.05, in_use=5).run(12)
    return [pool], [Fire(TIMEOUTS, pool, 11, 29), Fire(CHECKOUTS_SLOW, pool, 12, 29)]


def slow_with_short_bounds(form):
    """An exposition that spells the bound `5`."""
    pool = Pool(form=form)
    pool.le = ("2.5", "5", "7.5", "+Inf")
    pool.run(10).run(10, slow=0.02)
    return [pool], [Fire(CHECKOUTS_SLOW, pool, 13.5)]


def timeouts_few(form):
    """Two in five minutes, ten percent of the requests: not yet."""
    return [Pool(form=form).run(30, requests=4, timeouts=0.1)], []


def timeouts_rare(form):
    """Ten a minute, under one percent of the requests."""
    return [Pool(form=form, origins=3).run(20, requests=1200, timeouts=0.009)], []


def timeouts_of_two_origins(form):
    """Two and two: only together are they three."""
    pool = Pool(form=form, origins=3).run(10, requests=8).run(20, requests=8, timeouts=0.1)
    return [pool], [Fire(TIMEOUTS, pool, 13.5)]


def hung(form):
    """The upstream hangs and nobody has set a pool timeout: only a queue that does not move shows it."""
    pool = Pool(form=form).run(10).run(10, handed=0, in_use=8, waiting=lambda i: i + 1).run(10)
    return [pool], [Fire(STALLED, pool, 12.9, 25)]


def hung_since_the_start(form):
    pool = Pool(form=form, origins=3).run(15, handed=0, in_use=8, waiting=3)
    return [pool], [Fire(STALLED, pool, 3)]


def queue_that_moves(form):
    return [Pool(form=form).run(20, in_use=8, waiting=30)], []


def queue_that_moves_slowly(form):
    """One hand-over in two minutes and a half."""
    return [Pool(form=form).run(40, requests=0.4, in_use=8, waiting=30, new=0)], []


def hung_for_two_minutes(form):
    return [Pool(form=form).run(10).run(2.5, handed=0, in_use=8, waiting=9).run(10)], []


def cold_start_with_a_queue(form):
    """All slots go to streams of 90 s in the first second, and the rest waits."""
    pool = Pool(form=form).run(0.25, in_use=8, waiting=20).run(1.5, requests=0, handed=0, in_use=8, waiting=20)
    return [pool.run(10)], []


def dies_with_a_queue(form):
    return [Pool(form=form).run(10, in_use=8, waiting=30).gone(15)], []


def hung_and_missed(form):
    """A missed scrape in the stall starts no clock anew."""
    pool = Pool(form=form).run(10).run(2, handed=0, in_use=8, waiting=9).missed().run(8, handed=0, in_use=8, waiting=9)
    return [pool], [Fire(STALLED, pool, 12.9)]


def utilization_with_odd_dips(form):
    """Dips that a grid of half a minute does not see."""
    pool = Pool(form=form).run(20).run(20, in_use=lambda i: 5 if i % 10 == 1 else 9)
    return [pool], [Fire(UTILIZATION, pool, 29.5)]


def limit_of_one(form):
    pool = Pool(form=form, limit=1).run(10, in_use=0).run(14, in_use=1)
    return [pool], [Fire(UTILIZATION, pool, 19)]


def slow_after_a_restart(form):
    pool = Pool(form=form).run(10).gone(0.25).restart().run(9.75, slow=0.05)
    return [pool], [Fire(CHECKOUTS_SLOW, pool, 12)]


def timeouts_after_a_restart(form):
    pool = Pool(form=form).run(10, timeouts=0.008).gone(0.25).restart().run(9.75, timeouts=0.05)
    return [pool], [Fire(TIMEOUTS, pool, 10.5)]


def behind_long_streams(form):
    """Streams hold all slots for long; a request comes, waits two minutes and a half, and is served."""
    pool = Pool(form=form).run(1).run(15, requests=0, in_use=10)
    return [pool.run(2.5, requests=0, in_use=10, waiting=1).run(5)], [Fire(UTILIZATION, pool, 10)]


def one_request_stalls(form):
    pool = Pool(form=form).run(10).run(10, handed=0, requests=0, in_use=8, waiting=1)
    return [pool], [Fire(STALLED, pool, 13)]


def restart_with_a_queue(form):
    """The queue is back before a scrape is missed, and moves."""
    return [Pool(form=form).run(10, in_use=8, waiting=9).restart().run(10, in_use=8, waiting=9)], []


def restart_that_hands_out_as_many(form):
    """Stuck for two minutes, restarted, stuck again after as many hand-overs: one scrape alone saw fewer."""
    stuck = {"requests": 0, "handed": 0, "in_use": 8, "waiting": 9}
    pool = Pool(form=form).run(1, requests=100, in_use=8, waiting=9).run(2.25, **stuck).restart()
    return [pool.run(0.5, requests=200, in_use=8, waiting=9).run(2, **stuck).run(10)], []


def queue_that_empties(form):
    """Nothing is handed out, but at every other scrape nobody waits: callers give up, and others come."""
    pool = Pool(form=form).run(10).run(10, handed=0, in_use=8, waiting=lambda i: 4 if i % 2 == 0 else 0)
    return [pool.run(10)], []


LOAD = [value for value in list(vars().values()) if getattr(value, "__module__", "") == __name__]

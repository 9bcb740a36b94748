"""Several workers behind one address (prometheus_client's multi-process mode), and two pools that share a process.

Gauges carry a pid there and counters do not: `recorded` holds what real ones exposed. Times are minutes.
"""

from alerting.promtool import Fire
from alerting.recorded import FULL, PIDS, POOL
from alerting.sim import Pool
from poolscope import _contract as c
from poolscope.alerts.rules import CHECKOUTS_SLOW, CREATION_SPIKE, ORPHANED, STALLED, TIMEOUTS, UTILIZATION


def recorded_workers_stand_still(form):
    """The exposition as it was recorded: one worker of four is full, two requests wait, nobody gives back."""
    pool = Pool(pool=POOL).stand(20)
    return [pool], [Fire(STALLED, pool, 3), Fire(UTILIZATION, pool, 9, None, {"pid": FULL})]


def recorded_workers_hand_over(form):
    """The same, but connections change hands: a full worker and a queue that moves."""
    pool = Pool(pool=POOL).stand(20, growing=(c.CHECKOUTS, c.ACQUISITIONS, c.WAIT_TIME))
    return [pool], [Fire(UTILIZATION, pool, 9, None, {"pid": FULL})]


def one_full_worker_of_four(form):
    """A sum over the workers says 40 %."""
    pool = Pool(form="workers").run(10, in_use=[2] * 4).run(14, in_use=[2, 10, 2, 2])
    return [pool], [Fire(UTILIZATION, pool, 19, None, {"pid": PIDS[1]})]


def all_workers_half_full(form):
    return [Pool(form="workers").run(30, in_use=[8] * 4)], []


def workers_stall(form):
    pool = Pool(form="workers").run(10).run(10, handed=0, in_use=[8, 2], waiting=[9, 0]).run(10)
    return [pool], [Fire(STALLED, pool, 13, 25)]


def workers_queue_that_moves(form):
    """The join of a gauge with a counter must not miss for the pid."""
    return [Pool(form="workers").run(20, in_use=[8, 8], waiting=[3, 3])], []


def workers_slow_and_timed_out(form):
    pool = Pool(form="workers").run(10).run(10, slow=0.05, timeouts=0.05).run(12)
    return [pool], [Fire(TIMEOUTS, pool, 11, 29), Fire(CHECKOUTS_SLOW, pool, 12, 29)]


def workers_spike(form):
    pool = Pool(form="workers").run(60).run(20, new=0.6)
    return [pool], [Fire(CREATION_SPIKE, pool, 65.5)]


def worker_lost_a_slot(form):
    pool = Pool(form="workers").run(10).run(15, orphaned=[0, 2])
    return [pool], [Fire(ORPHANED, pool, 20, None, {"pid": PIDS[1]})]


def two_pools_in_trouble(form):
    """One process, one pool full and the other with time-outs: each alert names its own pool."""
    first = Pool(form=form, pool="payments").run(24, in_use=9)
    second = Pool(form=form, pool="search").run(10).run(14, timeouts=0.05)
    return [first, second], [Fire(UTILIZATION, first, 9), Fire(TIMEOUTS, second, 11)]


def two_clusters(form):
    """The same job, instance and pool in two clusters, one of them in trouble: the fleets stay apart."""
    calm = Pool(form=form, extra={"cluster": "east", "namespace": "shop"}).run(60, new=0.3).run(20, new=0.3)
    spiking = Pool(form=form, extra={"cluster": "west", "namespace": "shop"}).run(60).run(20, new=0.3)
    return [calm, spiking], [Fire(CREATION_SPIKE, spiking, 65.5)]


def two_namespaces(form):
    calm = Pool(form=form, extra={"cluster": "east", "namespace": "shop"}).run(60, new=0.3).run(20, new=0.3)
    spiking = Pool(form=form, extra={"cluster": "east", "namespace": "test"}).run(60).run(20, new=0.3)
    return [calm, spiking], [Fire(CREATION_SPIKE, spiking, 65.5)]


def two_jobs(form):
    calm = Pool(form=form, job="worker").run(60, new=0.3).run(20, new=0.3)
    spiking = Pool(form=form).run(60).run(20, new=0.3)
    return [calm, spiking], [Fire(CREATION_SPIKE, spiking, 65.5)]


WORKERS = [value for value in list(vars().values()) if getattr(value, "__module__", "") == __name__]

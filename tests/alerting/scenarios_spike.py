"""Histories of creations: spikes, traffic that is none, deploys, restarts, fleets. Times are minutes."""

from alerting.promtool import Fire
from alerting.sim import Pool
from poolscope.alerts.rules import CREATION_SPIKE


def fleet(form, count, minutes, first=0, **how):
    pool = Pool(form=form, instance=f"shop-{first}:8000").run(minutes, **how)
    return [pool, *(pool.twin(f"shop-{i}:8000") for i in range(first + 1, first + count))]


def later(form, minutes, instance):
    """A process that starts later."""
    pool = Pool(form=form, instance=instance)
    pool.length = minutes * 4
    return pool


def spike(form):
    """Keep-alive breaks in one process of two: it opens thirty times as many as the service did."""
    pool = Pool(form=form, instance="shop-0:8000", origins=3).run(60).run(20, new=0.6)
    return [pool, *fleet(form, 1, 80, first=1)], [Fire(CREATION_SPIKE, pool, 65.75)]


def spike_ends(form):
    pool = Pool(form=form, origins=3).run(60).run(15, new=0.6).run(25)
    return [pool], [Fire(CREATION_SPIKE, pool, 65.5, 82.5)]


def spike_of_half_a_minute(form):
    return [Pool(form=form).run(60).run(0.5, new=0.3).run(30)], []


def twice_the_usual(form):
    return [Pool(form=form, origins=3).run(130, new=0.05).run(30, new=0.1)], []


def four_times_the_usual(form):
    pool = Pool(form=form, origins=3).run(60, new=0.05).run(12, new=0.2)
    return [pool], [Fire(CREATION_SPIKE, pool, 67.5)]


def below_the_floor(form):
    """Eleven new connections a minute where there were none: 0.18/s."""
    return [Pool(form=form).run(60, new=0.001).run(30, new=0.018)], []


def above_the_floor(form):
    """Thirteen a minute: 0.22/s."""
    pool = Pool(form=form, origins=3).run(60, new=0.001).run(15, new=0.022)
    return [pool], [Fire(CREATION_SPIKE, pool, 69.75)]


def first_connections_ever(form):
    return [Pool(form=form).run(60, requests=0).run(30, new=1, requests=4)], []


def ten_times_the_traffic(form):
    """Ten times the requests at equal reuse open ten times the connections."""
    calm = Pool(form=form, instance="shop-1:8000").run(90)
    return [Pool(form=form, origins=3).run(60).run(30, requests=6000), calm], []


def more_traffic_and_less_reuse(form):
    """Four times the requests, with twice as many new ones each: not only traffic."""
    pool = Pool(form=form, origins=3).run(60).run(12, requests=2400, new=0.04)
    return [pool], [Fire(CREATION_SPIKE, pool, 66)]


def more_traffic_and_a_little_less_reuse(form):
    """Four times the requests, with 1.3 times as many new ones each: traffic."""
    return [Pool(form=form, origins=3).run(60).run(30, requests=2400, new=0.026)], []


def ten_times_the_traffic_and_less_reuse(form):
    """As before, but with 1.6 times as many new ones each."""
    pool = Pool(form=form, origins=3).run(60).run(12, requests=6000, new=0.032)
    return [pool], [Fire(CREATION_SPIKE, pool, 66.5)]


def an_hour_of_two_halves(form):
    """What is usual is the mean of the whole hour."""
    return [Pool(form=form).run(40, new=0.05).run(30, new=0.02).run(10, requests=2400, new=0.05)], []


def unequal_fleet(form):
    """One process is idle; another one opens 1.9 times the average."""
    idle = Pool(form=form, instance="shop-2:8000").run(80, requests=0)
    busy = [Pool(form=form, instance=f"shop-{i}:8000").run(60).run(20, new=0.025 + 0.005 * i) for i in range(2)]
    return [idle, *busy], []


def an_average_counts_the_idle(form):
    """One process of three is idle; another one opens 2.7 times the average, and 1.8 times as many for each request."""
    idle = Pool(form=form, instance="shop-2:8000").run(80, requests=0)
    calm = Pool(form=form, instance="shop-1:8000").run(80)
    return [idle, calm, Pool(form=form, instance="shop-0:8000").run(60).run(20, new=0.036)], []


def spike_after_a_restart(form):
    """Twenty minutes after a restart the process is no longer new."""
    pool = Pool(form=form).run(40).gone(0.25).restart().run(19.75).run(12, new=0.6)
    return [pool], [Fire(CREATION_SPIKE, pool, 65.5)]


def healthy_deploy(form):
    """Every process is replaced, two at a time, and each fills its pool in its first minute."""
    old = [Pool(form=form, instance=f"old-{i}:8000").run(60 + i).gone(20 - i) for i in range(4)]
    new = [later(form, 60 + i, f"new-{i}:8000").run(1, new=0.9).run(28) for i in range(4)]
    return [*old, *new], []


def bad_deploy(form):
    """As before, but the new version breaks keep-alive."""
    old = [Pool(form=form, instance=f"old-{i}:8000").run(60).gone(20) for i in range(2)]
    new = [later(form, 60, f"new-{i}:8000").run(30, new=0.9) for i in range(2)]
    return [*old, *new], [Fire(CREATION_SPIKE, pool, 80) for pool in new]


def restart_in_place(form):
    """The same address, a new process: it opens what it needs, and counters begin at zero."""
    return [Pool(form=form).run(60).gone(0.5).restart().run(10, new=0.3).run(20)], []


def cold_start(form):
    return fleet(form, 2, 8, new=0.9), []


def one_bad_pod_of_fifty(form):
    pod = Pool(form=form, instance="shop-49:8000").run(30).run(12, new=0.9)
    return [*fleet(form, 49, 42), pod], [Fire(CREATION_SPIKE, pod, 35)]


def twice_the_usual_while_others_join(form):
    """Sixteen join one, and with them it opens twice as many: they are counted from when their creations are."""
    pool = Pool(form=form, instance="shop-0:8000").run(70, new=0.03).run(30, new=0.06)
    others = [later(form, 70, f"shop-{i}:8000").run(30, new=0.03) for i in range(1, 17)]
    return [pool, *others], []


def more_creations_beside_pods_of_five_minutes(form):
    """One process of two opens 1.6 times the usual; beside them live others for five minutes each."""
    spiking, calm = (Pool(form=form, instance=f"shop-{i}:8000").run(70, new=0.03) for i in range(2))
    short = [later(form, 3 * i, f"short-{i}:8000").run(5, new=0.03).missed() for i in range(22)]
    return [spiking.run(20, new=0.048), calm.run(20, new=0.03), *short], []


SPIKE = [
    value
    for value in list(vars().values())
    if getattr(value, "__module__", "") == __name__ and value.__name__ not in ("fleet", "later")
]

"""Histories of connections: creation spikes, churn, leaks, lost slots, a client per request. Times are minutes."""

from alerting.promtool import Fire
from alerting.sim import Pool
from poolscope import _contract as c
from poolscope.alerts.rules import (
    CLIENT_PER_REQUEST,
    CREATION_SPIKE,
    KEEP_ALIVE_CHURN,
    LEAKS,
    ORPHANED,
    STALE_REUSE,
)


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
    return [Pool(form=form, origins=3).run(60, new=0.05).run(30, new=0.1)], []


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


def leak(form):
    more = {c.prometheus_label(c.LEAK): "response_unclosed"}
    pool = Pool(form=form).run(10).run(0.25, leaks={"response_unclosed": 4}).run(30)
    return [pool], [Fire(LEAKS, pool, 10.25, 30, more)]


def slots_lost(form):
    pool = Pool(form=form).run(10).run(20, orphaned=1).run(20)
    return [pool], [Fire(ORPHANED, pool, 20, 35)]


def slot_orphaned_for_a_moment(form):
    return [Pool(form=form).run(10).run(8, orphaned=2).run(20)], []


def slots_lost_and_missed(form):
    pool = Pool(form=form).run(10).run(7, orphaned=1).missed(2).run(10, orphaned=1)
    return [pool], [Fire(ORPHANED, pool, 20)]


def churn(form):
    """Two of five connections closed at the give-back: the keep-alive limit counts all connections."""
    pool = (
        Pool(form=form, origins=3).run(10, new=0.4).run(40, new=0.4, closed={c.KEEPALIVE_LIMIT: 0.4}).run(40, new=0.4)
    )
    return [pool], [Fire(KEEP_ALIVE_CHURN, pool, 47.5, 62.5)]


def eviction(form):
    pool = Pool(form=form).run(10, new=0.3).run(55, new=0.3, closed={c.EVICTED: 0.15, c.KEEPALIVE_LIMIT: 0.15})
    return [pool], [Fire(KEEP_ALIVE_CHURN, pool, 50)]


def churn_of_few(form):
    """Half of the requests, but ten a minute: below 0.2/s."""
    return [Pool(form=form).run(60, requests=20, new=0.5, closed={c.KEEPALIVE_LIMIT: 0.5})], []


def churn_just_above_the_floor(form):
    pool = Pool(form=form).run(10, requests=26, new=0.5)
    pool.run(55, requests=26, new=0.5, closed={c.KEEPALIVE_LIMIT: 0.5})
    return [pool], [Fire(KEEP_ALIVE_CHURN, pool, 53.75)]


def churn_below_the_share(form):
    return [Pool(form=form).run(60, new=0.18, closed={c.KEEPALIVE_LIMIT: 0.18})], []


def expiry_is_no_churn(form):
    """A client that calls seldom lets its connections expire."""
    return [Pool(form=form).run(60, new=0.9, closed={c.KEEPALIVE_EXPIRED: 0.9})], []


def client_per_request(form):
    pool = (
        Pool(form=form, origins=3).run(10, requests=60, new=1).run(20, requests=60, new=1, made=60).run(30, requests=60)
    )
    return [pool], [Fire(CLIENT_PER_REQUEST, pool, 22.5, 42.5)]


def a_client_for_two_requests_and_a_half(form):
    return [Pool(form=form).run(60, requests=60, new=0.4, made=24)], []


def few_clients(form):
    """Nine in fifteen minutes."""
    return [Pool(form=form).run(60, requests=0.6, new=1, made=0.6)], []


def not_so_few_clients(form):
    """Twelve in fifteen minutes."""
    pool = Pool(form=form).run(60, requests=0.8, new=1, made=0.8)
    return [pool], [Fire(CLIENT_PER_REQUEST, pool, 17.5)]


def stale(form):
    """The server closes after 3 s what the pool would keep for 5 s."""
    pool = (
        Pool(form=form, origins=3)
        .run(10, requests=60)
        .run(60, requests=60, new=0.1, closed={c.SERVER_DISCONNECTED: 0.08, c.KEEPALIVE_EXPIRED: 0.02})
    )
    return [pool], [Fire(STALE_REUSE, pool, 42)]


def upstream_deploy(form):
    """The upstream restarts once and closes everything."""
    return [Pool(form=form).run(20).run(1, closed={c.SERVER_DISCONNECTED: 0.1}).run(60)], []


def stale_of_few(form):
    """Nine in fifteen minutes."""
    return [Pool(form=form).run(90, requests=6, new=0.1, closed={c.SERVER_DISCONNECTED: 0.1})], []


def half_stale(form):
    how = {c.SERVER_DISCONNECTED: 0.04, c.KEEPALIVE_EXPIRED: 0.06}
    return [Pool(form=form).run(90, new=0.1, closed=how)], []


def leaks_after_a_restart(form):
    more = {c.prometheus_label(c.LEAK): "response_unclosed"}
    leaky = {"leaks": {"response_unclosed": 4}}
    pool = Pool(form=form).run(1).run(1, **leaky).run(8).restart().run(2).run(0.25, **leaky).run(2.75)
    return [pool], [Fire(LEAKS, pool, 1.25, None, more)]


def leak_long_after_one_before_a_restart(form):
    more = {c.prometheus_label(c.LEAK): "response_unclosed"}
    leaky = {"leaks": {"response_unclosed": 4}}
    pool = Pool(form=form).run(1, **leaky).run(30).restart().run(2).run(0.25, **leaky).run(2.75)
    return [pool], [Fire(LEAKS, pool, 0.5, 20.75, more), Fire(LEAKS, pool, 33, None, more)]


def churn_after_a_restart(form):
    closed = {c.KEEPALIVE_LIMIT: 0.5}
    pool = Pool(form=form).run(20, new=0.5, closed={c.KEEPALIVE_LIMIT: 0.1}).restart().run(40, new=0.5, closed=closed)
    return [pool], [Fire(KEEP_ALIVE_CHURN, pool, 53.5)]


def client_per_request_after_a_restart(form):
    pool = Pool(form=form).run(20, requests=60, new=1, made=20).restart().run(20, requests=60, new=1, made=60)
    return [pool], [Fire(CLIENT_PER_REQUEST, pool, 28.5)]


def stale_after_a_restart(form):
    few = {c.SERVER_DISCONNECTED: 0.01, c.KEEPALIVE_EXPIRED: 0.09}
    many = {c.SERVER_DISCONNECTED: 0.09, c.KEEPALIVE_EXPIRED: 0.01}
    pool = Pool(form=form).run(20, new=0.1, closed=few).restart().run(42, new=0.1, closed=many).run(30, new=0.1)
    return [pool], [Fire(STALE_REUSE, pool, 57.5, 82)]


CHURN = [
    value
    for value in list(vars().values())
    if getattr(value, "__module__", "") == __name__ and value.__name__ not in ("fleet", "later")
]

"""Histories of waste and loss: churn, stale reuse, leaks, lost slots, a client per request. Times are minutes."""

from alerting.promtool import Fire
from alerting.sim import Pool
from poolscope import _contract as c
from poolscope.alerts.rules import CLIENT_PER_REQUEST, KEEP_ALIVE_CHURN, LEAKS, ORPHANED, STALE_REUSE


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


CHURN = [value for value in list(vars().values()) if getattr(value, "__module__", "") == __name__]

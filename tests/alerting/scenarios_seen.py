"""Histories that a scraper sees late or seldom: an origin's first requests, long intervals, an end that nothing marks.

Times are minutes. The pools' own series are there before; `asked` says which origins requests go to.
"""

from alerting.promtool import Fire
from alerting.sim import ORIGINS, Pool
from poolscope import _contract as c
from poolscope.alerts.rules import CHECKOUTS_SLOW, CLIENT_PER_REQUEST, LEAKS, ORPHANED, STALLED, TIMEOUTS

FIRST, OTHER, _ = ORIGINS
ONCE = 0.25
BURST = {"requests": 800, "timeouts": 0.75, "slow": 0.75, "in_use": 8}


def first_requests_queue_and_move(form):
    """Made at the start and asked for nothing in ten minutes: then a burst, whose queue moves."""
    pool = Pool(form=form, origins=0).run(10, requests=0, in_use=0)
    return [pool.run(ONCE, requests=800, in_use=8, waiting=90, asked=[FIRST]).run(10)], []


def first_requests_to_another_origin_queue_and_move(form):
    pool = Pool(form=form).run(5).run(10, requests=0, in_use=0)
    return [pool.run(ONCE, requests=800, in_use=8, waiting=90, asked=[OTHER]).run(10)], []


def a_queue_moves_at_the_origin_that_is_asked_less(form):
    pool = Pool(form=form).run(10).run(5, requests=20, asked=[OTHER])
    return [pool.run(10, requests=20, in_use=8, waiting=4, asked=[OTHER])], []


def two_origins_take_turns_to_wait(form):
    """Callers cancel and others come: nothing is handed out, and at each scrape it is another origin that waits."""
    pool = Pool(form=form, origins=2).run(10)
    for _ in range(20):
        for origin in ORIGINS[:2]:
            pool.run(ONCE, handed=0, in_use=8, waiting=4, asked=[origin])
    return [pool.run(10)], [Fire(STALLED, pool, 13, 25)]


def a_queue_that_moves_ends_unmarked(form):
    return [Pool(form=form).run(10.25, in_use=8, waiting=3).ended_unmarked(15)], []


def a_queue_that_moves_ends_unmarked_pushed_each_minute(form):
    return [Pool(form=form).run(10, in_use=8, waiting=3).ended_unmarked(15).scraped_each(60)], []


def a_queue_that_moves_scraped_each_two_minutes(form):
    return [Pool(form=form).run(40, in_use=8, waiting=3).scraped_each(120)], []


def a_queue_that_moves_scraped_each_four_minutes(form):
    return [Pool(form=form).run(60, in_use=8, waiting=3).scraped_each(240)], []


def hung_and_scraped_each_two_minutes(form):
    pool = Pool(form=form).run(20).run(20, handed=0, in_use=8, waiting=3).run(16).scraped_each(120)
    return [pool], [Fire(STALLED, pool, 24.5, 44.5)]


def first_requests_to_another_origin_time_out(form):
    """Three of four, all between two scrapes: no series of that origin was there before."""
    pool = Pool(form=form).run(10, requests=60).run(ONCE, **BURST, asked=[OTHER]).run(20, requests=60, asked=[FIRST])
    return [pool], [Fire(TIMEOUTS, pool, 10, 20), Fire(CHECKOUTS_SLOW, pool, 11, 20)]


def first_requests_ever_time_out(form):
    """No histogram of OpenTelemetry's was there before."""
    pool = Pool(form=form, origins=0).run(10, requests=0).run(ONCE, **BURST, asked=[FIRST]).run(20, requests=0)
    return [pool], [Fire(TIMEOUTS, pool, 10, 20), Fire(CHECKOUTS_SLOW, pool, 11, 20)]


def first_requests_through_another_pool_time_out(form):
    """The client is made, and asked, between two scrapes of a process that was there."""
    other = Pool(form=form, pool="search").run(30)
    pool = Pool(form=form, origins=0)
    pool.length = 40
    pool.run(ONCE, **BURST, asked=[FIRST]).run(19, requests=0)
    return [pool, other], [Fire(TIMEOUTS, pool, 10, 20), Fire(CHECKOUTS_SLOW, pool, 11, 20)]


def few_of_the_first_requests_time_out(form):
    """Five of a thousand, and as many slow ones."""
    pool = Pool(form=form).run(7, requests=60)
    pool.run(ONCE, requests=4000, timeouts=0.005, slow=0.005, asked=[OTHER])
    return [pool.run(20, requests=60, asked=[FIRST])], []


def scraped_again_after_an_hour(form):
    """All time-outs are from before the scraper was away: they are no news."""
    return [Pool(form=form).run(5).run(5, timeouts=0.004).missed(1).missed(240, "_").run(10)], []


def first_requests_of_a_young_process_time_out(form):
    pool = Pool(form=form).run(7, requests=60).run(ONCE, **BURST, asked=[OTHER]).run(20, requests=60, asked=[FIRST])
    return [pool], [Fire(TIMEOUTS, pool, 7, 17), Fire(CHECKOUTS_SLOW, pool, 8, 17)]


def trouble_soon_after_many_first_requests(form):
    """The first values of a series are in what it gained for as long as the window, and no longer."""
    pool = Pool(form=form).run(10, requests=60).run(1, requests=60000, asked=[OTHER])
    pool.run(5, requests=60, asked=[OTHER]).run(10, requests=60, timeouts=0.5, slow=0.5, asked=[OTHER])
    return [pool], [Fire(TIMEOUTS, pool, 16), Fire(CHECKOUTS_SLOW, pool, 17)]


def scraped_for_the_first_time(form):
    """What a process did before the scraper knew of it is no news, whoever else was known; what it does then is."""
    where = {"cluster": "east", "namespace": "shop"}
    pool = Pool(form=form, extra=where).run(1, requests=1e6, slow=0.5, timeouts=0.5, leaks={"response_unclosed": 4})
    pool.values.clear()
    pool.length = 40
    pool.run(3).run(5, timeouts=0.05, slow=0.05)
    others = [{"cluster": "west"}, {"namespace": "test"}, {"job": "worker"}, {"instance": "shop-1:8000"}]
    fires = [Fire(TIMEOUTS, pool, 13.5), Fire(CHECKOUTS_SLOW, pool, 14.5)]
    return [pool, *(Pool(form=form, extra=where | other).run(18) for other in others)], fires


def time_outs_after_the_requests(form):
    """Two hundred come at once, and nobody after them; the patient ones give up six minutes later."""
    pool = Pool(form=form).run(10).run(ONCE, requests=800, handed=0.05, in_use=8, waiting=190)
    pool.run(6, requests=0, in_use=8, waiting=190).run(ONCE, requests=0, given_up=760).run(15, requests=0)
    fires = [Fire(STALLED, pool, 13, 21.5), Fire(TIMEOUTS, pool, 16.5, 26.5), Fire(CHECKOUTS_SLOW, pool, 17.5, 26.5)]
    return [pool], fires


def leak_scraped_each_minute(form):
    pool = Pool(form=form).run(20).run(ONCE, leaks={"response_unclosed": 4}).run(30).scraped_each(60)
    return [pool], [Fire(LEAKS, pool, 20.5, 39.5, {c.prometheus_label(c.LEAK): "response_unclosed"})]


def leak_of_the_first_client_of_its_name(form):
    """Made and collected between two scrapes of a process that was there."""
    other = Pool(form=form, pool="search").run(40)
    pool = Pool(form=form, origins=0)
    pool.length = 80
    pool.run(ONCE, requests=0, leaks={"pool_unclosed": 4}).run(19, requests=0)
    return [pool, other], [Fire(LEAKS, pool, 20, None, {c.prometheus_label(c.LEAK): "pool_unclosed"})]


def slot_orphaned_for_a_minute_of_life(form):
    """Alive for a minute, with a lost slot from the first second."""
    return [Pool(form=form).run(1, orphaned=1).gone(15)], []


def slot_orphaned_for_seven_minutes_of_life(form):
    return [Pool(form=form).run(7, orphaned=1).gone(15)], []


def slot_orphaned_until_an_unmarked_end(form):
    """Nearly nine minutes: the last value stands for five more."""
    return [Pool(form=form).run(4).run(8.75, orphaned=1).ended_unmarked(15)], []


def slot_lost_by_a_young_process(form):
    pool = Pool(form=form).run(2).run(14, orphaned=1)
    return [pool], [Fire(ORPHANED, pool, 12)]


def slot_lost_and_scraped_each_two_minutes(form):
    pool = Pool(form=form).run(10).run(30, orphaned=1).run(16).scraped_each(120)
    return [pool], [Fire(ORPHANED, pool, 18.5, 44.5)]


def clients_that_ask_for_nothing(form):
    """A client a minute, each made in advance."""
    return [Pool(form=form, origins=0).run(10, requests=0).run(30, requests=0, made=1)], []


def clients_that_ask_seldom(form):
    """A client a minute, and one request in ten."""
    pool = Pool(form=form).run(40, requests=0.1, new=1, made=1)
    return [pool], [Fire(CLIENT_PER_REQUEST, pool, 15)]


SEEN = [value for value in list(vars().values()) if getattr(value, "__module__", "") == __name__]

"""Histories that a scraper sees late or seldom: an origin's first requests, long intervals, an end that nothing marks.

Times are minutes. The pools' own series are there before; `asked` says which origins requests go to.
"""

from alerting.promtool import Fire
from alerting.sim import ORIGINS, Pool
from poolscope.alerts.rules import STALLED

FIRST, OTHER, _ = ORIGINS
ONCE = 0.25


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


SEEN = [value for value in list(vars().values()) if getattr(value, "__module__", "") == __name__]

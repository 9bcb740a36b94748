"""What `top` computes, and in which order it shows it: on what real sinks and workers exposed, and by hand."""

import asyncio
import math
from dataclasses import replace

import httpx
import pytest

from alerting.recorded import FULL, IN_USE, POOL, RECORDED
from exposing import Both
from harness import Server, refused_port
from poolscope import InstrumentedSyncTransport
from poolscope import _contract as c
from poolscope.cli._exposition import Scrape
from poolscope.cli._scrape import Target
from poolscope.cli._top_history import History
from poolscope.cli._top_sources import Source
from poolscope.cli._top_view import SORTS, View

DOWN, ESCAPE, ENTER, BACKSPACE = "\x1b[B", "\x1b", "\r", "\x7f"


def exposition(pool="shop", opened=0.0, waits=(), foreign="", **values):
    """An exposition of one pool with one origin. waits: (upper bound, how many waited at most so long)."""
    labels = f'{c.prometheus_label(c.POOL)}="{pool}"{foreign}'
    origin = f'{labels},server_address="shop.example",server_port="443"'
    lines = [
        f"{c.POOLS_OPENED.prometheus_name}{{{labels}}} 1",
        f"{c.MAX.prometheus_name}{{{labels}}} {values.get('limit', 10)}",
        f"{c.IN_USE.prometheus_name}{{{labels}}} {values.get('in_use', 0)}",
        f"{c.OPENED.prometheus_name}{{{origin}}} {opened}",
        f"{c.PENDING.prometheus_name}{{{origin}}} {values.get('waiting', 0)}",
        *(f'{c.WAIT_TIME.prometheus_name}_bucket{{{origin},le="{bound}"}} {count}' for bound, count in waits),
    ]
    if "busy" in values:
        lines.append(f"{c.BUSY_TIME.prometheus_name}{{{labels}}} {values['busy']}")
    return "\n".join(lines) + "\n"


def rows_of(*texts, seconds=1.0, window=60.0):
    """The last rows that a history of these expositions gives, one a `seconds`; by pool and origin."""
    history = History(window)
    rows = ()
    for number, text in enumerate(texts):
        rows = history.add(Scrape.parse(text, number * seconds))
    return {(row.key.pool, row.key.origin): row for row in rows}


def test_both_exporters_give_the_same_rows():
    """Of the same real traffic, a look at the native sink and one at OpenTelemetry's reader show the same."""
    with Both() as both, Server() as server:
        transport = InstrumentedSyncTransport(name="shop", sinks=both.sinks, limits=httpx.Limits(max_connections=4))
        histories = [(History(60), both.native), (History(60), both.reading)]
        seen = [[], []]
        with httpx.Client(transport=transport) as client:
            for at in (0.0, 2.0):
                for shown, (history, look) in zip(seen, histories, strict=True):
                    shown.append({row.key.origin: row for row in history.add(Scrape.parse(look().text, at))})
                for _ in range(6):
                    client.get(server.url())
                held = client.send(client.build_request("GET", server.url()), stream=True)
                held.close()
    native, other = (shown[-1] for shown in seen)
    assert native.keys() == other.keys() == {"", f"127.0.0.1:{server.port}"}
    for origin, row in native.items():
        assert row.key == other[origin].key
        for shown in (row, other[origin]):
            numbers = shown.numbers
            assert (numbers["created_per_second"], numbers["reused_per_second"]) == (0.5, 3.0)
            assert (numbers["idle"], numbers["active"], numbers["waiting"], numbers["timeouts"]) == (0, 0, 0, 0)
            assert shown.closed == {c.RESPONSE_UNREAD: 1}
            assert numbers["wait_p95_seconds"] < 1
        assert (row.limit, row.workers, row.pools) == (other[origin].limit, 1, other[origin].pools)
    assert native[""].limit == 4


def test_of_several_workers_the_fullest_speaks():
    """On what a real gunicorn's four workers exposed: levels are sums, the use of the slots is the full worker's."""
    row = rows_of(RECORDED.read_text())[POOL, ""]
    assert row.workers == len(IN_USE) == 4
    assert row.in_use == IN_USE[FULL] == row.limit
    assert row.utilization == 1.0
    assert row.numbers["waiting"] == 2


def test_rates_and_quantiles_are_of_the_window():
    """What was counted before the first look is not in them; what is older than the window leaves them."""
    old, newer = ((0.1, 100), ("+Inf", 100)), ((0.1, 100), (1.0, 110), ("+Inf", 110))
    row = rows_of(exposition(opened=50, waits=old), exposition(opened=60, waits=newer), seconds=5)["shop", ""]
    assert row.numbers["created_per_second"] == 2.0
    assert 0.1 < row.numbers["wait_p50_seconds"] < 1.0
    texts = [exposition(opened=number) for number in (0, 100, 100, 100, 100)]
    assert rows_of(*texts, window=2)["shop", ""].numbers["created_per_second"] == 0
    assert rows_of(*texts, window=60)["shop", ""].numbers["created_per_second"] == 25


def test_one_look_says_levels_and_no_rates():
    row = rows_of(exposition(opened=50, in_use=3, waiting=2, busy=70))["shop", ""]
    assert (row.in_use, row.numbers["waiting"], row.utilization) == (3, 2, 0.3)
    assert row.numbers["created_per_second"] is row.numbers["timeouts"] is row.numbers["wait_p95_seconds"] is None


def test_a_counter_that_went_back_begins_anew():
    """A restart between two looks: no rate is computed across it, and none is negative."""
    row = rows_of(exposition(opened=50), exposition(opened=60), exposition(opened=3))["shop", ""]
    assert row.numbers["created_per_second"] is None
    row = rows_of(exposition(opened=60), exposition(opened=3), exposition(opened=5))["shop", ""]
    assert row.numbers["created_per_second"] == 2


def test_an_absence_begins_anew():
    """What it said last is kept beside the error; what it says next is not set against that."""
    with refused_port() as port:
        gone = source(f"127.0.0.1:{port}", exposition(opened=1), exposition(opened=2))
        assert gone.seconds == 1
        asyncio.run(gone.look())
    assert gone.error.endswith("connection refused")
    assert (len(gone.rows), gone.seconds) == (2, 0)


def test_a_pool_made_between_two_looks_is_counted_from_its_birth():
    """Its first connections are in the rate, although no earlier look knew its series."""
    row = rows_of(exposition(), exposition() + exposition("late", opened=8), seconds=4)["late", ""]
    assert row.numbers["created_per_second"] == 2


def test_utilization_is_exact_where_busy_time_is_and_sampled_elsewhere():
    exact = rows_of(exposition(in_use=10, busy=0), exposition(in_use=0, busy=25), seconds=5)["shop", ""]
    assert exact.utilization == 0.5
    sampled = rows_of(exposition(in_use=10), exposition(in_use=0), seconds=5)["shop", ""]
    assert sampled.utilization == 0.5
    unlimited = rows_of(exposition(in_use=10, limit=1e18))["shop", ""]
    assert unlimited.utilization is None


def test_processes_that_one_exposition_tells_apart_have_a_row_each():
    """A federation's `instance`: their numbers are not added up. The reader's own labels make no difference."""
    one, other = (exposition(in_use=n, foreign=f',instance="app{n}",otel_scope_name="x"') for n in (2, 7))
    history = History(60)
    rows = [row for row in history.add(Scrape.parse(one + other, 0.0)) if not row.key.origin]
    assert {(row.key.labels, row.in_use) for row in rows} == {((("instance", f"app{n}"),), n) for n in (2, 7)}


def source(name, *texts):
    made = Source(Target.parse(name), 60)
    for number, text in enumerate(texts):
        made.rows = made._history.add(Scrape.parse(text, float(number)))
    return made


@pytest.fixture
def sources():
    """Three pools: `a` is the fullest, in `b` most wait, `c` creates most."""
    one = "".join(exposition(pool, in_use=used, waiting=waiting) for pool, used, waiting in (("a", 9, 0), ("b", 5, 4)))
    return [source("one", one), source("two", exposition("c", in_use=1), exposition("c", in_use=1, opened=5))]


def shown(view, sources):
    return [line.row.key.origin or line.row.key.pool for line in view.lines(sources)]


def test_sorts_put_the_most_first_and_names_in_order(sources):
    firsts = {sort: shown(View(sort=sort), sources) for sort in SORTS}
    assert firsts["utilization"] == firsts["name"] == ["a", "b", "c"]
    assert firsts["waiting"][0] == "b"
    assert firsts["created"][0] == "c"
    assert shown(View(sort="utilization", reverse=True), sources) == ["c", "b", "a"]
    assert shown(View(sort="name", reverse=True), sources) == ["c", "b", "a"]


def test_each_key_does_what_the_last_line_says(sources):
    """s sorts by the next number, r reverses, e shows origins, p and o take a filter's text, escape drops filters."""
    view = View()
    view.press("s")
    assert shown(view, sources)[0] == "b"
    view.press("r")
    assert shown(view, sources)[0] != "b"
    view.press("r" + "s" * (len(SORTS) - 1))
    assert (view.sort, view.reverse) == ("utilization", False)
    view.press("e")
    assert shown(view, sources) == ["a", "shop.example:443", "b", "shop.example:443", "c", "shop.example:443"]
    view.press("e" + "pBq" + BACKSPACE)
    assert (view.editing, view.quitting) == ("pool", False)
    assert shown(view, sources) == ["b"]
    view.press(ENTER + "oshop" + ENTER)
    assert shown(view, sources) == ["b", "shop.example:443"]
    view.press("o" + "x")
    assert shown(view, sources) == []
    view.press(ESCAPE)
    assert (view.pool, view.origin, view.editing) == ("B", "", "")
    view.press(ESCAPE)
    assert len(shown(view, sources)) == 3
    view.press(DOWN + "jk")
    assert view.offset == 1
    view.press("\x1b[6~\x1b[5~" + "kk" + "\x1b[99~z")
    assert view.offset == 0
    view.press("q")
    assert view.quitting


def test_a_paused_view_stands_still_and_still_sorts(sources):
    """New rows come in meanwhile; they are shown when it goes on."""
    view = View()
    view.press(" ")
    assert shown(view, sources) == ["a", "b", "c"]
    sources[0].rows = tuple(replace(row, utilization=0.0) for row in sources[0].rows)
    assert shown(view, sources) == ["a", "b", "c"]
    view.press("r")
    assert shown(view, sources) == ["c", "b", "a"]
    view.press("r ")
    assert shown(view, sources)[0] == "c"


def test_numbers_that_no_process_can_mean_are_left_out():
    """NaN, infinities and 1e308 break no sum."""
    bad = exposition(opened="NaN", in_use="+Inf", waiting="1e308", limit="-Inf", waits=[("+Inf", "1e308")])
    row = rows_of(bad, bad)["shop", ""]
    assert (row.in_use, row.limit, row.utilization) == (0, 0, None)
    assert all(number is None or math.isfinite(number) for number in row.numbers.values())


def test_a_long_window_does_not_keep_every_scrape():
    """A thousand of them within it: a hundred are kept, and what lies between the first and the last is the same."""
    history = History(100)
    for number in range(1000):
        (row, *_) = history.add(Scrape.parse(exposition(opened=number), number * 0.1))
    assert len(history._scrapes) <= 102
    assert history.seconds == pytest.approx(99.9)
    assert row.numbers["created_per_second"] == pytest.approx(10)

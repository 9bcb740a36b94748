"""What is counted and how copies become one: histograms, caps, readings of several pools, pictures, names, labels."""

from types import SimpleNamespace

import pytest

from ledger import Ledger
from poolscope import _contract as c
from poolscope import _names, _origins
from poolscope._journal import Journal
from poolscope._levels import levels_of
from poolscope._phases import phase_of
from poolscope._reading import Reading, read
from poolscope._seen import LATE_SECONDS, Seen
from poolscope._snapshot import PoolSnapshot, picture
from poolscope._tallies import Tallies
from poolscope._tally import MAX_ERROR_TYPES, MAX_REQUEST_KINDS, Histogram, OriginTally
from poolscope._transitions import CHECKOUT, CONNECTION, move, on

TRACE = SimpleNamespace(span_context="span", epoch=1000.0)
POINT = (c.WAIT_TIME, ("pool", "shop", "80"))


def histogram(*values, bounds=(1.0, 2.0, 5.0)):
    made = Histogram(bounds)
    for value in values:
        made.observe(value)
    return made


def test_a_value_counts_in_the_bucket_whose_bound_it_does_not_pass():
    """Upper bounds are inclusive; the last bucket has none."""
    seen = histogram(0.5, 1.0, 1.5, 2.0, 5.0, 5.5, 100.0)
    assert (seen.counts, seen.sum, seen.count) == ([2, 2, 1, 2], 115.5, 7)


@pytest.mark.parametrize(
    "values", [[], [0.5], [9.0], [2.0, 0.5, 1.0], [5.0, 5.0, 0.1], [7.0, 1.0, 1.0, 3.0], [6.0, 7.0]]
)
def test_many_values_count_as_they_would_one_by_one(values):
    """In any order, on top of what was there."""
    both, one_by_one = histogram(1.5, 8.0), histogram(1.5, 8.0, *values)
    both.observe_all(list(values))
    assert (both.counts, both.sum) == (one_by_one.counts, pytest.approx(one_by_one.sum))


def test_a_sum_of_histograms_leaves_both_as_they_were():
    """Counts, sums and exemplars of both; the later one's exemplar where both have one."""
    mine, theirs = histogram(0.5, 3.0), histogram(4.0)
    mine.exemplify(0.5, TRACE, 1.0)
    mine.exemplify(3.0, TRACE, 2.0)
    theirs.exemplify(4.0, TRACE, 3.0)
    both = mine.plus(theirs)
    assert (both.counts, both.sum, both.bounds) == ([1, 0, 2, 0], 7.5, (1.0, 2.0, 5.0))
    assert both.exemplars == {0: (0.5, "span", 1001.0), 2: (4.0, "span", 1003.0)}
    assert theirs.plus(mine).exemplars[2] == (3.0, "span", 1002.0)
    assert mine.plus(histogram()).exemplars == mine.exemplars
    assert histogram().plus(mine).exemplars == mine.exemplars
    assert histogram().plus(histogram()).exemplars is None
    assert (mine.counts, theirs.counts, mine.sum, theirs.sum) == ([1, 0, 1, 0], [0, 0, 1, 0], 3.5, 4.0)


def test_a_copy_of_a_histogram_is_its_own():
    """What is observed later changes one of the two."""
    mine = histogram(0.5)
    mine.exemplify(0.5, TRACE, 1.0)
    copy = mine.copy()
    mine.observe(3.0)
    mine.exemplify(3.0, TRACE, 2.0)
    assert (copy.counts, copy.sum, copy.bounds) == ([1, 0, 0, 0], 0.5, mine.bounds)
    assert copy.exemplars == {0: (0.5, "span", 1001.0)}
    assert histogram().copy().exemplars is None


def test_an_unsampled_value_leaves_no_exemplar():
    """No span context, no exemplar."""
    seen = histogram(0.5)
    seen.exemplify(0.5, SimpleNamespace(span_context=None, epoch=0.0), 1.0)
    assert seen.exemplars is None


def test_error_types_and_protocols_grow_and_fold_past_their_cap():
    """What has a series keeps it; the first past the cap is `_OTHER`, in both tables that errors name."""
    tally = OriginTally("shop", "80")
    for n in range(MAX_ERROR_TYPES - 1):
        assert tally.abandon(f"E{n}") == tally.created(0.5, f"E{n}") == f"E{n}"
    assert tally.abandon("Late") == tally.created(0.5, "Late") == c.OTHER
    assert tally.abandon("Later") == tally.created(0.25, "Later") == c.OTHER
    assert tally.abandon("E3") == tally.created(0.25, "E3") == "E3"
    assert (tally.abandoned[c.OTHER], tally.abandoned["E3"], tally.abandoned["E4"]) == (2, 2, 1)
    assert (tally.create_time[c.OTHER].sum, tally.create_time["E3"].sum) == (0.75, 0.75)
    assert len(tally.abandoned) == len(tally.create_time) == MAX_ERROR_TYPES + 1
    tally.lived(3.0, "2")
    tally.lived(4.0, "2")
    assert (tally.duration["2"].sum, tally.duration["2"].bounds, tally.duration["1.1"].count) == (7.0, c.CONN, 0)
    assert tally.create_time["E3"].bounds == c.CREATE


def test_request_kinds_fold_past_their_cap_and_keep_the_method():
    """By its method a request leaves active_requests; all else of it is folded."""
    tally = OriginTally("shop", "80")
    for status in range(MAX_REQUEST_KINDS):
        kind, made = tally.request(("GET", status, "", "1.1"))
        assert (kind, made.bounds) == (("GET", status, "", "1.1"), c.REQ)
    kind, first = tally.request(("PUT", 200, "", "1.1"))
    assert kind == ("PUT", "", c.OTHER, "")
    assert tally.request(("PUT", 201, "", "2"))[1] is first
    assert tally.request(("GET", 7, "", "1.1"))[0] == ("GET", 7, "", "1.1")


def test_an_origins_series_are_there_at_zero_from_the_start():
    """Every word that the contract knows, each with its own number under its own metric."""
    tally = OriginTally("shop", "80")
    tally.checkouts, tally.opened = 2, 3
    key = ("pool", "shop", "80")
    tables = {
        c.ACQUISITIONS: (tally.acquisitions, c.SOURCES),
        c.TIMEOUTS: (tally.timeouts, c.CAUSES),
        c.ABANDONED: (tally.abandoned, ("CancelledError",)),
        c.REQUEUES: (tally.requeues, c.STAGES),
        c.CLOSED: (tally.closed, c.REASONS),
    }
    expected = {(c.CHECKOUTS, key): 2, (c.OPENED, key): 3}
    for table, words in tables.values():
        assert table == dict.fromkeys(words, 0)
    for n, (metric, (table, words)) in enumerate(tables.items()):
        for m, word in enumerate(words):
            table[word] = expected[metric, (*key, word)] = 100 * n + m
    assert dict(tally.counters("pool")) == expected
    assert tally.protocols == {"1.1"}
    tally.request(("GET", 200, "", "2"))
    assert dict(tally.histograms("pool")) == {
        (c.WAIT_TIME, key): tally.wait_time,
        (c.USE_TIME, key): tally.use_time,
        (c.STREAM_WAIT_TIME, key): tally.stream_wait_time,
        (c.CREATE_TIME, (*key, "")): tally.create_time[""],
        (c.DURATION, (*key, "1.1")): tally.duration["1.1"],
        (c.REQUEST_DURATION, ("GET", "shop", "80", 200, "", "2")): tally.request_duration["GET", 200, "", "2"],
    }
    assert all(made.bounds == metric.buckets for (metric, _), made in tally.histograms("pool"))


def test_readings_of_pools_of_one_name_add_up_but_for_levels_and_ages():
    """Counters and histograms are sums, limits are the fullest pool's, ages the oldest's."""
    name = ("pool",)

    def reading(checkouts, in_use, limit, age, utilization, *waits):
        numbers = {
            (c.CHECKOUTS, ("pool", "shop", "80")): checkouts,
            (c.IN_USE, name): in_use,
            (c.MAX, name): limit,
            (c.IDLE_MAX, name): limit - 1,
            (c.OLDEST_PENDING_AGE, name): age,
            (c.OLDEST_USE_AGE, name): age + 1,
        }
        return Reading(numbers, {POINT: histogram(*waits)}, {"pool": utilization})

    def both(first, second):
        whole = Reading()
        whole.add(first)
        whole.add(second)
        return whole

    for order in (1, -1):
        pools = [reading(1, 2, 10, 5.0, 0.2, 0.5), reading(2, 3, 4, 3.0, 0.75, 1.5, 3.0)][::order]
        whole = both(*pools)
        assert whole.numbers == {
            (c.CHECKOUTS, ("pool", "shop", "80")): 3,
            (c.IN_USE, name): 3,
            (c.MAX, name): 4,
            (c.IDLE_MAX, name): 3,
            (c.OLDEST_PENDING_AGE, name): 5.0,
            (c.OLDEST_USE_AGE, name): 6.0,
        }
        assert whole.fullest == {"pool": 0.75}
        assert (whole.histograms[POINT].counts, whole.histograms[POINT].sum) == ([1, 1, 1, 0], 5.0)
    equal = both(reading(1, 2, 10, 1.0, 0.5), reading(1, 7, 14, 1.0, 0.5))
    assert (equal.numbers[c.IN_USE, name], equal.numbers[c.MAX, name]) == (7, 14), "of equals the last"
    dead = both(reading(1, 0, 10, 1.0, -1.0), reading(1, 0, 20, 1.0, 0.0))
    assert dead.numbers[c.MAX, name] == 20, "one that lives comes before one that was closed"


@pytest.mark.parametrize(
    ("live", "limit", "utilization"), [(True, 4, 0.5), (False, 4, -1.0), (True, 0, 0.0), (False, 0, -1.0)]
)
def test_how_full_a_pool_is(live, limit, utilization):
    """Slots in use by the limit; a closed pool comes after every live one, one without slots is as an empty one."""
    ledger = Ledger(limit)
    ledger.reserve(1.0)
    ledger.reserve(1.0)
    seen = read(ledger.pool, live, True, 2.0)
    assert seen.fullest == {"pool": utilization}
    assert seen.numbers[c.POOLS, ("pool",)] == int(live)


def test_the_ages_are_of_the_oldest_and_zero_where_nobody_is():
    """A request that was offered something still waits."""
    ledger = Ledger()
    assert ("oldest_pending_age",) not in ledger.counted(1.0)
    ledger.request(2.0)
    ledger.request(3.0)
    ledger.hold(4.0)
    ledger.hold(5.0)
    offered = ledger.request(1.5)
    ledger.pool.offer(offered, ledger.open(6.0), 6.0)
    seen = ledger.counted(10.0)
    assert (seen["oldest_pending_age",], seen["oldest_use_age",]) == (8.5, 6.0)
    assert (seen["pending_requests",], seen["checked_out",], seen["active_requests", "GET"]) == (3, 2, 5)


def test_connections_in_set_up_add_up():
    """Two of them are two."""
    ledger = Ledger()
    for at in (1.0, 2.0):
        ledger.pool.slots.connecting(ledger.reserve(at), None, at)
    assert ledger.counted(3.0)["establishing",] == 2


def test_a_request_that_counts_elsewhere_keeps_no_reading_from_the_others():
    """It is left out of the levels; those that come after it are in."""
    ledger = Ledger()
    lost, other = ledger.request(0.5), ledger.request(0.5, port=81)
    lost.tally, ledger.pool.checkouts = Ledger().request(0.5).tally, [lost, other]
    levels = levels_of(ledger.pool)
    assert lost.tally not in levels
    assert levels[other.tally].pending == 1
    assert sum(one.pending for one in levels.values()) == 1


def test_levels_that_were_above_zero_stay_at_zero():
    """A method, a protocol: once shown, always shown; the pool's own row has no methods."""
    ledger = Ledger()
    request, connection = ledger.hold(1.0, ledger.open(1.0, "2"), "PUT")
    ledger.pool.end(request, True, False, 2.0)
    ledger.pool.slots.closed(connection, c.FAILED, 3.0)
    seen = read(ledger.pool, True, True, 4.0).numbers
    assert seen[c.ACTIVE_REQUESTS, ("shop", "80", "PUT")] == seen[c.ACTIVE_REQUESTS, ("shop", "80", "GET")] == 0
    levels = {
        labels[3:]: value for (metric, labels), value in seen.items() if metric is c.OPEN_CONNECTIONS and labels[1]
    }
    assert levels == {(state, protocol): 0 for state in c.STATES for protocol in ("1.1", "2")}
    assert {labels[:2] for metric, labels in seen if metric is c.ACTIVE_REQUESTS} == {("shop", "80")}


def test_the_picture_says_who_holds_what_and_who_waits():
    """Oldest first, longest wait first, limits as they were given, each origin by itself."""
    ledger = Ledger(5, 4)
    pool = ledger.pool
    old, first = ledger.hold(2.0, ledger.open(1.0), "POST")
    young, second = ledger.hold(3.0, ledger.open(1.5, port=81))
    ledger.idle(1.75, port=81)
    ledger.pool.slots.connecting(ledger.reserve(4.0), None, 4.0)
    for entered in (6.0, 5.0):
        offered = ledger.request(entered)
    pool.offer(offered, ledger.idle(1.75, port=81), 6.0)
    old.place, old.runner, old.phase = "shop.py:7", "task", c.STREAMING
    old.trace = SimpleNamespace(span_context=SimpleNamespace(trace_id=0xAB))
    seen = picture(pool, 7.0, 10.0)
    assert (seen.name, seen.max_connections, seen.max_idle_connections) == ("pool", 5, 4)
    assert (seen.keepalive_expiry_seconds, seen.taken_at, seen.unseen) == (7.0, 10.0, 0)
    assert (seen.in_use, seen.active, seen.idle, seen.establishing, seen.waiting) == (3, 2, 2, 1, 2)
    assert (seen.waiting_seconds, seen.lost, seen.orphaned) == ((5.0, 4.0), (), 0)
    assert (seen.running, seen.at_rest) == (len(pool.checkouts), False)
    one, other = seen.held
    assert (one.connection_id, one.address, one.port, one.protocol) == (first.id, "shop", "80", "1.1")
    assert (one.method, one.phase, one.age_seconds) == ("POST", c.STREAMING, 8.0)
    assert (one.place, one.runner, one.trace_id) == ("shop.py:7", "task", "0" * 30 + "ab")
    assert (other.connection_id, other.age_seconds, other.trace_id) == (second.id, 7.0, "")
    assert (other.port, second.tally.port) == ("80", "81"), "it is where its request counts"
    assert (other.phase, young.phase) == ("awaiting headers", "requesting")
    assert [tuple(getattr(origin, name) for name in origin.__slots__) for origin in seen.origins] == [
        ("shop", "80", 1, 0, 1, 2, 9.0),
        ("shop", "81", 1, 2, 0, 0, 8.5),
    ]
    assert str(seen) == "pool 'pool': 3/5 in use (2 active, 1 establishing), 2 idle, 2 waiting"


def test_a_picture_at_rest_and_with_lost_slots():
    """At rest means that no request is under way, with or without a connection; lost ones are counted in its line."""
    rest = PoolSnapshot("p", None, 1, None, 0, 0, 0, 0, 0, (), ())
    assert (rest.at_rest, str(rest)) == (
        True,
        "pool 'p': 0/unlimited in use (0 active, 0 establishing), 0 idle, 0 waiting",
    )
    ledger = Ledger()
    alone = ledger.request(1.0, pooled=False)
    seen = picture(ledger.pool, None, 1.5)
    assert (seen.running, seen.waiting, seen.held, seen.at_rest) == (1, 0, (), False)
    ledger.pool.end(alone, False, False, 1.75)
    ledger.pool.losses.kept = lambda: ledger.kept
    ledger.open(1.0)
    ledger.pool.losses.look([], 2.0)
    seen = picture(ledger.pool, None, 3.0)
    assert (seen.at_rest, seen.orphaned, str(seen).endswith(", 0 waiting, 1 lost")) == (True, 1, True)


@pytest.mark.parametrize(
    ("noted", "method", "state", "protocol", "phase"),
    [
        (c.STREAMING, "GET", "reserved", "1.1", c.CONNECTING),
        ("requesting", "GET", "establishing", "2", c.CONNECTING),
        (c.STREAMING, "GET", "active", "1.1", c.STREAMING),
        ("requesting", "GET", "active", "1.1", "awaiting headers"),
        ("requesting", "POST", "active", "1.1", "sending"),
        ("requesting", "POST", "active", "2", "awaiting headers"),
    ],
)
def test_the_phase_of_a_request_that_holds_a_connection(noted, method, state, protocol, phase):
    """Connecting as long as its connection does; else what was noted; else what its method and protocol say."""
    assert phase_of(noted, method, state, protocol) == phase


def test_a_table_moves_only_by_its_rows():
    """The rows of one event, by the state they leave; without a row nothing changes, and that is said."""
    assert on(CHECKOUT, "withdrawn") == {"offered": "waiting", "holding": "waiting"}
    assert on(CONNECTION, "freed") == {"reserved": "closed", "establishing": "closed"}
    thing = SimpleNamespace(state="idle")
    assert (move(thing, CONNECTION, "freed"), thing.state) == (False, "idle")
    assert (move(thing, CONNECTION, "used"), thing.state) == (True, "active")


def test_an_origin_keeps_its_label_and_folds_past_the_caps():
    """Twenty a pool, a hundred a process; what has a label keeps it, in every pool."""
    tallies = Tallies()
    known = [tallies.of(b"http", b"h%d" % n, None) for n in range(_origins.MAX_PER_POOL)]
    assert (known[3].address, known[3].port) == ("h3", "80")
    more = tallies.of(b"http", b"h99", None)
    assert len(tallies._by_origin) == _origins.MAX_PER_POOL, "what is folded is not kept: there is no end of it"
    assert (more.address, more.port) == _origins.OVERFLOW
    assert tallies.of(b"https", b"other", None) is more
    assert tallies.of(b"http", b"h3", None) is tallies.of(b"http", b"h3", 80) is known[3]
    assert (tallies.whole.address, tallies.whole.port) == ("", "")
    assert tallies.by_label["", ""] is tallies.whole
    for n in range(20, _origins.MAX_PER_PROCESS):
        assert _origins.grant((f"h{n}", "80"), 0) == (f"h{n}", "80")
    assert _origins.grant(("one too many", "80"), 0) == _origins.OVERFLOW
    assert _origins.grant(("h3", "80"), 0) == ("h3", "80")
    assert _origins.grant(_origins.OVERFLOW, 0) == _origins.OVERFLOW
    assert _origins.OVERFLOW not in _origins._granted


@pytest.mark.parametrize(
    ("scheme", "host", "port", "label"),
    [
        (b"http", b"shop", None, ("shop", "80")),
        (b"https", b"shop", None, ("shop", "443")),
        (b"https", b"shop", 8443, ("shop", "8443")),
        (b"ftp", b"shop", None, ("shop", "")),
        (b"http", b"", 80, _origins.OVERFLOW),
        (b"http", b"sh\nop", 80, _origins.OVERFLOW),
        (b"http", b"\xc3\xa9", 80, ("\N{REPLACEMENT CHARACTER}" * 2, "80")),
        (b"http", b"\xff", 80, ("\N{REPLACEMENT CHARACTER}", "80")),
        (b"http", b"a" * 253, 80, ("a" * 253, "80")),
        (b"http", b"a" * 254, 80, _origins.OVERFLOW),
    ],
)
def test_an_origins_label(scheme, host, port, label):
    """Its host as it is written, its port or its scheme's own; what no label can be is `_OTHER`."""
    assert _origins.label_of(scheme, host, port) == label


def test_names_keep_and_fold_past_their_caps(caplog):
    """A hundred that users give, then `_OTHER`, said once; a caller's name is its module and function."""
    assert [_names.granted(f"n{n}") for n in range(_names.MAX_NAMES)] == [f"n{n}" for n in range(_names.MAX_NAMES)]
    assert caplog.records == []
    assert [_names.granted(name) for name in ("one too many", "n5", "n1000")] == [c.OTHER, "n5", c.OTHER]
    assert [record.getMessage() for record in caplog.records] == [
        "poolscope: pool 'one too many' is called _OTHER in metrics, as are all after it: there are 100 names already"
    ]
    assert _names.name_of_caller() == f"{__name__}.test_names_keep_and_fold_past_their_caps"
    assert _names.file_of_caller() == __file__
    spaces = [{"__name__": f"m{n}", "call": _names.name_of_caller} for n in range(_names.MAX_CALLERS)]
    seen = [eval("call()", space) for space in spaces]
    assert seen[0] == "m0"
    assert seen[-1] == "default"
    assert eval("call()", {"__name__": "m0", "call": _names.name_of_caller}) == "m0"


@pytest.mark.parametrize(
    ("module", "name"),
    [("poolscope", None), ("poolscope.httpx", None), ("poolscopes", "poolscopes"), ("x.poolscope", "x.poolscope")],
)
def test_frames_of_the_package_are_no_callers(module, name):
    """The nearest frame outside it is; a package whose name only begins alike is outside."""
    here = f"{__name__}.test_frames_of_the_package_are_no_callers"
    assert eval("call()", {"__name__": module, "call": _names.name_of_caller}) == (name or here)


def test_a_frame_without_a_module_is_called_default():
    """Code that was run without a name, or with one that is none."""
    for more in ({}, {"__name__": None}, {"__name__": 7}, {"__name__": ""}):
        space = {"call": _names.name_of_caller, "file": _names.file_of_caller, "__builtins__": {}, **more}
        assert eval("call()", space) == "default"
        assert eval("file()", space) == "<string>"


def test_a_journal_tells_whoever_asked_and_nobody_else():
    """Each that asked for the type, in the order of asking, until it asks no more."""
    from poolscope import events as e

    journal = Journal("pool")
    assert set(journal.wanted) == set(e.EVENTS)
    first, second = [], []
    journal.want(e.PoolClosed, first.append)
    journal.want(e.PoolClosed, second.append)
    journal.want(e.SlotFreed, second.append)
    tally = OriginTally("shop", "80")
    journal.post(e.PoolClosed, tally, 1.0)
    journal.post(e.SlotFreed, tally, 2.0, 7)
    assert first == [e.PoolClosed("pool", "shop", "80", 1.0)]
    assert second == [*first, e.SlotFreed("pool", "shop", "80", 2.0, 7)]
    journal.unwant(second.append)
    assert journal.wanted[e.PoolClosed] == (first.append,)
    assert journal.wanted[e.SlotFreed] == ()
    journal.want(int, first.append)
    assert journal.wanted[int] == (first.append,)


def test_the_timeouts_of_requests_that_have_a_connection_made():
    """The first second, how many, how many without a pool timeout, the longest and the read timeout beside it."""
    seen = Seen()
    assert (seen.since, seen.requests, seen.without_pool_timeout) == (None, 0, 0)
    assert (seen.asynchronous, seen.file) == (False, "")
    assert (seen.pool_timeout_seconds, seen.read_timeout_seconds) == (None, None)
    for timeouts, at in (
        ({"pool": 2.0, "read": 7.0}, 1.0),
        ({"pool": 5.0, "read": None}, 2.0),
        ({"pool": 3.0, "read": 9.0}, 3.0),
        ({"pool": None, "read": 4.0}, 4.0),
        ({}, 5.0),
    ):
        seen.wanted(timeouts, at)
    assert (seen.since, seen.requests, seen.without_pool_timeout) == (1.0, 5, 2)
    assert (seen.pool_timeout_seconds, seen.read_timeout_seconds) == (5.0, None)
    again = Seen()
    again.wanted({"pool": 0.5, "read": 7.0}, 0.0)
    again.wanted({"pool": 0.5, "read": 8.0}, 3.0)
    assert (again.since, again.pool_timeout_seconds, again.read_timeout_seconds) == (0.0, 0.5, 7.0)


def test_how_late_a_request_ran_on_after_it_was_given_a_slot():
    """Late is more than 0.05 s; what is late within a quarter of a second is one time; a further attempt is none."""
    seen = Seen()
    assert (seen.hand_overs, seen.late_hand_overs, seen.late_seconds, seen.late_times) == (0, 0, 0.0, 0)
    for busy_at, now in ((0.0, LATE_SECONDS), (1.0, 1.046875), (2.0, 2.5), (2.25, 2.75), (3.0, 3.0625), (3.0, 4.0)):
        seen.began(SimpleNamespace(busy_at=busy_at, connecting_at=busy_at), now)
    assert (seen.hand_overs, seen.late_hand_overs, seen.late_times) == (6, 4, 3)
    assert seen.late_seconds == 0.5 + 0.5 + 0.0625 + 1.0
    seen.began(SimpleNamespace(busy_at=5.0, connecting_at=6.0), 9.0)
    assert seen.hand_overs == 6


def test_a_pool_in_another_event_loop_is_noted_where_it_is_asynchronous():
    """Each change once; a thread without a loop, and a pool of threads, change nothing."""
    import asyncio

    async def run(seen):
        seen.ran(0.0)
        seen.ran(0.0)

    for asynchronous, changes in ((True, 2), (False, 0)):
        seen = Seen()
        seen.asynchronous = asynchronous
        seen.ran(0.0)
        for _ in range(3):
            asyncio.run(run(seen))
        seen.ran(0.0)
        assert seen.loop_changes == changes


def test_an_origin_without_an_open_connection_has_no_oldest_one():
    """Zero seconds, whatever waits there."""
    ledger = Ledger()
    ledger.request(1.0)
    [origin] = picture(ledger.pool, None, 9.0).origins
    assert (origin.waiting, origin.oldest_connection_seconds) == (1, 0.0)


@pytest.mark.parametrize(("protocol", "phase"), [("1.1", "sending"), ("2", "awaiting headers"), ("", c.CONNECTING)])
def test_a_held_connection_says_what_its_request_is_about(protocol, phase):
    """By the connection's own state and protocol."""
    ledger = Ledger()
    ledger.post(1.0, protocol)
    [held] = picture(ledger.pool, None, 9.0).held
    assert held.phase == phase


def test_an_upgraded_connection_streams():
    """Its request's response has no body that anybody would read."""
    ledger = Ledger()
    checkout = ledger.post(1.0, "1.1")
    checkout.phase, checkout.connection.upgraded = c.UNREAD, True
    [held] = picture(ledger.pool, None, 9.0).held
    assert held.phase == c.STREAMING


def test_a_readings_points_by_metric_are_all_its_points():
    """Numbers and histograms, each under its own metric, in their order; what has none is not there."""
    ledger = Ledger()
    ledger.hold(1.0)
    seen = read(ledger.pool, True, True, 2.0)
    by_metric = seen.by_metric()
    assert set(by_metric) == {metric for metric, _ in (*seen.numbers, *seen.histograms)}
    for metric, points in by_metric.items():
        every = seen.histograms if metric.kind == "histogram" else seen.numbers
        assert points == [point for point in every if point[0] is metric]
    assert Reading().by_metric() == {}


def test_a_picture_of_an_unlimited_pool_has_no_limits():
    """None, not the contract's number."""
    seen = picture(Ledger(None, None).pool, None, 1.0)
    assert (seen.max_connections, seen.max_idle_connections) == (None, None)

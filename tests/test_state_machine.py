"""The state machine under any order of events: the equations hold after each, and an illegal one changes nothing."""

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from poolscope import _contract as c
from poolscope import _transitions as t
from poolscope._observer import Observer
from poolscope._pool import Pool

STATES = {
    "checkout": (t.WAITING, t.OFFERED, t.HOLDING, t.DONE),
    "connection": (t.RESERVED, t.ESTABLISHING, t.ACTIVE, t.IDLE, t.CLOSED),
}
PORTS = (80, 443)


class AnyOrder(RuleBasedStateMachine):
    """Whatever a pool may do to us, in whatever order, legal or not."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.pool = Pool("pool", 3, 2)
        self.observer = Observer(self.pool, clock=lambda: self.now)
        self.checkouts = []
        self.connections = []
        self.before = {}

    def pick(self, things, index):
        return things[index % len(things)]

    @rule(seconds=st.floats(0, 10))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(port=st.sampled_from(PORTS), plain=st.booleans())
    def request(self, port, plain):
        self.observer.plain = plain
        url = SimpleNamespace(raw_scheme=b"http", raw_host=b"shop", port=port)
        self.checkouts.append(self.observer.enter(SimpleNamespace(url=url, method="GET")))

    @rule(port=st.sampled_from(PORTS))
    def reserve(self, port):
        kept = {id(None)}
        self.connections.append(self.pool.reserve(b"http", b"shop", port, kept, self.now))

    @precondition(lambda self: self.checkouts and self.connections)
    @rule(who=st.integers(0), which=st.integers(0), step=st.sampled_from(["write", "connect"]))
    def step_of_both(self, who, which, step):
        checkout, connection = self.pick(self.checkouts, who), self.pick(self.connections, which)
        getattr(self.pool, step)(checkout, connection, self.now)

    @precondition(lambda self: self.checkouts and self.connections)
    @rule(who=st.integers(0), which=st.integers(0))
    def offer(self, who, which):
        checkout, connection = self.pick(self.checkouts, who), self.pick(self.connections, which)
        if checkout.ended_at is None and checkout.tally in (None, connection.tally):
            self.observer.offer(checkout, connection)

    @precondition(lambda self: self.checkouts)
    @rule(who=st.integers(0), step=st.sampled_from(["withdraw", "adopt"]))
    def step_of_a_checkout(self, who, step):
        getattr(self.pool, step)(self.pick(self.checkouts, who), self.now)

    @precondition(lambda self: self.checkouts)
    @rule(who=st.integers(0), read=st.booleans(), timed_out=st.booleans(), error=st.sampled_from(["", "ReadError"]))
    def end(self, who, read, timed_out, error):
        checkout = self.pick(self.checkouts, who)
        if checkout.ended_at is None:
            checkout.read = read
            checkout.error = checkout.error or error
        self.observer.end(checkout, timed_out=timed_out)

    @precondition(lambda self: self.checkouts)
    @rule(who=st.integers(0), accepted=st.booleans())
    def engage(self, who, accepted):
        self.pool.engage(self.pick(self.checkouts, who), accepted)

    @precondition(lambda self: self.connections)
    @rule(
        which=st.integers(0),
        step=st.sampled_from(["opened", "closed", "failed", "idled", "used", "socket_closed", "detached", "gone"]),
        protocol=st.sampled_from(["1.1", "2"]),
        reason=st.sampled_from(c.REASONS),
    )
    def step_of_a_connection(self, which, step, protocol, reason):
        facts = {"opened": [protocol], "closed": [reason], "failed": ["ConnectError"]}.get(step, [])
        getattr(self.pool.slots, step)(self.pick(self.connections, which), *facts, self.now)

    @precondition(lambda self: self.connections and self.checkouts)
    @rule(which=st.integers(0), who=st.integers(0))
    def broke(self, which, who):
        checkout, connection = self.pick(self.checkouts, who), self.pick(self.connections, which)
        self.pool.slots.broke(connection, checkout, "ReadError", c.FAILED, self.now)

    @rule()
    def somebody_looks(self):
        """METRICS' four equations, from the points alone; nothing negative; counters never go back.

        No invariant of every step, because a look takes plain requests into the state machine.
        """
        seen = self.observer.read()
        for port in map(str, PORTS):
            at = Points(seen, port)
            ended = at.sum(c.ACQUISITIONS) + at.sum(c.TIMEOUTS) + at.sum(c.ABANDONED)
            late = seen.numbers.get((c.REQUEUES, ("pool", "shop", port, c.LATE)), 0)
            assert at.sum(c.CHECKOUTS) + late == ended + at.sum(c.PENDING)
            assert at.sum(c.ACQUISITIONS) == at.count(c.USE_TIME) + late + at.sum(c.CHECKED_OUT)
            assert at.sum(c.OPENED) == at.sum(c.CLOSED) + at.sum(c.OPEN_CONNECTIONS)
            assert at.count(c.WAIT_TIME) == ended
        assert all(value >= 0 for value in seen.numbers.values())
        assert self.pool.slots.in_use == sum(one.occupied for one in self.pool.slots.taken.values())
        for connection in self.connections:
            states = [one.state for one in self.checkouts if one.connection is connection]
            assert (connection.offered, connection.holders) == (states.count(t.OFFERED), states.count(t.HOLDING))
        for (metric, labels), value in self.before.items():
            assert metric.kind != "counter" or seen.numbers[metric, labels] >= value - 1e-9, metric.name
        self.before = seen.numbers

    def teardown(self):
        self.somebody_looks()


class Points:
    """The points of one origin."""

    def __init__(self, reading, port):
        self.reading = reading
        self.key = ("pool", "shop", port)

    def sum(self, metric):
        return sum(v for (m, labels), v in self.reading.numbers.items() if m is metric and labels[:3] == self.key)

    def count(self, metric):
        return sum(
            h.count for (m, labels), h in self.reading.histograms.items() if m is metric and labels[:3] == self.key
        )


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=300, stateful_step_count=50, deadline=None, derandomize=True)


def told(story, plain):
    """Tell a story of three connections, each with one request after the other; give what each look sees.

    A story is who goes on (or that somebody looks) and after how many seconds.
    """
    now = [0.0]
    pool = Pool("pool", 3, 3)
    observer = Observer(pool, clock=lambda: now[0])
    observer.plain = plain
    url = SimpleNamespace(raw_scheme=b"http", raw_host=b"shop", port=80)
    probes = [SimpleNamespace(is_idle=lambda i=i: not busy[i], is_closed=lambda: False) for i in range(3)]
    busy, requests, looks = [False] * 3, [[] for _ in range(3)], []
    connections = []
    for probe in probes:
        connection = pool.reserve(b"http", b"shop", 80, {id(None), *map(id, probes)}, 0.0)
        connection.probe = lambda probe=probe: probe
        connections.append(connection)
        pool.slots.connecting(connection, None, 0.0)
        pool.slots.opened(connection, "1.1", 0.0)
        pool.slots.idled(connection, 0.0)

    def steps(i):
        while True:
            checkout = observer.enter(SimpleNamespace(url=url, method="GET"))
            requests[i].append(checkout)
            yield
            observer.offer(checkout, connections[i])
            if len(requests[i]) % 3 == 0:  # refused: somebody else was faster
                yield
                observer.apply(pool.withdraw, checkout)
                yield
                observer.offer(checkout, connections[i])
            busy[i] = True
            observer.wrote(checkout, connections[i])
            yield
            checkout.status, checkout.protocol = 200, "1.1"
            yield
            checkout.read = True
            busy[i] = False
            observer.end(checkout)
            yield

    walks = [steps(i) for i in range(3)]
    for who, seconds in [*story, (3, 0.0)]:
        now[0] += seconds
        if who < 3:
            next(walks[who])
        else:
            seen = observer.read()
            numbers = {at: round(value, 6) for at, value in seen.numbers.items()}
            looks.append((numbers, {at: (h.counts, round(h.sum, 6)) for at, h in seen.histograms.items()}))
    return looks, any(checkout.plain for one in requests for checkout in one)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 10)), max_size=120))
@settings(deadline=None, derandomize=True)
def test_a_plain_request_counts_as_it_would_step_by_step(story):
    """Whoever looks, whenever: the same numbers and histograms, whether requests went plain or not."""
    assert told(story, plain=True)[0] == told(story, plain=False)[0]


def test_a_plain_request_stays_plain():
    """Nothing but a look takes it into the state machine; one that did go there is plain no longer."""
    story = [(0, 1.0)] * 10
    assert told(story, plain=True)[1]
    assert not told(story, plain=False)[1]


def test_an_event_without_a_row_changes_nothing():
    """For each state and event that the table does not join, the thing stays as it is, and nobody is told."""

    class Thing:
        state = ""

    for table, states in ((t.CHECKOUT, STATES["checkout"]), (t.CONNECTION, STATES["connection"])):
        events = {event for _, event in table}
        for state in states:
            for event in events:
                thing = Thing()
                thing.state = state
                assert t.move(thing, table, event) is ((state, event) in table)
                assert thing.state == table.get((state, event), state)


def test_every_state_is_reached_and_left_but_the_last():
    """The tables join all their states; the last one has no way out."""
    for table, states in ((t.CHECKOUT, STATES["checkout"]), (t.CONNECTION, STATES["connection"])):
        reached = {states[0], *table.values()}
        assert reached == set(states)
        assert {state for state, _ in table} == set(states[:-1])

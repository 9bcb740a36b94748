"""A pool as a scraper sees it: one sample of every metric that a rule reads, each quarter of a minute.

1. What a simulation says is what the contract's metrics would show: counters count, gauges stand, and nothing is
   written that the rules alone would want.
2. Three forms: `native` (our Prometheus sink), `otel` (OpenTelemetry's reader: scope labels, histograms born at their
   first value) and `workers` (prometheus_client's multi-process mode: gauges with a pid, counters without, as in the
   recording that `recorded` reads).
3. A pool's own series (no origin) are there from its first scrape, an origin's from the first one after it was asked:
   what the origin counted before that is in no increase.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from alerting import recorded
from poolscope import _contract as c

STEP = 15
PER_MINUTE = 60 // STEP
FORMS = ("native", "otel", "workers")
SCOPE = {"otel_scope_name": "poolscope", "otel_scope_schema_url": "", "otel_scope_version": "0.1.0"}
BOUNDS = ("2.5", "5.0", "7.5", "+Inf")
NOBODY = ("", "")
ORIGINS = (("pay.example", "443"), ("pay.example", "8443"), ("bank.example", "443"))

Level = float | Callable[[int], float] | Sequence[float]


class Pool:
    """The pool `pool` of the process `instance`; `run` appends minutes to its history."""

    def __init__(
        self, *, pool="payments", instance="shop-0:8000", job="shop", limit=10, form="native", origins=1, extra=None
    ):
        self.labels = {"job": job, "instance": instance, c.prometheus_label(c.POOL): pool, **(extra or {})}
        if form == "otel":
            self.labels |= SCOPE
        self.form, self.limit, self.origins = form, limit, [NOBODY, *ORIGINS[:origins]]
        self.length = 0
        self.values: dict[str, list[float | str]] = {}
        self.keys: dict[tuple[str, ...], str] = {}
        self.exact: dict[str, float] = {}
        self.le = BOUNDS

    def missed(self, scrapes=1, value="stale"):
        """The target did not answer: Prometheus marks every series stale."""
        for row in self.values.values():
            row.extend([value] + ["_"] * (scrapes - 1))
        self.length += scrapes
        return self

    def gone(self, minutes):
        """The process is dead, or not yet there."""
        return self.missed(int(minutes * PER_MINUTE))

    def ended_unmarked(self, minutes):
        """The process is gone and nothing says so, as with what is pushed: no sample comes, none is marked stale."""
        return self.missed(int(minutes * PER_MINUTE), "_")

    def scraped_each(self, seconds):
        """Take away what a scraper with a longer interval would not have seen."""
        for row in self.values.values():
            row[:] = [value if i % (seconds // STEP) == 1 else "_" for i, value in enumerate(row)]
        return self

    def restart(self):
        """A new process behind the same address: counters begin at zero, and no series is there until it counts."""
        self.exact.clear()
        return self

    def run(
        self,
        minutes,
        *,
        requests=600.0,
        in_use: Level = 3,
        waiting: Level = 0,
        handed=None,
        new=0.02,
        slow=0.0,
        timeouts=0.0,
        closed=None,
        leaks=None,
        orphaned: Level = 0,
        made=0.0,
        limit=None,
        given_up=0.0,
        asked=None,
    ):
        """Let it run: rates a minute (`requests`, `leaks`, `made`, `given_up`), shares of the requests, and levels.

        given_up: of the requests that came before, those that end in PoolTimeout after long.
        asked: the origins that requests go to (all that were asked before); the others' counters stand.
        """
        self.limit = self.limit if limit is None else limit
        asked = self.origins[1:] if asked is None else asked
        self.origins += [origin for origin in asked if origin not in self.origins]
        handed = 1 - timeouts if handed is None else handed
        for i in range(int(minutes * PER_MINUTE)):
            n = requests / PER_MINUTE
            self.gauge(c.IN_USE, in_use, i)
            self.gauge(c.MAX, self.limit, i)
            self.gauge(c.ORPHANED, orphaned, i)
            self.count(c.POOLS_OPENED, made / PER_MINUTE, start=1)
            for kind in c.LEAKS:
                self.count(c.LEAKED, (leaks or {}).get(kind, 0) / PER_MINUTE, {c.LEAK: kind})
            for address, port in self.origins:
                labels = {c.ADDRESS: address, c.PORT: port}
                shares = {"handed": handed, "new": new, "slow": slow, "timeouts": timeouts}
                mine = (address, port) in asked
                part = 1 / len(asked) if mine else 0
                late = given_up / PER_MINUTE * part
                self.origin(labels, n * part, late, **shares, closed=closed or {})
                self.gauge(c.PENDING, waiting if mine else 0, i, labels)
            self.length += 1
            for row in self.values.values():
                if len(row) < self.length:
                    row.append("_")
        return self

    def origin(self, labels, n, late, *, handed, new, slow, timeouts, closed):
        self.count(c.CHECKOUTS, n, labels)
        self.count(c.ACQUISITIONS, n * min(new, handed), labels | {c.SOURCE: c.NEW})
        self.count(c.ACQUISITIONS, n * max(0, handed - new), labels | {c.SOURCE: c.REUSED})
        self.count(c.TIMEOUTS, n * timeouts + late, labels | {c.CAUSE: "slow_origin"})
        self.count(c.TIMEOUTS, 0, labels | {c.CAUSE: c.UNKNOWN})
        self.count(c.OPENED, n * new, labels)
        for reason in (c.KEEPALIVE_LIMIT, c.SERVER_DISCONNECTED, c.EVICTED, c.KEEPALIVE_EXPIRED):
            self.count(c.CLOSED, n * closed.get(reason, 0), labels | {c.REASON: reason})
        ended = n * (handed + timeouts)
        if self.form == "otel" and not ended + late and self.key(c.WAIT_TIME, labels, "_count") not in self.exact:
            return
        for bound in self.le:
            every = bound == "+Inf" or float(bound) > 5
            under = ended + late if every else ended * (1 - slow)
            self.count(c.WAIT_TIME, under, labels | {"le": bound}, suffix="_bucket")
        self.count(c.WAIT_TIME, ended + late, labels, suffix="_count")

    def key(self, metric, labels, suffix=""):
        short = (metric.name, suffix, *labels.values())
        if short not in self.keys:
            every = self.labels | {c.prometheus_label(name): value for name, value in labels.items()}
            inside = ",".join(f'{name}="{value}"' for name, value in sorted(every.items()))
            self.keys[short] = f"{metric.prometheus_name}{suffix}{{{inside}}}"
        return self.keys[short]

    def put(self, key, value):
        row = self.values.setdefault(key, ["_"] * self.length)
        row.append(int(value) if value == int(value) else value)

    def count(self, metric, increment, labels=None, suffix="", start=0):
        key = self.key(metric, labels or {}, suffix)
        self.exact[key] = self.exact.get(key, start) + increment
        self.put(key, int(self.exact[key] + 1e-6))

    def gauge(self, metric, level: Level, i, labels=None):
        value = level(i) if callable(level) else level
        if self.form != "workers":
            self.put(self.key(metric, labels or {}), value)
            return
        values = value if isinstance(value, list | tuple) else [value] * 2
        for pid, each in zip(recorded.PIDS, values, strict=False):
            self.put(self.key(metric, (labels or {}) | {"pid": pid}), each)

    def stand(self, minutes, growing=()):
        """Let what was recorded of several workers stand; at each scrape the `growing` metrics count the same again."""
        for i in range(minutes * PER_MINUTE):
            for name, labels, value in recorded.SAMPLES:
                every = {k: v for k, v in self.labels.items() if k in ("job", "instance")} | labels
                inside = ",".join(f'{k}="{v}"' for k, v in sorted(every.items()))
                grown = any(name.startswith(metric.prometheus_name) for metric in growing)
                self.put(f"{name}{{{inside}}}", value * (i + 1) if grown else value)
            self.length += 1
        return self

    def twin(self, instance):
        """Give another process with the same history."""
        other = Pool(instance=instance, form=self.form, limit=self.limit, origins=len(self.origins) - 1)
        other.labels = self.labels | {"instance": instance}
        mine, theirs = (f'instance="{labels["instance"]}"' for labels in (self.labels, other.labels))
        other.values = {key.replace(mine, theirs): row for key, row in self.values.items()}
        other.length = self.length
        return other

    def series(self):
        """Give promtool's input series."""
        return [{"series": key, "values": compress(row)} for key, row in self.values.items()]


def compress(row: list[float | str]) -> str:
    """Write a row in promtool's notation: repeats and even steps as one word."""
    words = []
    for gap, group in groupby(row, key=lambda word: isinstance(word, str)):
        words += (gaps if gap else numbers)(list(group))
    return " ".join(words)


def gaps(run):
    return [w if w == "stale" else f"_x{n}" for w, n in ((w, len(list(g))) for w, g in groupby(run))]


def numbers(run):
    words, i = [], 0
    while i < len(run):
        j = i + 1
        step = run[j] - run[i] if j < len(run) else 0
        while j < len(run) and run[j] - run[j - 1] == step and (step == 0 or run[i] < 1e15):
            j += 1
        count = j - i - 1
        words.append(f"{run[i]}{step:+}x{count}" if count else f"{run[i]}")
        i = j
    return words

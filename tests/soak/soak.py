"""Runs the load for some minutes, with scrapers beside it, then judges: exit status 1 and a line for each fault.

`python tests/soak/soak.py --minutes 10`, or `make soak MINUTES=10`. It prints how many requests that were:
15,000 a minute on two busy cores, most of whose time goes to the servers, the scrapers and broken connections.
"""

import argparse
import gc
import logging
import os
import re
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import anyio
from anyio._backends._asyncio import SocketStream

from exposing import Both
from harness import client_context
from observing import imbalances
from poolscope import _contract as c
from poolscope._records import Checkout, Connection
from soak.load import OURS, Callers, Shared, tasks, thread
from soak.peers import peers

EXPECTED = re.compile(r"poolscope: (PoolTimeout: |.*(leak|unclosed|orphan|lost|collected))")
"""What the library has to say of callers like these."""
THREADS, TASKS = 50, 500
_SHOWN = 10


class Complaints(logging.Handler):
    """Every log line from a warning upwards that nobody expects, and every exception that went nowhere.

    Of those in finalizers only ours: callers like these leave many.
    """

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        text = self.format(record)
        if record.levelno >= logging.ERROR or record.name != "poolscope" or not EXPECTED.match(text):
            self.said.append(f"{record.name}: {text}")

    def uncaught(self, ended):
        self.said.append("".join(traceback.format_exception(ended.exc_value)))

    def unraisable(self, failed, *_):
        frames = traceback.extract_tb(failed.exc_traceback)
        if any(OURS in frame.filename for frame in frames[-1:]):
            self.said.append("".join(traceback.format_exception(failed.exc_value)))


def sockets():
    """How many sockets this process has."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += str(link.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed meanwhile, or the directory's own
            continue
    return count


def closed_by_the_loop():
    """How many sockets asyncio closed by itself, after a reset: the pool learns of it when it uses the connection."""
    streams = [thing for thing in gc.get_objects() if type(thing) is SocketStream]
    return sum(stream._transport.is_closing() and not stream._closed for stream in streams)


def memory_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Scrapers:
    """A thread for each sink: every scrape during the load balances.

    taking: a lock for each, held meanwhile. Who goes through all objects of the process takes both: CPython cannot go
    on with a tuple that it makes from a generator when somebody else has seen it.
    """

    def __init__(self, both, over):
        self.wrong = []
        self.taken = 0
        self.taking = threading.Lock(), threading.Lock()
        self._over = over
        looks = zip((both.native, both.reading), self.taking, strict=True)
        self.threads = [threading.Thread(target=self._run, args=each) for each in looks]

    def _run(self, look, taking):
        while not self._over.wait(0.25):
            with taking:
                self.wrong += imbalances(look())
            self.taken += 1


class Soak:
    """One run."""

    def __init__(self, seconds, urls, both):
        self.seconds = seconds
        self.both = both
        self.callers = [
            Callers(both.sinks, urls, client_context(), flavour, seed)
            for seed, flavour in enumerate(("httpx", "httpx2"))
        ]
        self.wrong = []
        self._end = threading.Event()
        self.scrapers = Scrapers(both, self._end)
        self._loops = [
            threading.Thread(
                target=anyio.run, args=(partial(tasks, one, TASKS // 4, 8, 1000 * n),), kwargs={"backend": backend}
            )
            for one in self.callers
            for n, backend in enumerate(("asyncio", "trio"), 1)
        ]

    def _over(self, flag, on):
        for one in self.callers:
            (getattr(one, flag).set if on else getattr(one, flag).clear)()

    def _rest(self):
        """Stop the load; wait until no caller is at it; collect what was forgotten."""
        self._over("paused", True)
        deadline = time.monotonic() + 60
        while sum(one.tally.busy for one in self.callers) and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(3):
            gc.collect()

    @property
    def started(self):
        return sum(one.tally.started for one in self.callers)

    def run(self):
        self._over("paused", True)
        shared = [(one, [Shared(one, asynchronous=False) for _ in range(4)]) for one in self.callers]
        threads = [
            threading.Thread(target=thread, args=(one, clients[number % 4], number))
            for one, clients in shared
            for number in range(THREADS // 2)
        ]
        for each in (*self._loops, *threads, *self.scrapers.threads):
            each.start()
        for _ in range(len(self._loops) // len(self.callers)):  # each has its own sockets then
            assert all(one.begun.acquire(timeout=60) for one in self.callers), "an event loop did not begin"
        own = sockets()
        memory, blocks = [], []
        rounds = max(3, int(self.seconds // 60))
        for _ in range(rounds):
            self._over("paused", False)
            time.sleep(self.seconds / rounds)
            self._rest()
            memory.append(memory_mib())
            blocks.append(sys.getallocatedblocks())
            self.judge(own)
        self._over("over", True)
        for each in (*self._loops, *threads):
            each.join(60)
        self._end.set()
        for each in self.scrapers.threads:
            each.join(60)
        for _, clients in shared:
            for one in clients:
                one.client.close()
        del shared, clients, one
        self.after(memory, blocks)
        return memory

    def judge(self, own):
        """At rest, with the clients still open."""
        for look in (self.both.native, self.both.reading):
            seen = look()
            self.wrong += imbalances(seen)
            values = {
                "checkouts, and what the callers count": (seen(c.CHECKOUTS), self.started),
                "requests that wait or hold": (seen(c.PENDING) + seen(c.CHECKED_OUT) + seen(c.ACTIVE_REQUESTS), 0),
                "open sockets, and /proc/self/fd": self._sockets(look, own),
            }
            self.wrong += [f"{what}: {one} and {other}" for what, (one, other) in values.items() if one != other]

    def _sockets(self, look, own):
        """Ours and the system's, as soon as they are equal: a loop closes a socket one turn after it was told to."""
        deadline = time.monotonic() + 10
        while True:
            with self.scrapers.taking[0], self.scrapers.taking[1]:
                pair = look()(c.OPEN_CONNECTIONS), sockets() - own + closed_by_the_loop()
            if pair[0] == pair[1] or time.monotonic() > deadline:
                return pair
            time.sleep(0.05)

    def after(self, memory, blocks):
        """After everything was closed.

        What is kept is seen in Python's own blocks. The system's memory grows for an hour beside them, more slowly each
        minute (134 to 169 MiB in the first twenty, to 193 in seventy): allocators of fifty threads, and OpenSSL's.
        """
        for _ in range(3):
            gc.collect()
        seen = self.both.native()
        levels = {
            m.name: seen(m) for m in (c.PENDING, c.CHECKED_OUT, c.OPEN_CONNECTIONS, c.ESTABLISHING, c.IN_USE, c.POOLS)
        }
        self.wrong += [f"{name} is {value} after everything was closed" for name, value in levels.items() if value]
        alive = sum(isinstance(thing, Checkout | Connection) for thing in gc.get_objects())
        if alive > 100:
            self.wrong.append(f"{alive} records of requests and connections are left")
        if blocks[-1] > blocks[0] * 1.25:
            self.wrong.append(f"Python's blocks of memory grew: {', '.join(map(str, blocks))}")
        if memory[-1] > memory[len(memory) // 2] * 1.15 + 20:
            self.wrong.append(f"memory grew: {', '.join(f'{mib:.0f}' for mib in memory)} MiB")
        self.wrong += self.scrapers.wrong
        if self.scrapers.taken < 10:
            self.wrong.append(f"only {self.scrapers.taken} scrapes were taken")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--turn", type=float, default=0.005, help="seconds of a thread's turn: short ones show races")
    arguments = parser.parse_args()
    minutes = arguments.minutes
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    sys.unraisablehook, threading.excepthook = complaints.unraisable, complaints.uncaught
    warnings.simplefilter("ignore", ResourceWarning)  # these callers leave their clients and responses unclosed
    sys.setswitchinterval(arguments.turn)
    client_context()
    with peers() as urls, Both() as both:
        soak = Soak(minutes * 60, urls, both)
        memory = soak.run()
    failures = sum((one.tally.failures for one in soak.callers), Counter())
    lines = [
        f"{soak.started} requests in {minutes:g} min, {soak.scrapers.taken} scrapes",
        f"memory in MiB: {', '.join(f'{mib:.0f}' for mib in memory)}",
        f"failures that callers saw: {dict(sorted(failures.items()))}",
    ]
    wrong = soak.wrong + complaints.said + [text for one in soak.callers for text in one.ours_raised]
    lines += [f"WRONG: {line}" for line in wrong[:_SHOWN]]
    lines.append("nothing is wrong" if not wrong else f"{len(wrong)} things are wrong")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

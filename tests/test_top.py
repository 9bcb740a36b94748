"""`poolscope top` as its users run it: in a terminal, in a pipe, on targets that restart, vanish or talk nonsense."""

import contextlib
import io
import json
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console

from harness import Listener, Server
from poolscope import InstrumentedSyncTransport, PrometheusSink
from poolscope import _contract as c
from poolscope.cli import _scrape
from poolscope.cli._app import run
from poolscope.cli._top_screen import frame
from poolscope.cli._top_view import KEYS, View
from terminal import started, terminal
from test_top_rows import exposition, source

EVERY = ("--interval", "0.2")


class Process:
    """A process that exposes one pool, played by a registry and a server: it may end and come again on its port."""

    def __init__(self, name="shop", port=0):
        self.registry = CollectorRegistry()
        self.server = Server()
        self.http, self.thread = start_http_server(port, addr="127.0.0.1", registry=self.registry)
        self.port = self.http.server_port
        self.name = name

    @property
    def target(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        self.server.__enter__()
        limits = httpx.Limits(max_connections=4)
        transport = InstrumentedSyncTransport(name=self.name, sinks=[PrometheusSink(self.registry)], limits=limits)
        self.client = httpx.Client(transport=transport)
        return self

    def __exit__(self, *exc_info):
        self.client.close()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
        self.server.__exit__(*exc_info)

    def hold(self, count):
        """Take so many connections; give what gives them back."""
        held = contextlib.ExitStack()
        for _ in range(count):
            held.enter_context(self.client.stream("GET", self.server.url()))
        return held


@pytest.fixture
def shop():
    with Process() as process:
        yield process


def test_a_terminal_shows_the_pools_obeys_keys_and_is_given_back(shop):
    """Live numbers, a filter typed in, a pause, a resize; after q cursor, text and keyboard are as before."""
    with shop.hold(3), terminal("top", shop.target, *EVERY, columns=150) as shown:
        before = shown.settings()
        titles = ("active", "idle", "estab", "waiting", "p50", "p95", "p99", "created/s", "reused/s", "timeouts")
        shown.until("shop", "3/4", "75%", "q quit", *titles)
        assert shown.settings() == (False, False) != before
        shown.type("e")
        shown.until(f"  127.0.0.1:{shop.server.port}")
        shown.type("pnone")
        shown.until("pool contains none_", "no pool fits the filters")
        shown.type("\x1b")
        shown.until("3/4")
        shown.type(" ")
        shown.until("PAUSED")
        shown.type(" s")
        shown.until("sort waiting")
        shown.resize(30, 60)
        shown.process.send_signal(signal.SIGWINCH)
        while "p50" in shown.until("pool", "in use", "q quit").rpartition("poolscope top")[2]:
            pass  # drawn before the terminal became narrower
        shown.type("q")
        assert shown.end() == 0
        assert shown.settings() == before
    assert shown.written.rindex("\x1b[?25h") > shown.written.rindex("\x1b[?25l"), "the cursor is shown again"
    assert shown.written.rindex("\x1b[?1049l") > shown.written.rindex("\x1b[?1049h"), "the text is back"
    assert shown.written.count("\x1b[?1049h") == 1


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")],
)
def test_a_signal_gives_the_terminal_back(shop, number, status, line):
    with terminal("top", shop.target, *EVERY) as shown:
        before = shown.settings()
        shown.until("shop", "q quit")
        assert shown.end(number) == status
        assert shown.settings() == before
    assert shown.written.rindex("\x1b[?25h") > shown.written.rindex("\x1b[?25l")
    assert shown.written.rstrip().endswith(f"poolscope: {line}")


def test_without_a_keyboard_it_shows_all_the_same(shop):
    """Standard input is no terminal, as under `ssh -tt host poolscope top ... </dev/null`."""
    with terminal("top", shop.target, *EVERY, keyboard=False) as shown:
        shown.until("shop", "q quit")
        assert shown.end(signal.SIGINT) == 130
    assert shown.written.rindex("\x1b[?1049l") > shown.written.rindex("\x1b[?1049h")
    assert shown.written.rindex("\x1b[?25h") > shown.written.rindex("\x1b[?25l")
    assert shown.written.rstrip().endswith("poolscope: interrupted")


def test_a_stopped_top_leaves_the_terminal_and_takes_it_again(shop):
    """Ctrl-Z gives a shell its cursor and its keyboard; fg draws anew."""
    with terminal("top", shop.target, *EVERY) as shown:
        before = shown.settings()
        shown.until("shop", "q quit")
        shown.process.send_signal(signal.SIGTSTP)
        shown.until("\x1b[?1049l", "\x1b[?25h")
        while not _stopped(shown.process.pid):
            time.sleep(0.01)
        assert shown.settings() == before
        shown.process.send_signal(signal.SIGCONT)
        shown.until("\x1b[?1049h", "shop", "q quit")
        assert shown.settings() != before
        shown.type("q")
        assert shown.end() == 0


def _stopped(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def objects(process):
    """The objects that it prints, as they come."""
    for line in process.stdout:
        yield json.loads(line)


def first(found, wanted):
    return next(one for one in found if wanted(one))


def test_it_survives_the_targets_absence_and_restart():
    """Gone: its error stands beside the others' numbers. Back under new counters: it goes on, no rate is negative."""
    with Process("other") as other, contextlib.ExitStack() as life:
        shop = life.enter_context(Process())
        for _ in range(5):
            shop.client.get(shop.server.url())
        with started("top", shop.target, other.target, "--json", *EVERY) as process:
            seen = objects(process)
            first(seen, lambda one: len(one["rows"]) == 2)
            life.close()
            gone = first(seen, lambda one: "connection refused" in (one["targets"][0]["error"] or ""))
            assert [row["pool"] for row in gone["rows"]] == ["other"]
            with Process(port=shop.port) as again:
                first(seen, lambda one: len(one["rows"]) == 2)
                again.client.get(again.server.url())
                back = first(seen, lambda one: any(row["created_per_second"] for row in one["rows"]))
                process.send_signal(signal.SIGTERM)  # while the target is there: nothing more is told of it
                _, errors = process.communicate(timeout=20)
            assert all((value or 0) >= 0 for row in back["rows"] for value in row.values() if isinstance(value, float))
    assert process.returncode == 143
    assert errors.count(f"{shop.target}/metrics: connection refused") == 1, "an error is told once, not at each look"


def test_without_a_terminal_there_are_plain_lines(shop):
    """One for each pool and look, without escape sequences; who reads may stop at any line."""
    with shop.hold(2), started("top", shop.target, *EVERY, "--origins") as process:
        lines = [process.stdout.readline() for _ in range(4)]
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == 0
    assert " shop: in use 2/4 (" in lines[0]
    assert f"   127.0.0.1:{shop.server.port}: in use 2, active 2, idle 0, " in lines[1]
    assert "\x1b" not in "".join(lines)


def test_once_prints_one_look_and_says_who_was_silent(shop, capsys):
    """Exit status 1 where a target gave no metrics; the others' numbers are there all the same."""
    assert run(["top", shop.target, "--once", *EVERY]) == 0
    out, errors = capsys.readouterr()
    assert (out.count("\n"), errors) == (1, "")
    with Process("other") as other:
        gone = other.target
    assert run(["top", shop.target, gone, shop.target, "--once", *EVERY]) == 1
    out, errors = capsys.readouterr()
    assert (out.count("\n"), errors) == (1, f"poolscope: http://{gone}/metrics: connection refused\n")
    assert f" {shop.target} shop: in use 0/4" in out
    assert run(["top", shop.target, "--once", "--json", *EVERY, "--pool", "nobody"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []


def answers(body, status="200 OK", headers=""):
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}connection: close\r\n\r\n"
    return head.encode() + body


GOOD = exposition().encode()
BAD = {
    "nothing": (b"", "Server disconnected without sending a response"),
    "not HTTP": (b"\x1b[31mSSH-2.0\r\n\r\n", "illegal"),
    "a 404": (answers(b"", "404 \x1b[31mNope"), "answered 404 Not Found"),
    "a page": (answers(b"<html>welcome</html>\n"), "no metric of a connection pool among 21 bytes"),
    "another's metrics": (answers(b"up 1\n"), "no metric of a connection pool among 5 bytes"),
    "bytes": (answers(b"\xff\xfe\x00"), "no Prometheus exposition: 'utf-8' codec"),
    "cut off, by its length": (answers(GOOD)[:-100], "peer closed connection without sending complete message body"),
    "cut off in a line": (b"HTTP/1.0 200 OK\r\n\r\n" + GOOD[:-6], "no Prometheus exposition"),
    "cut off in a number": (b"HTTP/1.0 200 OK\r\n\r\n" + GOOD[:-1], "the exposition is cut off after"),
    "a wrong line": (answers(GOOD + b'http_client_x{a="\x1b[31m",a="b"} 1\n'), 'a="?[31m"'),
    "a wrong bucket": (answers(b'http_client_x_bucket{le="low"} 1\n'), "could not convert string to float: 'low'"),
    "a label without a name": (answers(b'http_client_x{a="b", ="c"} 1\n'), "no Prometheus exposition"),
    "a moment beyond all": (answers(b"http_client_x 1 " + b"9" * 400 + b"\n"), "no Prometheus exposition"),
    "a redirect elsewhere": (answers(b"", "302 Found", "location: ftp://a:b@c/\r\n"), "unsupported protocol"),
    "a wrong encoding": (answers(b"plain", headers="content-encoding: gzip\r\n"), "incorrect header check"),
}


@pytest.mark.parametrize("bad", BAD)
def test_whatever_a_target_answers_costs_one_line(bad, capsys):
    """No traceback, nothing that steers a terminal, and the address is in it."""
    reply, words = BAD[bad]

    def script(peer):
        peer.receive()
        peer.send(reply)

    with Listener(script) as listener:
        assert run(["top", listener.url()[7:], "--once", *EVERY]) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(f"poolscope: http://127.0.0.1:{listener.port}/metrics: ")
    assert words in errors
    assert errors.count("\n") == 1
    assert errors[:-1].isprintable()


def test_a_slow_or_endless_answer_is_bounded(monkeypatch, capsys):
    """A byte now and then, and more bytes than any exposition has: neither holds it up."""
    monkeypatch.setattr(_scrape, "_MOST_BYTES", 2**20)
    done = threading.Event()

    def slow(peer):
        peer.receive()
        while not done.wait(0.05):
            peer.send(b"H")

    def endless(peer):
        peer.receive()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not done.is_set():
            peer.send(b"up 1\n" * 10_000)

    with Listener(slow) as one, Listener(endless) as other:
        target = _scrape.Target.parse(f"127.0.0.1:{one.port}")
        with pytest.raises(_scrape.CommandError, match=r"no whole answer within 0\.5 s"):
            _scrape.scrape_now(target, 0.5)
        assert run(["top", f"127.0.0.1:{other.port}", "--once", *EVERY]) == 1
        assert "more than 1 MiB" in capsys.readouterr().err
        done.set()


def test_fifty_thousand_series_are_shown(capsys):
    """Every pool of them, each with its numbers."""
    pools = 1_000
    waits = [(bound, 1) for bound in (*c.QUEUE, "+Inf")] * 2
    body = "".join(exposition(f"pool{n}", waits=waits) for n in range(pools)).encode()
    assert body.count(b"\n") > 40_000
    body += b'up{instance="x"} 1\n' * 10_000

    def script(peer):
        for _ in peer.requests():
            peer.respond(200, body)

    with Server(script) as server:
        assert run(["top", server.url("/metrics"), "--once", "--json", *EVERY]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["pool"] for row in rows} == {f"pool{n}" for n in range(pools)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "URL"),
        (["ftp://host"], "URL: 'ftp://host' is no http or https URL"),
        (["http://user:hidden@ho st:x/?key=hidden"], "URL: 'http://ho st:x/' is no http or https URL"),
        (["a:1", "--sort", "size"], "--sort: 'size' is no order; there are utilization, "),
        (["a:1", "--interval", "0"], "--interval"),
        (["a:1", "--window", "x"], "--window"),
        (["a:1", "--interval", "nan"], "--interval"),
        (["a:1", "--window", "nan"], "--window"),
        (["a:1", "--nothing"], "No such option: --nothing (see poolscope top --help)"),
        ([__file__], "test_top.py is a file: poolscope doctor reads those"),
    ],
)
def test_a_wrong_option_is_one_line(capsys, arguments, words):
    assert run(["top", *arguments]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert words in errors
    assert "hidden" not in errors


def test_what_is_looked_for_and_not_found_is_named():
    """In words, and the keys fit a terminal of 80 columns."""
    found = source("one", exposition())
    console = Console(width=80, file=io.StringIO())
    for view, words in (
        (View(pool="zzz"), "no pool fits the filters: pool contains 'zzz'"),
        (View(origin="\x1b"), r"no pool fits the filters: origin contains '\x1b'"),
        (View(pool="zzz", origin="y"), "no pool fits the filters: pool contains 'zzz', origin contains 'y'"),
    ):
        console.print(frame(view, [found], 2, 80, 24))
        assert words in console.file.getvalue()
    assert console.file.getvalue().splitlines()[-1] == KEYS


def test_columns_go_in_the_order_that_the_page_says():
    """At 80 columns, of one target and of two; the page shows what is left."""
    one, two = source("one:1", exposition()), source("two:1", exposition("late"))
    for sources, titles in (
        ([one], "pool in use utilization waiting p95 created/s timeouts"),
        ([one, two], "pool in use utilization waiting p95 target"),
    ):
        console = Console(width=80, file=io.StringIO())
        console.print(frame(View(), sources, 2, 80, 24))
        assert " ".join(console.file.getvalue().splitlines()[1].split()) == titles


def test_urls_are_read_as_they_are_typed():
    """http and /metrics are understood; what may be secret is sent and not shown."""
    for typed, url, name in (
        ("localhost:9464", "http://localhost:9464/metrics", "localhost:9464"),
        ("http://app/", "http://app/metrics", "app"),
        ("https://app/prometheus", "https://app/prometheus", "https://app/prometheus"),
        ("[::1]:9464", "http://[::1]:9464/metrics", "[::1]:9464"),
    ):
        target = _scrape.Target.parse(typed)
        assert (str(target.url), target.shown, target.name) == (url, url, name)
    target = _scrape.Target.parse("http://me:hidden@app/federate?match[]=hidden")
    assert "hidden" in target.url.password
    assert target.url.query
    assert (target.shown, target.name) == ("http://app/federate", "app/federate")


def test_a_target_that_accepts_and_says_nothing_holds_up_no_other(shop):
    """The others' numbers come at every look; the silent one's error comes when its time is up."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with started("top", f"127.0.0.1:{mute.getsockname()[1]}", shop.target, "--json", *EVERY) as process:
            seen = objects(process)
            one = first(seen, lambda one: one["rows"] and one["targets"][1]["window_seconds"] > 0.1)
        assert one["targets"][0]["error"] is None

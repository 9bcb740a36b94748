"""`poolscope doctor` as its users run it: on a running service, on a saved exposition, on a real Prometheus."""

import asyncio
import contextlib
import json
import os
import re
import threading
import time

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from alerting import servers
from alerting.recorded import RECORDED
from harness import Server
from poolscope import InstrumentedSyncTransport, PrometheusSink
from poolscope import _contract as c
from poolscope._reading import Reading
from poolscope.cli import _scrape
from poolscope.cli._app import run
from poolscope.cli._prometheus import at_moment
from poolscope.cli._readings import readings
from poolscope.diagnosis._evidence import Evidence
from terminal import terminal
from test_top import BAD

UNREAD = "responses-not-read"
INSIDE = "client-across-event-loops, event-loop-lag, no-pool-timeout, ignored-configuration"


class Shop:
    """A service whose requests are not read to their end, and its /metrics; the second scrape waits for `done`."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.origin = Server(lambda peer: [peer.respond(200, b"x" * 100_000) for _ in peer.requests()])
        self.client = httpx.Client(
            transport=InstrumentedSyncTransport(name="shop", sinks=[PrometheusSink(self.registry)])
        )
        self.scraped, self.done = threading.Event(), threading.Event()
        self.metrics = Server(self.expose)

    def expose(self, peer):
        for _ in peer.requests():
            if self.scraped.is_set():
                assert self.done.wait(10)
            peer.respond(200, self.text())
            self.scraped.set()

    def text(self):
        return generate_latest(self.registry)

    def trade(self, count=12):
        for _ in range(count):
            with self.client.stream("GET", self.origin.url()):
                pass

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for each in (self.origin, self.client, self.metrics):
                stack.enter_context(each)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._stack.__exit__(*exc_info)


@pytest.fixture
def shop():
    with Shop() as shop:
        yield shop


def doctor(capsys, *arguments):
    """Run it; give its status and the codes that it found, by pool."""
    status = run(["doctor", *arguments, "--json"])
    out, errors = capsys.readouterr()
    assert errors == ""
    seen = json.loads(out)
    return status, {pool["pool"]: [finding["code"] for finding in pool["findings"]] for pool in seen["pools"]}


def test_a_running_service_is_judged_by_what_happens_between_two_scrapes(shop, capsys):
    """A fault between them is named; one that was over before the first is not."""

    def trade():
        shop.scraped.wait(10)
        shop.trade()
        shop.done.set()

    thread = threading.Thread(target=trade)
    thread.start()
    url = shop.metrics.url("/metrics")
    assert doctor(capsys, url, "--interval", "0.1") == (1, {"shop": [UNREAD]})
    thread.join()
    assert doctor(capsys, url, "--interval", "0.1") == (0, {"shop": []})
    assert doctor(capsys, url, "--interval", "0") == (1, {"shop": [UNREAD]})


def test_what_is_printed(shop, tmp_path, capsys):
    """The finding with its numbers, its fix, its page; what was sound; what cannot be seen from here."""
    sink = PrometheusSink(shop.registry)
    sound = httpx.Client(transport=InstrumentedSyncTransport(name="sound", sinks=[sink]))
    with sound:
        shop.trade()
        file = tmp_path / "saved.prom"
        file.write_bytes(shop.text())
        assert run(["doctor", str(file)]) == 1
    out, errors = capsys.readouterr()
    assert errors == ""
    assert out.splitlines() == [
        f"{file}: 2 pools, 1 finding since its start",
        "",
        "warning responses-not-read: pool 'shop'",
        "  12 connections were closed because their response was not read to its end, for 12 requests.",
        "  Read responses to their end before closing them, or ask the server for less.",
        "  docs/findings/responses-not-read.md",
        "",
        "Nothing found: pool 'sound'",
        "",
        "How long they ran is not known, so these were not looked for: origin-starvation, pool-too-small.",
        f"Only the process itself can see these, by transport.diagnose(): {INSIDE}.",
    ]


def test_pages_are_where_an_installation_has_put_them(shop, tmp_path, capsys):
    """In both forms of what is printed; by default they have their paths in the repository."""
    shop.trade()
    saved = tmp_path / "saved.prom"
    saved.write_bytes(shop.text())
    for base, where in (("https://wiki.example/f/", "https://wiki.example/f"), ("", "docs/findings")):
        run(["doctor", str(saved), "--findings", base])
        assert f"  {where}/{UNREAD}.md\n" in capsys.readouterr().out
        run(["doctor", str(saved), "--json", "--findings", base])
        urls = {one["url"] for pool in json.loads(capsys.readouterr().out)["pools"] for one in pool["findings"]}
        assert urls
        assert all(url.startswith(where) for url in urls)


def test_a_saved_exposition_may_be_openmetrics_and_know_its_process_start(shop, tmp_path, capsys):
    """With the start of the process there are seconds; with none there are none."""
    shop.trade()
    file = tmp_path / "saved.om"
    text = generate_openmetrics(shop.registry).decode()
    assert text.endswith("# EOF\n")
    file.write_text(f"process_start_time_seconds {time.time() - 100}\n{text}")
    assert run(["doctor", str(file), "--json", "--fail-on", "never"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert 99 < seen["seconds"] < 160
    assert [finding["code"] for finding in seen["pools"][0]["findings"]] == [UNREAD]
    (finding,) = seen["pools"][0]["findings"]
    assert finding["evidence"] == {"responses_not_read": 12, "requests": 12}
    for start in (str(time.time() + 1e6), "1.7e", "1.2.3"):
        file.write_text(f"process_start_time_seconds {start}\n{text}")
        run(["doctor", str(file), "--json"])
        assert json.loads(capsys.readouterr().out)["seconds"] is None


DAY = 86400.0
TAKEN = 1_700_000_000.0
MOMENTS = f'process_start_time_seconds {TAKEN - 500}\nanything_created{{a="b c"}} {TAKEN - 400}\n'


def judged(capsys, file, *options):
    """Give how long a saved exposition is said to have run, and the note about it."""
    assert run(["doctor", str(file), *options, "--fail-on", "never", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    return seen["seconds"], seen["note"]


@pytest.mark.parametrize("taken", [f"{TAKEN - 300}", "2023-11-14T22:08:20+00:00", "2023-11-14T23:08:20+01:00"])
def test_a_copied_exposition_is_of_the_moment_that_one_says(shop, tmp_path, capsys, taken):
    """The file's own time is the default; where that is a day after all that the text tells, one line doubts it."""
    file = tmp_path / "copied.prom"
    file.write_text(MOMENTS + shop.text().decode())
    os.utime(file, (TAKEN, TAKEN))
    assert judged(capsys, file) == (500, None)
    os.utime(file, (TAKEN + 9 * DAY, TAKEN + 9 * DAY))
    seconds, note = judged(capsys, file)
    assert seconds == 500 + 9 * DAY
    assert note == (
        "Judged as of 2023-11-23 22:13 UTC, the file's time: 9 days after the newest moment in it. "
        "If it was copied, --taken says when it was written."
    )
    run(["doctor", str(file)])
    assert capsys.readouterr().out.splitlines()[-1] == note
    assert judged(capsys, file, "--taken", taken) == (200, None)


@pytest.mark.parametrize("taken", ["yesterday", "nan", "inf", f"{TAKEN - 401}", "1e300"])
def test_a_moment_that_cannot_be_is_refused(shop, tmp_path, capsys, taken):
    """Which is none, or lies before something in the exposition."""
    file = tmp_path / "copied.prom"
    file.write_text(MOMENTS + shop.text().decode())
    assert run(["doctor", str(file), "--taken", taken]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert errors.startswith("poolscope: --taken: ")


def test_a_terminal_is_wrapped_at_words(shop, tmp_path):
    """No word, code or number is cut in two, and what belongs to a finding stays under it."""
    shop.trade()
    file = tmp_path / "saved.prom"
    file.write_bytes(shop.text())
    with terminal("doctor", str(file), columns=50) as shown:
        assert shown.end() == 1
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.written).splitlines()
    assert [line for line in lines if len(line) > 50 and " " in line.strip()] == []
    at = lines.index("warning responses-not-read: pool 'shop'")
    assert lines[at + 1] == "  12 connections were closed because their"
    assert lines[at + 2] == "  response was not read to its end, for 12"
    words = " ".join(lines)
    assert all(code in words for code in (*INSIDE.split(", "), "origin-starvation", "pool-too-small"))


@pytest.mark.parametrize(("fail_on", "status"), [("info", 1), ("warning", 1), ("error", 0), ("never", 0)])
def test_the_status_is_the_severity_asked_for(shop, tmp_path, capsys, fail_on, status):
    """The fault is a warning."""
    shop.trade()
    (tmp_path / "saved").write_bytes(shop.text())
    assert doctor(capsys, str(tmp_path / "saved"), "--fail-on", fail_on) == (status, {"shop": [UNREAD]})


def labelled(text, labels):
    """Write an exposition as a federation or a Prometheus has it, with these labels on every sample."""
    return re.sub(r"(?m)^(http_\w+\{)", lambda found: found[1] + labels + ",", text)


STARTS = (("a", 100), ("b", 1_000_000))


def test_processes_that_one_exposition_tells_apart_are_judged_apart(shop, tmp_path, capsys):
    """Each by what it counted itself. When it began is known of one, where it is alone; of several it is not."""
    before = shop.text().decode()
    shop.trade()
    file = tmp_path / "federated"
    starts = [f'process_start_time_seconds{{instance="{name}:1"}} {time.time() - age}\n' for name, age in STARTS]
    text = labelled(before, 'instance="a:1"') + labelled(shop.text().decode(), 'instance="b:1"')
    file.write_text(text + "".join(starts))
    assert run(["doctor", str(file)]) == 1
    out = capsys.readouterr().out
    assert f"{file}: 2 pools, 1 finding since its start\n" in out
    assert "warning responses-not-read: pool 'shop' instance=b:1\n" in out
    assert "Nothing found: pool 'shop' instance=a:1\n" in out


def test_several_workers_behind_one_address_are_one_service(capsys):
    """On what a real gunicorn's workers exposed, with a pid on every gauge."""
    assert doctor(capsys, str(RECORDED)) == (0, {"app": []})


def history(text, labels, at):
    """Give an exposition as samples of one moment."""
    lines = labelled(text, labels).splitlines()
    return [f"{line} {at:.3f}" for line in lines if line.startswith("http_client_connection")]


def test_a_real_prometheus_is_asked_about_a_window(shop, tmp_path, capsys):
    """Two services of one history: one has its fault within the window, the other before it; a selector chooses."""
    before = shop.text().decode()
    shop.trade()
    after, now = shop.text().decode(), time.time()
    samples = []
    for ago in (3700, 3600, 100, 0.0):
        samples += history(before if ago > 1000 else after, 'job="now"', now - ago)
        samples += history(after, 'job="once"', now - ago)
        if ago < 1000:
            samples += history(after, 'job="young"', now - ago)
    servers.backfill(tmp_path, "\n".join([*sorted(samples), "# EOF", ""]))
    with servers.prometheus(tmp_path, "{}") as url:
        status = run(["doctor", "--prometheus", url, "--window", "3600", "--json"])
        seen = json.loads(capsys.readouterr().out)
        assert (status, seen["source"], seen["seconds"]) == (1, url, 3600)
        found = {pool["labels"]["job"]: [finding["code"] for finding in pool["findings"]] for pool in seen["pools"]}
        assert found == {"now": [UNREAD], "once": [], "young": [UNREAD]}
        run(["doctor", "--prometheus", url, "--selector", 'job="young"', "--json"])
        assert json.loads(capsys.readouterr().out)["seconds"] is None, "it began within the window"
        asked = ("--prometheus", url, "--selector")
        assert doctor(capsys, *asked, 'job="once"') == (0, {"shop": []})
        assert run(["doctor", *asked, 'job="nobody"']) == 2
        assert capsys.readouterr().err == f"poolscope: {url}: no metric of a connection pool for that selector\n"
        assert run(["doctor", *asked, 'job=~"("']) == 2
        assert capsys.readouterr().err == f"poolscope: {url}: answered 400 Bad Request\n"


@pytest.mark.parametrize("bad", BAD)
def test_whatever_a_target_answers_costs_one_line(bad, capsys):
    """A scrape, or the answer to a query: no traceback, nothing that steers a terminal, status 2."""
    reply, words = BAD[bad]

    def script(peer):
        peer.receive()
        peer.send(reply)

    with Server(script) as server:
        url = f"http://127.0.0.1:{server.port}"
        for arguments in ((url, "--interval", "0"), (url, "--interval", "0.1"), ("--prometheus", url)):
            assert run(["doctor", *arguments]) == 2
            out, errors = capsys.readouterr()
            assert (out, errors.count("\n")) == ("", 1)
            assert errors.startswith(f"poolscope: {url}")
            assert errors[:-1].isprintable()
            assert words in errors or "--prometheus" in arguments


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no metric of a connection pool among 0 bytes"),
        (b"\x80\x81", "no Prometheus exposition"),
        (b"http_client_connection_max{", "no Prometheus exposition"),
        (b"http_client_connection_max 5\n", "no connection pool has a name there"),
        (b'http_client_connection_max{http_client_connection_pool_name="a"} 5', "the exposition is cut off after"),
    ],
)
def test_a_file_that_cannot_be_judged_is_one_line(tmp_path, capsys, body, words):
    file = tmp_path / "saved"
    file.write_bytes(body)
    assert run(["doctor", str(file)]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert errors.startswith(f"poolscope: {file}: ")
    assert words in errors


def test_a_half_written_histogram_is_judged_by_what_is_there(shop, tmp_path, capsys):
    """Cut at the end of a line, of every seventh here, it gives findings or one line, and never a traceback."""
    shop.trade()
    lines = shop.text().decode().splitlines(keepends=True)
    file = tmp_path / "saved"
    for end in range(0, len(lines), 7):
        file.write_text("".join(lines[:end]))
        assert run(["doctor", str(file), "--json"]) in {0, 1, 2}
        out, errors = capsys.readouterr()
        assert (errors.count("\n") == 1) != bool(out)


def test_a_slow_prometheus_is_bounded(monkeypatch):
    done = threading.Event()

    def slow(peer):
        peer.receive()
        while not done.wait(0.05):
            peer.send(b"H")

    async def ask(url):
        await at_moment(_scrape.Target.parse(url), "", 0.0, 0.5)

    with Server(slow) as server:
        with pytest.raises(_scrape.CommandError, match=r"no whole answer within 0\.5 s"):
            asyncio.run(ask(f"127.0.0.1:{server.port}"))
        done.set()


def test_fifty_thousand_series_are_judged(shop, tmp_path, capsys):
    """Every pool of them; the one at fault is named."""
    quiet = shop.text().decode()
    shop.trade()
    per_pool = sum(line.startswith("http_client_connection") for line in quiet.splitlines())
    pools = 50_000 // per_pool
    file = tmp_path / "saved"
    texts = [quiet.replace('"shop"', f'"shop{number}"') for number in range(pools)]
    file.write_text("".join([*texts, shop.text().decode()]))
    status, found = doctor(capsys, str(file))
    assert (status, len(found)) == (1, pools + 1)
    assert {pool for pool, codes in found.items() if codes} == {"shop"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "doctor takes a TARGET or --prometheus URL, got neither"),
        (["a:1", "--prometheus", "b:1"], "doctor takes a TARGET or --prometheus URL, got both"),
        (["absent.prom"], "TARGET: cannot read absent.prom: No such file or directory"),
        (["."], "TARGET: cannot read .: Is a directory"),
        (["ftp://host"], "URL: 'ftp://host' is no http or https URL"),
        (["a:1", "--selector", 'a="b"'], "--selector changes nothing without --prometheus"),
        (["--prometheus", "a:1", "--selector", "a=b"], "--selector: 'a=b' is no list of matchers"),
        (["a:1", "--window", "60"], "--window changes nothing without --prometheus"),
        (["--prometheus", "a:1", "--interval", "5"], "--interval changes nothing without a URL to scrape"),
        (["absent.prom", "--interval", "5"], "--interval changes nothing without a URL to scrape"),
        (["a:1", "--taken", "1700000000"], "--taken changes nothing without a saved exposition"),
        (["--prometheus", "a:1", "--taken", "1700000000"], "--taken changes nothing without a saved exposition"),
        (["shop.example"], "No such file or directory; a URL has a port or a scheme: http://shop.example"),
        (["a:1", "--interval", "nan"], "--interval"),
        (["--prometheus", "a:1", "--window", "nan"], "--window"),
        (["a:1", "--findings", "wiki"], "--findings: 'wiki' is no http or https URL"),
        (["a:1", "--bad"], "No such option: --bad (see poolscope doctor --help)"),
        (["a:1", "--fail-on", "fatal"], "--fail-on: 'fatal' is no severity; there are info, warning, error, and never"),
        (["a:1", "--interval", "-1"], "--interval"),
        (["--prometheus", "a:1", "--window", "0"], "--window"),
        (["me:hidden@127.0.0.1:1?key=hidden"], "http://127.0.0.1:1/metrics: connection refused"),
        (["http://me:hid/hidden@127.0.0.1:99999"], "URL: 'http://127.0.0.1:99999' is no http or https URL"),
        (["http://me:p@hidden@127.0.0.1:99999"], "URL: 'http://127.0.0.1:99999' is no http or https URL"),
        (["http://hidden:pa#hidden@127.0.0.1:1"], "URL: 'http://127.0.0.1:1' is no http or https URL"),
        (["http://me:hidden@127.0.0.1:1/?key=hidden"], "http://127.0.0.1:1/metrics: connection refused"),
    ],
)
def test_a_wrong_option_is_one_line(capsys, arguments, words):
    assert run(["doctor", *arguments]) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert words in errors
    assert "hidden" not in errors


def test_limits_of_workers_are_those_of_one():
    """Four workers of five connections each: the limit is five, the pools four, and levels are sums."""
    (reading,) = readings(_scrape.read(RECORDED.read_bytes(), "this")).values()
    evidence = Evidence("app", Reading(), reading)
    assert (evidence.limit, evidence.pools) == (5, 4)
    assert [evidence.level(metric) for metric in (c.IN_USE, c.CHECKED_OUT, c.PENDING)] == [5, 5, 2]

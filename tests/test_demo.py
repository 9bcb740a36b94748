"""`poolscope demo` as its users run it: a process, a terminal or none, signals, and a /metrics to scrape."""

import contextlib
import re
import signal
import socket
import sys
from dataclasses import replace

import pytest

from poolscope import _contract as contract
from poolscope.cli import demo as command
from poolscope.cli import main
from poolscope.cli._app import run
from poolscope.cli._errors import CommandError
from poolscope.cli._scrape import Target, scrape_now
from poolscope.cli._stages import CHURN, Load, stages
from terminal import in_terminal, started

STAGES = ("warm reuse", "high utilization", "checkout waits", "creation spike", "starvation", "recovery")


def metrics_port(line):
    return int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", line)[1])


def scrape(port):
    return scrape_now(Target.parse(f"127.0.0.1:{port}"))


def origin_ports(scraped):
    label = contract.prometheus_label(contract.PORT)
    return {int(labels[label] or 0) for labels, _ in scraped.samples[contract.CHECKOUTS.prometheus_name]} - {0}


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


pytestmark = pytest.mark.timeout(180)  # a whole run, in real time


@pytest.fixture(scope="module")
def fast_run():
    """One whole run without a terminal: (status, lines, errors, scrapes taken meanwhile)."""
    with started("demo", "--fast", "--port", "0") as process:
        lines = [process.stdout.readline()]
        port = metrics_port(lines[0])
        scrapes = []
        for line in process.stdout:
            lines.append(line)
            with contextlib.suppress(CommandError):  # the last lines come after the server's end
                scrapes.append(scrape(port))
        errors = process.stderr.read()
        status = process.wait()
    return status, lines, errors, scrapes


def test_every_stage_shows_what_it_must(fast_run):
    status, lines, errors, _ = fast_run
    assert (status, errors) == (0, ""), "".join(lines)
    summary = lines[next(n for n, line in enumerate(lines) if line.startswith("summary")) + 1 :]
    for stage in STAGES:
        assert any(line.startswith(f"  ok     {stage}: ") for line in summary), summary
    assert len(summary) == 12


def test_without_a_terminal_the_numbers_are_plain_lines(fast_run):
    _, lines, _, _ = fast_run
    assert not any("\x1b" in line for line in lines)
    number = re.compile(r"  \d:\d\d demo: in use \d+/10 \(\d+%\), waiting \d+, .* reused/s [\d.]+, active \d+, ")
    assert sum(bool(number.match(line)) for line in lines) >= len(STAGES)


def test_a_fast_run_takes_less_than_half_a_minute():
    """As planned, which leaves room for the start; how long it takes is the machine's affair, too."""
    assert sum(stage.expected_seconds for stage in stages(1, 2, short=True)) < 25


def test_a_full_run_takes_a_few_minutes_and_waits_over_five_seconds():
    full = stages(1, 2, short=False)
    assert 90 < sum(stage.expected_seconds for stage in full) < 240
    assert full[2].judge.keywords == {"bound": 5.0}


def test_metrics_are_there_while_it_runs(fast_run):
    """Anybody's Prometheus sees both pools, and what the judges saw."""
    scrapes = fast_run[3]
    pools = {contract.POOL: "demo"}, {contract.POOL: CHURN}
    assert len(scrapes) >= len(STAGES)
    assert all(each.total(contract.MAX, pool) == 10 for each in scrapes for pool in pools)
    assert max(each.total(contract.PENDING, pools[0]) for each in scrapes) > 10
    assert scrapes[-1].total(contract.OPENED, pools[1]) > 20


def test_a_stage_that_does_not_show_what_it_must_is_exit_status_1(monkeypatch, capsys):
    """The fault is planted in the load, not in the judges: each stage gets the traffic of another."""

    def wrong(fast_port, slow_port, *, short):
        calm, churning = Load(fast_port, 1, 0.02), Load(fast_port, 10, 0.02)
        planted = [
            replace(stage, seconds=0.3, drain_seconds=0.1, loads=(calm,))
            for stage in stages(fast_port, slow_port, short=short)
        ]
        planted[0] = replace(planted[0], pool=CHURN, loads=(churning,))
        return tuple(planted)

    monkeypatch.setattr(command, "stages", wrong)
    assert run(["demo", "--fast", "--port", "0"]) == 1
    shown = capsys.readouterr().out
    for stage in STAGES:
        assert f"  FAILED {stage}: " in shown


def test_a_port_in_use_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("demo", "--port", str(port)) as process:
            out, errors = process.communicate(timeout=20)
    expected = (
        f"poolscope: cannot serve /metrics on 127.0.0.1:{port}: address already in use; choose another with --port\n"
    )
    assert (process.returncode, out, errors) == (2, "", expected)


def test_multi_process_mode_is_one_line(monkeypatch, capsys, tmp_path):
    """There `busy_time` is absent, so that a stage would fail for no fault of the pool."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert run(["demo"]) == 2
    errors = capsys.readouterr().err
    assert "PROMETHEUS_MULTIPROC_DIR" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [(signal.SIGINT, 130, "poolscope: interrupted\n"), (signal.SIGTERM, 143, "poolscope: terminated\n")],
)
def test_a_signal_ends_it_cleanly(number, status, line):
    """One line, and neither /metrics nor an origin is left."""
    with started("demo", "--fast", "--port", "0") as process:
        port = metrics_port(process.stdout.readline())
        for text in process.stdout:
            if ", active " in text:  # under load
                break
        ports = {port, *origin_ports(scrape(port))}
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (status, line)
    assert len(ports) == 2
    assert all(refuses(port) for port in ports)


def test_a_terminal_shows_a_live_table_and_gets_its_cursor_back():
    status, written = in_terminal(["demo", "--fast", "--port", "0"], until="0:01 of")
    assert status == 130
    for text in (
        "poolscope demo",
        "stage 1 of 6: warm reuse",
        "utilization",
        "demo-churn",
        "wait p99",
        "Ctrl-C ends it",
    ):
        assert text in written
    assert written.count("stage 1 of 6") >= 2, "drawn anew, in its place"
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is shown again"
    assert written.rstrip().endswith("poolscope: interrupted")


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines():
    status, written = in_terminal(["demo", "--fast", "--port", "0"], until="stage 1 of 6", TERM="dumb")
    assert status == 130
    assert "\x1b" not in written


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "--prot", "1"], "--prot"),
        (["demo", "--port", "65536"], "--port"),
        (["demo", "--port", "-1"], "--port"),
        (["demo", "--port", "x"], "--port"),
        (["demo", "twice"], "twice"),
        (["dmo"], "dmo"),
        (["--verbose"], "--verbose"),
    ],
)
def test_a_wrong_option_is_one_line(capsys, arguments, words):
    assert run(arguments) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith("poolscope: ")
    assert errors.count("\n") == 1
    assert words in errors


def test_version_and_help(capsys):
    assert run(["--version"]) == 0
    assert re.fullmatch(r"poolscope \d+\.\d+\S*\n", capsys.readouterr().out)
    for arguments in ([], ["--help"]):
        assert run(arguments) == 0
        assert "demo" in capsys.readouterr().out
    assert run(["demo", "--help"]) == 0
    assert "--fast" in capsys.readouterr().out


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_without_the_extra_one_line_names_it(monkeypatch, capsys, library):
    for name in list(sys.modules):
        if name.startswith("poolscope.cli."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    for name in ("rich.live", "rich.console", "rich.table", "rich.text", "rich.progress_bar"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main() == 2
    assert "pip install 'poolscope[cli]'" in capsys.readouterr().err

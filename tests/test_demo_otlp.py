"""`poolscope demo --otlp URL`: the demo's traces and metrics reach a collector."""

import signal
import subprocess
import sys

import pytest

from harness import refused_port
from otlp import Receiver
from poolscope import _contract as c
from spanning import WAIT

DEMO = [sys.executable, "-m", "poolscope.cli", "demo", "--port", "0", "--fast", "--otlp"]


def test_the_demo_sends_its_spans_and_metrics_to_a_collector():
    """Interrupted once they came, it sends what is left; a wait that it is about is in its own request's trace."""
    with Receiver() as receiver:
        with subprocess.Popen([*DEMO, receiver.url + "/"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as demo:
            try:
                receiver.wait(lambda got: any(span.name.startswith(WAIT) for span in got.spans))
                demo.send_signal(signal.SIGINT)
                assert demo.wait(20) == 130
                assert demo.stderr.read() == b"poolscope: interrupted\n"
            finally:
                demo.kill()
        tree = receiver.tree
        waits = tree.named(WAIT)
        assert waits
        assert {tree.parent(wait).name for wait in waits if tree.parent(wait)} == {"GET"}
        assert sum(point.as_int for point in receiver.points(c.CHECKOUTS.name)) > 10


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("127.0.0.1:4318", "127.0.0.1:4318"),
        ("ftp://127.0.0.1", "ftp://127.0.0.1"),
        ("http://", "http://"),
        ("http://[::1:4318", "http://[::1:4318"),
        ("http://me:secret@127.0.0.1:99999", "http://127.0.0.1:99999"),
    ],
)
def test_a_url_that_is_none_is_said_in_one_line(url, shown):
    """With an example of one, and without its password."""
    done = subprocess.run([*DEMO, url], capture_output=True, text=True, timeout=30, check=False)
    expected = f"poolscope: --otlp takes the URL of a collector, such as http://127.0.0.1:4318, got '{shown}'\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_a_collector_that_is_not_there_is_said_in_one_line():
    """Before the demo begins."""
    with refused_port() as port:
        command = [*DEMO, f"http://me:secret@127.0.0.1:{port}/"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    told = f"poolscope: no collector at http://127.0.0.1:{port}/: connection refused\n"
    assert (done.returncode, done.stderr) == (2, told)

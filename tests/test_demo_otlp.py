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


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://127.0.0.1", "http://"])
def test_a_url_that_is_none_is_said_in_one_line(url):
    """With an example of one."""
    done = subprocess.run([*DEMO, url], capture_output=True, text=True, timeout=30, check=False)
    expected = f"poolscope: --otlp takes the URL of a collector, such as http://127.0.0.1:4318, got '{url}'\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_a_collector_that_is_not_there_is_said_in_one_line():
    """Before the demo begins."""
    with refused_port() as port:
        url = f"http://127.0.0.1:{port}"
        done = subprocess.run([*DEMO, url], capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stderr) == (2, f"poolscope: no collector at {url}: connection refused\n")

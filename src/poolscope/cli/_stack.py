"""A Prometheus and an Alertmanager of this machine's, on loopback, for as long as the demo runs.

1. Nothing is installed or fetched: what is missing is named in one line.
2. Both end with the block, and their files with them.
"""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from poolscope.alerts.forms import prometheus
from poolscope.alerts.routing import alertmanager
from poolscope.alerts.rules import rules
from poolscope.alerts.settings import Settings
from poolscope.cli._errors import CommandError

FACTOR = 60
"""The rules' clock runs that many times as fast: ten minutes are ten seconds, and the demo takes two minutes."""

_READY_SECONDS = 20.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""What is on loopback is asked without the proxies of the environment."""


def binaries() -> tuple[str, str]:
    """Find both programs, or say how to install what is missing."""
    server = shutil.which("prometheus")
    manager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if server is None or manager is None:
        missing = "prometheus" if server is None else "prometheus-alertmanager"
        raise CommandError(f"--stack: {missing} is not on PATH: apt-get install prometheus prometheus-alertmanager")
    return server, manager


@contextlib.contextmanager
def running(metrics_port: int) -> Iterator[tuple[str, str]]:
    """Run both; give Prometheus's and Alertmanager's addresses."""
    server, manager = binaries()
    settings = Settings().scaled(FACTOR)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        addresses = tuple(f"127.0.0.1:{port}" for port in _free_ports(2))
        (folder / "rules.yml").write_text(prometheus(rules(settings), settings), encoding="utf-8")
        (folder / "alertmanager.yml").write_text(
            alertmanager(group_wait="500ms", group_interval="5s"), encoding="utf-8"
        )
        (folder / "prometheus.yml").write_text(_config(metrics_port, addresses[1], settings), encoding="utf-8")
        commands = (
            [server, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"],
            [manager, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/manager"],
        )
        more: tuple[list[str], list[str]] = ([], ["--cluster.listen-address="])
        for command, address, options in zip(commands, addresses, more, strict=True):
            stack.enter_context(_process([*command, f"--web.listen-address={address}", *options], address))
        yield f"http://{addresses[0]}", f"http://{addresses[1]}"


def _config(metrics_port: int, manager: str, settings: Settings) -> str:
    every = f"{settings.utilization_step * 1000:.0f}ms"
    tree = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": "500ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "demo", "static_configs": [{"targets": [f"127.0.0.1:{metrics_port}"]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [manager]}]}]},
    }
    return json.dumps(tree)


@contextlib.contextmanager
def _process(command: list[str], address: str) -> Iterator[None]:
    # In another thread: a signal raises in this one, and must not do so between a process's birth and our having it.
    with ThreadPoolExecutor(1) as starter:
        started = starter.submit(_start, command)
        try:
            _await(started.result(), command[0], address)
            yield
        finally:
            with started.result() as process:
                process.terminate()


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # A session of its own: the terminal's Ctrl-C is for the demo alone.
    return subprocess.Popen(  # noqa: S603  # found on PATH, with options of our own
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _await(process: subprocess.Popen[bytes], name: str, address: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CommandError(f"--stack: {name} ended with status {process.returncode}", 1)
        with contextlib.suppress(OSError), _DIRECT.open(f"http://{address}/-/ready", timeout=1):
            return
        time.sleep(0.05)
    raise CommandError(f"--stack: {name} was not ready after {_READY_SECONDS:g} s", 1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]

"""A real Prometheus and a real Alertmanager on loopback ports of their own, for as long as a `with` block."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alerting.promtool import ROOT, tool

PATIENCE = 30


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url: str, **query: str | float):
    """Get JSON over plain HTTP."""
    full = f"{url}?{urllib.parse.urlencode(query, doseq=True)}" if query else url
    with urllib.request.urlopen(full, timeout=60) as response:
        return json.load(response)


def until(ready: Callable[[], object], what: str, seconds: float = PATIENCE):
    """Ask again and again until there is an answer; fail at the deadline, saying what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = ready()
        except (OSError, urllib.error.URLError):
            answer = None
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


def ready(process: subprocess.Popen, url: str) -> bool:
    """Say whether a server answers; a dead one will not."""
    assert process.poll() is None, f"{process.args[0]} ended with {process.returncode}"
    return urllib.request.urlopen(f"{url}/-/ready", timeout=5).status == 200


@contextmanager
def running(command: list[str], url: str, log: Path, where: Path | None = None) -> Iterator[str]:
    """Run a server until the block ends; it is ready when it says so."""
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=where) as process:
        try:
            until(lambda: ready(process, url), f"{command[0]} (see {log})")
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)


def prometheus(folder: Path, config: str, *more: str, port: int = 0):
    """Run Prometheus on a folder."""
    port = port or free_port()
    (folder / "prometheus.yml").write_text(config)
    url = f"http://127.0.0.1:{port}"
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *more,
    ]
    return running(command, url, folder / "prometheus.log")


def alertmanager(folder: Path, config: str, port: int = 0):
    """Run Alertmanager on a folder, alone."""
    port = port or free_port()
    (folder / "alertmanager.yml").write_text(config)
    url = f"http://127.0.0.1:{port}"
    command = [
        tool("alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager-data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    templates = ROOT / ".cache/tools/root/usr/share/prometheus/alertmanager"
    return running(command, url, folder / "alertmanager.log", templates if templates.exists() else None)


def backfill(folder: Path, text: str) -> None:
    """Put a history, in OpenMetrics, into the folder of a Prometheus that does not run yet."""
    file = folder / "history.om"
    file.write_text(text)
    command = [tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(file), str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    file.unlink()

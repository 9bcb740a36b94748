"""A real gunicorn with four workers in prometheus_client's multi-process mode, and what it exposes, recorded.

`python tests/sinks/workers.py` writes the recording that the alert rules are tested with.
"""

import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from alerting.recorded import RECORDED, samples
from alerting.servers import until
from harness import Server, refused_port
from observing import Exposition
from poolscope import _contract as c

SINKS = Path(__file__).parent


class Gunicorn:
    """A running gunicorn; `words` are what its hooks said so far."""

    def __init__(self, process):
        self.process = process
        self.words: list[tuple[str, int]] = []

    def expect(self, word: str) -> int:
        """Wait for this word of a hook; give its number."""
        while True:
            line = self.process.stdout.readline()
            assert line, "gunicorn ended"
            said, number = line.split()
            self.words.append((said, int(number)))
            if said == word:
                return int(number)

    def get(self, path: str) -> tuple[int, str]:
        """Ask a worker; give its process id and the answer."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return int(answer.headers["x-pid"]), answer.read().decode()

    def together(self, count: int, path: str) -> list[tuple[int, str]]:
        """Ask so often at the same time."""
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(self.get, [path] * count))

    def scrape(self) -> Exposition:
        return Exposition(self.get("/metrics")[1])


@contextmanager
def gunicorn(directory, *, options=("worker_app:application",), **variables):
    """gunicorn with an app; it ends with the block, and must have nothing to complain of."""
    command = [sys.executable, "-m", "gunicorn", "-c", str(SINKS / "gunicorn_conf.py"), *options]
    path = os.pathsep.join([str(SINKS), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory), "PYTHONPATH": path, **variables}
    errors = directory.parent / "errors"
    with errors.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
    watchdog = threading.Timer(45, process.kill)
    watchdog.start()
    server = Gunicorn(process)
    try:
        server.port = server.expect("listening")
        while sum(said == "started" for said, _ in server.words) < 4:
            server.expect("started")
        yield server
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
        watchdog.cancel()
    assert "Traceback" not in errors.read_text(), errors.read_text()


def held(peer):
    """Hold a request until the recording is done."""
    for request in peer.requests():
        if request.target == "/held":
            peer.reached(f"held {peer.number}")
            peer.wait("answer")
        peer.respond(200, b"ok")


def recording(directory: Path) -> str:
    """Give what four workers expose while one of them is full, with two requests in its queue."""
    with Server(held) as server, refused_port() as nobody, gunicorn(directory) as app:
        try:
            app.get(f"/call?url=http://127.0.0.1:{nobody}/")
            app.get(f"/begin?count=7&url={server.url('/held')}")
            return until(lambda: full(app.get("/metrics")[1]), "a worker that is full")
        finally:
            server.gate("answer").set()


def full(text: str) -> str:
    """Give the exposition if it shows what is to be recorded."""
    seen = Exposition(text)
    return text if seen(c.IN_USE) == 5 and seen(c.PENDING) == 2 else ""


def shape(text: str) -> set[tuple]:
    """Give every sample's name and labels, whichever the processes and ports were."""
    return {
        (name, *sorted((label, "" if label in ("pid", "server_port") else value) for label, value in labels.items()))
        for name, labels, _ in samples(text)
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "files"
        directory.mkdir()
        RECORDED.write_text(recording(directory))


if __name__ == "__main__":
    main()

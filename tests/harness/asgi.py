"""A real HTTP/1.1 and HTTP/2 server (hypercorn) for an ASGI app, in a thread with a loop of its own."""

import asyncio
import socket
import ssl
import threading
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config

from harness.certificates import certificate_files, short_directory
from harness.listener import PATIENCE


class AsgiServer:
    """`AsgiServer(app)`: serves it over TLS with ALPN h2 and http/1.1 (`tls=False`: plain HTTP/1.1)."""

    def __init__(self, app, *, tls: bool = True, max_streams: int = 100):
        self.app = app
        self.tls = tls
        self._directory = short_directory()
        self._config = Config()
        self._config.h2_max_concurrent_streams = max_streams
        self._config.errorlog = None
        self._config.graceful_timeout = 0.1
        self._config.shutdown_timeout = 1
        if tls:
            chain, key = certificate_files(Path(self._directory.name))
            self._config.certfile, self._config.keyfile = str(chain), str(key)
            self._config.alpn_protocols = ["h2", "http/1.1"]
        self._ready = threading.Event()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """The URL of `path` here."""
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def __enter__(self):
        sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = sock.getsockname()[1]
        self._config.bind = [f"fd://{sock.detach()}"]  # hypercorn closes it
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            raise TimeoutError("hypercorn did not start")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        self._directory.cleanup()
        if self._thread.is_alive():
            raise TimeoutError("hypercorn did not stop")

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(_ignore_peers_that_left)
        self._ready.set()  # the socket listens already: a client that comes now waits in its backlog
        await serve(self.app, self._config, shutdown_trigger=self._stop.wait)


def _ignore_peers_that_left(loop, context) -> None:
    if not isinstance(context.get("exception"), (OSError, ssl.SSLError)):
        loop.default_exception_handler(context)

"""Real proxies (pproxy) in a thread with a loop of its own: HTTP (forward and CONNECT) and SOCKS5.

pproxy drops streams unclosed where a peer left: every stream, either side's, is known here and closed at the end.
"""

import asyncio
import threading
from contextlib import suppress

import pproxy

from harness.listener import PATIENCE


class _Proxy:
    """Takes the scheme's clients and connects straight to where they want; `accepted` counts them."""

    scheme: str

    def __init__(self):
        self.accepted = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """What a client takes as its proxy."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            raise TimeoutError("the proxy did not start")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise TimeoutError("the proxy did not stop")

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda loop, context: None)  # peers that left are no failure here
        road = pproxy.Connection("direct://")
        road.wait_open_connection = self._connect
        options = {"rserver": [road], "verbose": lambda *line: None}
        server = await pproxy.Server(f"{self.scheme}://127.0.0.1:0").start_server(options, self._handle)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*others, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def _handle(self, reader, writer, **options):
        self.accepted += 1
        self._writers.append(writer)
        return pproxy.server.stream_handler(reader, writer, **options)

    async def _connect(self, host, port, local_addr, family):
        reader, writer = await asyncio.open_connection(host, port, local_addr=local_addr, family=family)
        self._writers.append(writer)
        return reader, writer


class HttpProxy(_Proxy):
    """A forward proxy for http URLs, a tunnel (CONNECT) for https ones."""

    scheme = "http"


class SocksProxy(_Proxy):
    """A SOCKS5 proxy."""

    scheme = "socks5"

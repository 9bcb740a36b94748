"""Real proxies (pproxy) in a thread with a loop of its own: HTTP (forward and CONNECT) and SOCKS5."""

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
        options = {"rserver": [pproxy.Connection("direct://")], "verbose": lambda *line: None}
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

    async def _handle(self, *args, **options) -> None:
        self.accepted += 1
        await pproxy.server.stream_handler(*args, **options)


class HttpProxy(_Proxy):
    """A forward proxy for http URLs, a tunnel (CONNECT) for https ones."""

    scheme = "http"


class SocksProxy(_Proxy):
    """A SOCKS5 proxy."""

    scheme = "socks5"

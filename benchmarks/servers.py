"""The server that a benchmark's client speaks to: HTTP/1.1 and, by prior knowledge, HTTP/2, in a process of its own.

`servers.py` prints the two ports and serves until it is ended.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import h2.config
import h2.connection
import h2.events

BODIES = {b"/": b"ok", b"/large": bytes(2**20)}
HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Sat, 21 Nov 2026 09:00:00 GMT\r\nserver: benchmark\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n"
)
"""The headers that every server sends: a client reads them, too."""
FIELDS = [
    (":status", "200"),
    *(tuple(line.split(": ", 1)) for line in (HEAD % 2).decode().splitlines()[1:] if line),
]


async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of a connection."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            body = BODIES[head.split(b" ", 2)[1]]
            writer.write(HEAD % len(body) + body)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every stream of a connection with the small body."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                connection.send_headers(event.stream_id, FIELDS)
                connection.send_data(event.stream_id, BODIES[b"/"], end_stream=True)
        writer.write(connection.data_to_send())
    writer.close()


async def serve() -> None:
    """Serve until the process is ended."""
    servers = [await asyncio.start_server(handler, "127.0.0.1", 0, backlog=2048) for handler in (http1, http2)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """Give the port of each protocol's server while it runs."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield dict(zip(("http11", "http2"), process.stdout.readline().split(), strict=True))
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(serve())

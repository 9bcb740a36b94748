"""Origins on loopback, in a process of their own: their work cannot delay the client under observation.

1. `GET /hold/SECONDS` is answered after that many seconds: the script is in the request, none in the server.
2. The process ends when its standard input ends, so it cannot outlive its parent, however that one ends.

This file runs as a script: standard library alone.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
_BACKLOG = 512


@contextmanager
def origins(count: int) -> Iterator[tuple[int, ...]]:
    """Serve that many origins on 127.0.0.1; yield their ports."""
    # A session of its own: the terminal's Ctrl-C is for the parent alone.
    command = [sys.executable, "-I", __file__, str(count)]
    with subprocess.Popen(  # noqa: S603  # this interpreter, this file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101  # asked for above
            ports = tuple(int(port) for port in process.stdout.readline().split())
            if len(ports) != count:
                raise OSError("the loopback origins did not start")
            yield ports
        finally:
            process.kill()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1]
            await asyncio.sleep(float(target.rpartition(b"/")[2]))
            writer.write(_ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client closed the connection
    finally:
        writer.close()


async def _serve(count: int) -> None:
    servers = [await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=_BACKLOG) for _ in range(count)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))

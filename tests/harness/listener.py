"""Accepts on loopback or a Unix socket and runs one script a connection, each in a thread of its own.

1. A server does only what its script says, when the script says it: gates, no sleeps.
2. Every connection's story is in `logs`, in the order accepted; leaving the block ends every thread,
   and raises what a script raised or that a thread did not end.
"""

import select
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from pathlib import Path

from harness.certificates import short_directory

PATIENCE = 10.0  # seconds until a test that hangs fails; no passing test waits this long


class BasePeer:
    """One accepted connection, as its script sees it."""

    def __init__(self, listener, sock, number):
        self.listener = listener
        self.sock = sock
        self.number = number  # 1 for the first connection accepted
        self.log = listener.logs[number - 1]
        self.open = True

    def send(self, data: bytes) -> None:
        """Send these bytes, whatever they are."""
        self.sock.sendall(data)

    def receive(self, size: int = 65536) -> bytes:
        """Up to `size` bytes; empty when the client has closed."""
        return self.sock.recv(size)

    def wait(self, gate: str) -> None:
        """Hold until the test opens this gate."""
        if not self.listener.gate(gate).wait(PATIENCE):
            raise TimeoutError(f"nobody opened the gate {gate!r}")

    def reached(self, gate: str) -> None:
        """Open this gate: the test may be waiting for the script to come here."""
        self.listener.gate(gate).set()

    def half_close(self) -> None:
        """Send FIN and go on reading."""
        self.sock.shutdown(socket.SHUT_WR)
        self.log.append("server half-closed")

    def close(self, how: str = "closed") -> None:
        """Close, with FIN."""
        if self.open:
            self.open = False
            self.log.append(f"server {how}")
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)  # the FIN leaves now, whoever else holds the socket
            self.sock.close()

    def reset(self) -> None:
        """Close, with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.open = False
        self.log.append("server reset")
        self.sock.close()

    def until_closed(self) -> bytes:
        """Read until the client closes; what came."""
        parts = []
        while part := self.receive():
            parts.append(part)
        return b"".join(parts)


class Listener:
    """`Listener(script)`; `script(peer)` runs once a connection and the connection closes when it returns."""

    peer_class = BasePeer

    def __init__(self, script, *, tls: ssl.SSLContext | None = None, uds: bool = False):
        self.script = script
        self.tls = tls
        self.logs: list[list[str]] = []
        self.failures: list[BaseException] = []
        self._gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._peers: list[BasePeer] = []
        self._threads: list[threading.Thread] = []
        self._taking = threading.Lock()  # held from the kernel's queue until a connection's thread runs
        self._stack = ExitStack()
        self.path = str(Path(self._stack.enter_context(short_directory())) / "s") if uds else None
        self._socket = socket.socket(socket.AF_UNIX if uds else socket.AF_INET)
        self._socket.bind(self.path or ("127.0.0.1", 0))
        self._socket.listen(256)
        self.port = 0 if uds else self._socket.getsockname()[1]

    @property
    def accepted(self) -> int:
        """How many connections were accepted so far."""
        return len(self.logs)

    def gate(self, name: str) -> threading.Event:
        """The event of this name, shared by the test and the scripts."""
        return self._gates[name]

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """The URL of `path` here."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://localhost{path}" if self.path else f"{scheme}://{host}:{self.port}{path}"

    def settle(self, timeout: float = PATIENCE) -> bool:
        """Wait until every connection that reached us was accepted and has ended; whether it came to that."""
        while self._acceptor.is_alive() and self._is_readable():
            time.sleep(0.001)  # the kernel has a connection that the acceptor is about to take
        with self._taking:
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in threads)

    def _is_readable(self) -> bool:
        with self._taking:
            return bool(select.select([self._socket], [], [], 0)[0])

    def __enter__(self):
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(PATIENCE)
        self._socket.close()
        for gate in list(self._gates.values()):
            gate.set()
        for peer in self._peers:
            with suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        ended = self.settle()
        self._stack.close()
        if self.failures:
            raise self.failures[0]
        if not ended:
            raise TimeoutError("a connection's script did not end")

    def _accept(self) -> None:
        while True:
            select.select([self._socket], [], [])
            with self._taking:
                try:
                    sock, _ = self._socket.accept()
                except OSError:
                    return
                self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        if not self.path:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.logs.append([])
        peer = self.peer_class(self, sock, len(self.logs))
        self._peers.append(peer)
        thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, peer: BasePeer) -> None:
        try:
            if self.tls is not None:
                peer.sock = self.tls.wrap_socket(peer.sock, server_side=True)
            self.script(peer)
        except ssl.SSLError as exc:
            peer.log.append(f"tls failed: {type(exc).__name__}")
        except TimeoutError as exc:
            self.failures.append(exc)
        except OSError:
            peer.log.append("client went away")
        except Exception as exc:
            self.failures.append(exc)
        finally:
            peer.close("closed at the end")

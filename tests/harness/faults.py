"""Addresses on loopback where connecting fails: one that refuses, one that never answers."""

import socket
from contextlib import contextmanager


@contextmanager
def refused_port():
    """A port that nobody listens on, and that stays ours for the block."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class BlackHole:
    """Its port takes no further connection and refuses none: connecting to it never ends.

    The backlog is full with connections that nobody accepts.
    """

    def __enter__(self):
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(0)
        self.port = self._socket.getsockname()[1]
        self._fillers = [socket.socket() for _ in range(4)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
        return self

    def __exit__(self, *exc_info: object) -> None:
        for sock in (*self._fillers, self._socket):
            sock.close()

    def url(self, path: str = "/") -> str:
        """The URL of `path` there."""
        return f"http://127.0.0.1:{self.port}{path}"

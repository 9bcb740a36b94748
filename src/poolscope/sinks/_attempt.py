"""One attempt to set a connection up, as its request saw it pass: the whole, and its parts in order."""

import time
from typing import Any

from opentelemetry.util.types import AttributeValue

from poolscope import _contract as c
from poolscope.sinks._client_span import peer_attributes


class Step:
    """A stretch of time that becomes a span, or an event. Times are nanoseconds since the epoch; end is 0 until then.

    error: the `__qualname__` of what ended it, empty where nothing did.
    """

    __slots__ = ("attributes", "end", "error", "name", "start")

    def __init__(self, name: str, start: int, attributes: dict[str, AttributeValue] | None = None) -> None:
        self.name = name
        self.start = start
        self.end = 0
        self.error = ""
        self.attributes: dict[str, AttributeValue] = {} if attributes is None else attributes


class Attempt:
    """One attempt: a socket, and TLS where it applies (twice through a proxy that itself speaks TLS)."""

    __slots__ = ("parts", "whole")

    def __init__(self, name: str, target: str, attributes: dict[str, AttributeValue]) -> None:
        now = time.time_ns()
        self.whole = Step(name, now, attributes)
        self.parts = [Step(f"{c.SOCKET_SPAN} {target}", now)]

    def connected(self, peer: Any) -> None:
        """End the socket's part."""
        part = self._end_part()
        part.attributes = peer_attributes(peer)
        if isinstance(peer, tuple):
            part.name = f"{c.SOCKET_SPAN} {peer[0]}:{peer[1]}"
            part.attributes |= {"network.transport": "tcp", "network.type": "ipv6" if ":" in str(peer[0]) else "ipv4"}
        elif peer:
            part.name = f"{c.SOCKET_SPAN} {peer}"
            part.attributes["network.transport"] = "unix"

    def securing(self, host: str) -> None:
        """Begin a part for TLS."""
        self.parts.append(Step(f"{c.TLS_SPAN} {host}", time.time_ns(), {"server.address": host}))

    def secured(self, tls: Any) -> None:
        """End it."""
        part = self._end_part()
        if tls is not None:
            known = {"tls.protocol.version": tls.version(), "tls.next_protocol": tls.selected_alpn_protocol()}
            part.attributes |= {key: value.removeprefix("TLSv") for key, value in known.items() if value}

    def ended(self, error: str = "") -> None:
        """End the attempt, and what of it still runs."""
        self.whole.end = time.time_ns()
        self.whole.error = error
        last = self.parts[-1]
        if not last.end:
            last.end = self.whole.end
            last.error = error

    def _end_part(self) -> Step:
        part = self.parts[-1]
        part.end = time.time_ns()
        return part

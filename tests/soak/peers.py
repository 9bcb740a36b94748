"""Servers that reset, stall, half-close, speak garbage, shut mid-body and send GOAWAY, in a process of their own.

The path of a request says what becomes of it.
"""

import multiprocessing
import os
import signal
import time
from contextlib import contextmanager

from harness import H2Server, Server, server_context

HTTP1 = (*["ok"] * 40, "big", "close", "reset", "stall", "half", "garbage", "cut", "slow")
HTTP2 = (*["ok"] * 40, "big", "goaway", "reset", "stall", "garbage", "cut", "refuse")
_BIG = b"x" * 100_000


def http1(peer):
    for request in peer.requests():
        peer.listener.requests.clear()
        if not _http1(peer, request.target.strip("/")):
            return


def _http1(peer, what):
    """Answer one request; whether the connection goes on."""
    if what == "reset":
        peer.reset()
    elif what == "stall":
        peer.until_closed()
    elif what == "half":
        peer.half_close()
        peer.until_closed()
    elif what == "garbage":
        peer.send(b"\x00\x01garbage\r\n\r\n")
    elif what == "cut":
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf of")
    elif what == "slow":
        peer.respond_head(200, parts=[b"a"])
        time.sleep(0.02)  # the load's own pace, not a test's
        peer.chunk(b"b", b"")
        return True
    elif what == "close":
        peer.respond(200, b"bye", [("connection", "close")])
    else:
        peer.respond(200, _BIG if what == "big" else b"ok")
        return True
    return False


def http2(peer):
    for request in peer.requests():
        peer.listener.requests.clear()
        peer.streams.clear()
        what = request.target.strip("/")
        if what == "stall":
            continue
        if what == "reset":
            return peer.reset()
        if what == "garbage":
            return peer.send(b"\x00\x01garbage that is no frame")
        if what == "cut":
            peer.respond_head(request)
            return None
        if what == "refuse":
            peer.reset_stream(request)
        elif what == "goaway":
            peer.goaway(request.stream_id)
            return None
        else:
            peer.respond(request, 200, b"ok" if what == "ok" else _BIG[:30_000])
    return None


def _serve(pipe):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (
        Server(http1) as plain,
        Server(http1, tls=server_context()) as tls,
        H2Server(http2, max_streams=8) as multiplexed,
    ):
        pipe.send([server.url("/") for server in (plain, tls, multiplexed)])
        pipe.recv()
        os._exit(0)  # what its peers were doing is of no interest


@contextmanager
def peers():
    """Give the URLs: plain, over TLS, HTTP/2. A fork, so that the certificates' authority is this process's own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join(10)
        here.close()
        there.close()

"""Real peers on loopback for tests: servers, proxies and faults that a script decides, never a sleep.

They run in threads of their own, so sync, asyncio and trio clients use them alike.
"""

from harness.asgi import AsgiServer
from harness.certificates import client_context, server_context, stranger_context
from harness.faults import BlackHole, refused_port
from harness.http1 import Peer, Request, Server
from harness.http2 import H2Peer, H2Request, H2Server
from harness.listener import Listener
from harness.proxies import HttpProxy, SocksProxy

__all__ = [
    "AsgiServer",
    "BlackHole",
    "H2Peer",
    "H2Request",
    "H2Server",
    "HttpProxy",
    "Listener",
    "Peer",
    "Request",
    "Server",
    "SocksProxy",
    "client_context",
    "refused_port",
    "server_context",
    "stranger_context",
]

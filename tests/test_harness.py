"""The tests' own peers do what their names say: a fault that does not happen proves nothing."""

import anyio
import httpx
import pytest

from harness import (
    AsgiServer,
    BlackHole,
    H2Server,
    HttpProxy,
    Server,
    SocksProxy,
    client_context,
    refused_port,
    server_context,
    stranger_context,
)


def get(url, **options):
    with client_of(**options) as client:
        return client.get(url)


def client_of(**options):
    return httpx.Client(**{"verify": client_context(), "trust_env": False, "timeout": 5, **options})


def test_plain_server_answers_and_counts_connections():
    with Server() as server:
        assert get(server.url("/a")).content == b"ok"
        assert server.settle()
        assert server.accepted == 1
        assert server.logs == [["GET /a", "client closed", "server closed at the end"]]


@pytest.mark.parametrize("options", [{"tls": True}, {"uds": True}])
def test_server_speaks_tls_and_unix_sockets(options):
    tls = server_context() if options.pop("tls", False) else None
    with Server(tls=tls, **options) as server:
        transport = httpx.HTTPTransport(verify=client_context(), uds=server.path)
        with httpx.Client(transport=transport) as client:
            assert client.get(server.url()).content == b"ok"


def test_bodies_are_read_by_length_and_by_chunks():
    with Server() as server:
        transport = httpx.HTTPTransport()
        with httpx.Client(transport=transport) as client:
            client.post(server.url(), content=b"abc")
            client.post(server.url(), content=iter([b"ab", b"cde"]))
        assert [request.body for request in server.requests] == [b"abc", b"abcde"]


FAULTS = {
    "closed before the response": (lambda peer: peer.request() and None, httpx.RemoteProtocolError),
    "reset": (lambda peer: peer.request() and peer.reset(), httpx.ReadError),
    "garbage": (lambda peer: peer.request() and peer.send(b"\0\0\r\n\r\n"), httpx.RemoteProtocolError),
    "half a body": (
        lambda peer: peer.request() and peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
        httpx.RemoteProtocolError,
    ),
    "silence": (lambda peer: peer.request() and peer.until_closed(), httpx.ReadTimeout),
}


@pytest.mark.parametrize("name", FAULTS)
def test_scripted_fault_reaches_the_client(name):
    script, error = FAULTS[name]
    with Server(script) as server, pytest.raises(error):
        get(server.url(), timeout=httpx.Timeout(5, read=0.2 if name == "silence" else 5))


def test_untrusted_and_wrong_host_certificates_are_refused():
    with Server(tls=server_context()) as server, pytest.raises(httpx.ConnectError, match="verify failed"):
        get(server.url(), verify=stranger_context())
    with Server(tls=server_context("elsewhere.test")) as server:
        with pytest.raises(httpx.ConnectError, match="not valid for"):
            get(server.url())
        assert server.settle()
        assert "tls failed" in server.logs[0][0]


def test_gates_hold_a_script_until_the_test_opens_them():
    def script(peer):
        peer.request()
        peer.reached("request is here")
        peer.wait("answer")
        peer.respond(200, b"late")

    async def main():
        with Server(script) as server:
            async with httpx.AsyncClient() as client, anyio.create_task_group() as group:

                async def fetch():
                    assert (await client.get(server.url())).content == b"late"

                group.start_soon(fetch)
                assert await anyio.to_thread.run_sync(server.gate("request is here").wait, 5)
                server.gate("answer").set()

    anyio.run(main)


def test_failing_script_fails_the_test():
    def script(peer):
        raise LookupError("a slip in the script")

    with pytest.raises(LookupError), Server(script) as server, pytest.raises(httpx.TransportError):
        get(server.url())


def test_connecting_is_refused_or_never_ends():
    with refused_port() as port, pytest.raises(httpx.ConnectError):
        get(f"http://127.0.0.1:{port}/")
    with BlackHole() as hole, pytest.raises(httpx.ConnectTimeout):
        get(hole.url(), timeout=httpx.Timeout(5, connect=0.1))


def test_scripted_http2_server_answers_limits_streams_and_says_goaway():
    def script(peer):
        first = peer.request()
        peer.respond(first, 200, b"x" * 200_000)
        if peer.number == 1:
            peer.request()
            peer.goaway(first.stream_id)
        peer.until_closed()

    with H2Server(script, max_streams=2) as server, client_of(http2=True) as client:
        response = client.get(server.url("/first"))
        assert (response.http_version, len(response.content)) == ("HTTP/2", 200_000)
        connection = client._transport._pool.connections[0]._connection
        assert connection._h2_state.remote_settings.max_concurrent_streams == 2
        assert len(client.get(server.url("/second")).content) == 200_000  # again, on a second connection
        assert [log[:2] for log in server.logs] == [["GET /first", "GET /second"], ["GET /second"]]


def test_scripted_http2_server_resets_a_stream():
    def script(peer):
        peer.reset_stream(peer.request())
        peer.respond(peer.request(), 204)
        peer.until_closed()

    with H2Server(script) as server:
        with client_of(http2=True) as client:
            with pytest.raises(httpx.RemoteProtocolError, match="StreamReset"):
                client.get(server.url())
            assert client.get(server.url()).status_code == 204
        assert server.settle()
        assert server.accepted == 1


async def hello(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize(
    ("tls", "http2", "version"),
    [(True, True, "HTTP/2"), (True, False, "HTTP/1.1"), (False, False, "HTTP/1.1")],
)
def test_asgi_server_is_a_real_server_of_both_versions(tls, http2, version):
    with AsgiServer(hello, tls=tls) as server:
        response = get(server.url(), http2=http2)
        assert (response.content, response.http_version) == (b"hello", version)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_proxies_carry_requests_of_both_schemes(kind, tls):
    with kind() as proxy, Server(tls=server_context() if tls else None) as server:
        assert get(server.url("/through"), proxy=proxy.url).content == b"ok"
        assert proxy.accepted == 1
        assert server.logs[0][0] == "GET /through"

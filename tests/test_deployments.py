"""poolscope as it is deployed: workers that are killed and reborn, forks, a SIGTERM in flight, SDKs that take a client.

Free-threaded Python is not tried: the machines these tests run on have none.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from http.client import HTTPException

import anthropic
import httpx
import httpx2
import openai
import pytest
from prometheus_client import CollectorRegistry

import poolscope.httpx
import poolscope.httpx2
from harness import Server
from observing import Exposition, imbalances, scrape
from poolscope import PrometheusSink, instrument
from poolscope import _contract as c
from sinks.workers import gunicorn

WAVE = 40


def caller(app, url, answers):
    """Call until WAVE calls were answered; count what became of each."""
    while answers["answered"] < WAVE:
        try:
            app.get(f"/call?url={url}")
            answers["answered"] += 1
        except (OSError, HTTPException):
            answers["lost"] += 1


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_workers_that_are_killed_and_reborn_under_load_leave_right_sums(tmp_path, sign):
    """uvicorn's workers: what a worker finished stays counted; SIGKILL costs the ends of what was in flight alone."""
    directory = tmp_path / "files"
    directory.mkdir()
    options = ("--worker-class", "uvicorn.workers.UvicornWorker", "asgi_app:application")
    with Server() as server, gunicorn(directory, options=options) as app:
        counts = [Counter() for _ in range(4)]
        threads = [threading.Thread(target=caller, args=(app, server.url(), mine)) for mine in counts]
        victims = [pid for said, pid in app.words if said == "started"][:2]
        for thread in threads:
            thread.start()
        for victim in victims:
            os.kill(victim, sign)
            assert app.expect("ended") == victim
            app.expect("started")
        for thread in threads:
            thread.join()
        seen = app.scrape()
    answered, lost = (sum(mine[what] for mine in counts) for what in ("answered", "lost"))
    here = {"pool_name": "app", "port": str(server.port)}
    ended, begun = seen(c.USE_TIME, "_count", **here), seen(c.CHECKOUTS, **here)
    assert answered <= ended <= begun <= answered + lost
    assert len(server.requests) >= ended
    assert seen(c.POOLS_OPENED, pool_name="app") == 6
    assert seen(c.POOLS, pool_name="app") == 4
    if sign == signal.SIGTERM:
        assert imbalances(seen) == []


def alone(code: str, **variables: str) -> subprocess.Popen:
    """Start a program of its own."""
    program = [sys.executable, "-c", code]
    return subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )


FORK = """
import os, signal, threading
import httpx
from prometheus_client import CollectorRegistry, generate_latest
from poolscope import InstrumentedSyncTransport, PrometheusSink
registry = CollectorRegistry()
MADE
held, go = threading.Event(), threading.Event()
def hold():
    with LOCK:
        held.set()
        go.wait()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
pid = os.fork()
if not pid:
    signal.alarm(20)
    CHILD
    assert client.get(URL).text == "ok"
    client.close()
    print(generate_latest(registry).decode(), "END", flush=True)
    os._exit(0)
go.set()
holder.join()
_, status = os.waitpid(pid, 0)
assert status == 0, f"the child ended with {status}"
PARENT
client.get(URL)
client.get(URL)
client.close()
print(generate_latest(registry).decode())
"""
MAKE = """
client = httpx.Client(
    transport=InstrumentedSyncTransport(name="forked", sinks=[PrometheusSink(registry)]), trust_env=False
)
"""
ANOTHER = 'InstrumentedSyncTransport(name="another")'
LOCKS = {
    "the pool's": "client._transport.observer._lock",
    "the names'": "__import__('poolscope')._names._lock",
    "the origins'": "__import__('poolscope')._origins._lock",
}


def forked(made: str, later: str, lock: str) -> list[Exposition]:
    """Run a program that forks while another thread holds a lock; give what its child shows and what it shows."""
    code = FORK.replace("MADE", made).replace("CHILD", later.replace("\n", "\n    ")).replace("PARENT", later)
    with Server(answering_ok) as server:
        process = alone(code.replace("LOCK", lock).replace("URL", repr(server.url())))
        out, errors = process.communicate(timeout=40)
    assert errors == ""
    return [Exposition(part) for part in out.split(" END\n")]


def answering_ok(peer):
    for _ in peer.requests():
        peer.respond(200, b"ok")


@pytest.mark.parametrize("lock", ["the pool's", "the names'", "the origins'"])
def test_a_fork_after_a_client_was_made_counts_for_itself(lock):
    """Even while another thread held a lock of ours: the child answers and names a pool, and the counts are its own."""
    child, parent = forked(MAKE, ANOTHER, LOCKS[lock])
    assert (child(c.CHECKOUTS), child(c.USE_TIME, "_count")) == (1, 1)
    assert (parent(c.CHECKOUTS), parent(c.USE_TIME, "_count")) == (2, 2)
    assert imbalances(child) == imbalances(parent) == []


def test_a_fork_after_import_counts_for_itself():
    """Clients that parent and child make after it: two names of one module, and counts of their own."""
    child, parent = forked("import poolscope._names", MAKE, "poolscope._names._lock")
    assert (child(c.CHECKOUTS), parent(c.CHECKOUTS)) == (1, 2)
    assert imbalances(child) == imbalances(parent) == []


TERMINATED = """
import asyncio, signal
import httpx
from prometheus_client import CollectorRegistry, generate_latest
from poolscope import InstrumentedTransport, PrometheusSink
registry = CollectorRegistry()
async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    transport = InstrumentedTransport(name="drained", sinks=[PrometheusSink(registry)])
    client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=30)
    tasks = [asyncio.create_task(client.get(URL)) for _ in range(3)]
    await told.wait()
    print("told", flush=True)
    left = await transport.drain(30)
    assert left.at_rest, left
    await client.aclose()
    print(generate_latest(registry).decode())
asyncio.run(main())
"""


def held(peer):
    for _ in peer.requests():
        peer.reached(f"here {peer.number}")
        peer.wait("answer")
        peer.respond(200, b"ok")


def test_a_sigterm_in_flight_loses_no_count():
    """With `drain` in its handler: what was under way ends, and is counted, before the process does."""
    with Server(held) as server:
        process = alone(TERMINATED.replace("URL", repr(server.url())))
        for number in (1, 2, 3):
            assert server.gate(f"here {number}").wait(30)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        server.gate("answer").set()
        out, errors = process.communicate(timeout=40)
    assert (process.returncode, errors) == (0, "")
    seen = Exposition(out)
    assert imbalances(seen) == []
    assert (seen(c.CHECKOUTS), seen(c.USE_TIME, "_count"), seen(c.CLOSED, reason="pool_closed")) == (3, 3, 3)


COMPLETION = {
    "id": "1", "object": "chat.completion", "created": 1, "model": "any",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
}  # fmt: skip
CHUNK = {
    "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "any",
    "choices": [{"index": 0, "delta": {"content": "Hello."}, "finish_reason": None}],
}  # fmt: skip
MESSAGE = {
    "id": "1", "type": "message", "role": "assistant", "model": "any", "stop_reason": "end_turn", "stop_sequence": None,
    "content": [{"type": "text", "text": "Hello."}], "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_stop"},
]


def api(peer):
    """Both APIs, as far as is asked: the first request of each connection's server is told to come again."""
    for request in peer.requests():
        if len(peer.listener.requests) == 1:
            peer.respond(500, b"{}", [("content-type", "application/json"), ("retry-after-ms", "1")])
            continue
        theirs = request.target.endswith("/messages")
        if json.loads(request.body).get("stream"):
            events = EVENTS if theirs else [CHUNK]
            lines = [f"event: {each.get('type', 'message')}\ndata: {json.dumps(each)}\n\n" for each in events]
            lines += [] if theirs else ["data: [DONE]\n\n"]
            peer.respond_head(200, [("content-type", "text/event-stream")], [line.encode() for line in lines])
            peer.chunk(b"")
        else:
            answer = json.dumps(MESSAGE if theirs else COMPLETION).encode()
            peer.respond(200, answer, [("content-type", "application/json")])


QUESTION = [{"role": "user", "content": "Hello?"}]


async def whole(answer, *, asynchronous):
    return await answer if asynchronous else answer


async def ask_openai(client, *, asynchronous):
    create = client.chat.completions.create
    answer = await whole(create(model="any", messages=QUESTION), asynchronous=asynchronous)
    stream = await whole(create(model="any", messages=QUESTION, stream=True), asynchronous=asynchronous)
    chunks = [chunk async for chunk in stream] if asynchronous else list(stream)
    return answer.choices[0].message.content, "".join(chunk.choices[0].delta.content for chunk in chunks)


async def ask_anthropic(client, *, asynchronous):
    create = client.messages.create
    asked = {"model": "any", "max_tokens": 9, "messages": QUESTION}
    answer = await whole(create(**asked), asynchronous=asynchronous)
    stream = await whole(create(**asked, stream=True), asynchronous=asynchronous)
    events = [event async for event in stream] if asynchronous else list(stream)
    return answer.content[0].text, "".join(e.delta.text for e in events if e.type == "content_block_delta")


SDKS = {
    ("openai", "httpx"): (openai.OpenAI, openai.AsyncOpenAI, ask_openai),
    ("openai", "httpx2"): (openai.OpenAI, openai.AsyncOpenAI, ask_openai),
    ("anthropic", "httpx2"): (anthropic.Anthropic, anthropic.AsyncAnthropic, ask_anthropic),
}
FLAVOURS = {"httpx": (httpx, poolscope.httpx), "httpx2": (httpx2, poolscope.httpx2)}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("way", ["transport", "instrument"])
@pytest.mark.parametrize("sdk", SDKS, ids=" ".join)
def test_an_sdk_takes_an_instrumented_client_and_works_as_ever(sdk, way, asynchronous):
    """Unmodified: an answer, a stream, and its own retry, which is one more request of the pool's."""
    sync_sdk, async_sdk, ask = SDKS[sdk]
    http, ours = FLAVOURS[sdk[1]]
    registry = CollectorRegistry()
    named = {"name": "sdk", "sinks": [PrometheusSink(registry)]}
    client_class = http.AsyncClient if asynchronous else http.Client
    if way == "instrument":
        http_client = instrument(client_class(trust_env=False), **named)
    else:
        transport_class = ours.InstrumentedTransport if asynchronous else ours.InstrumentedSyncTransport
        http_client = client_class(transport=transport_class(**named))

    async def story(url):
        client = (async_sdk if asynchronous else sync_sdk)(http_client=http_client, base_url=url, api_key="none")
        answers = await ask(client, asynchronous=asynchronous)
        await whole(client.close(), asynchronous=asynchronous)
        return answers

    with Server(api) as server:
        assert asyncio.run(story(server.url())) == ("Hello.", "Hello.")
    seen = scrape(registry)
    assert imbalances(seen) == []
    assert seen(c.CHECKOUTS) == seen(c.USE_TIME, "_count") == len(server.requests) == 3
    assert (seen(c.REQUEST_DURATION, "_count", status_code="500"), seen(c.CHECKED_OUT)) == (1, 0)
    assert seen(c.OPEN_CONNECTIONS) == 0

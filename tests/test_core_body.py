"""A response's body and its iterators, on streams that do what the test says: what goes through, what is noted."""

import gc
import sys
from types import SimpleNamespace

import httpx
import pytest

from ledger import Ledger, finish
from poolscope import _contract as c
from poolscope._body import (
    AsyncBody,
    AsyncChunks,
    AsyncGeneratorChunks,
    Body,
    Chunks,
    GeneratorChunks,
    body_class,
)

COLOURS = pytest.mark.parametrize("kind", [Body, AsyncBody])


class Heard(list):
    """What an observer and its diagnosis were told. It does nothing."""

    drop = "its drop"

    @property
    def diagnosis(self):
        return self

    def __getattr__(self, name):
        return lambda *facts: self.append((name, *facts)) or ("now" if name == "clock" else None)


class Iterator:
    """Gives what it is given to give, one by one; an exception it raises."""

    def __init__(self, parts):
        self.parts = list(parts)

    def _take(self, over):
        part = self.parts.pop(0) if self.parts else over
        if isinstance(part, BaseException):
            raise part
        return part

    def __next__(self):
        return self._take(StopIteration())

    async def __anext__(self):
        return self._take(StopAsyncIteration())


class Closable(Iterator):
    """One that may be told something, as a generator may."""

    def send(self, value):
        return "sent", value

    def throw(self, *exc_info):
        return "threw", *exc_info

    def close(self):
        return "closed"

    asend, athrow, aclose = send, throw, close


class Stream:
    """A response's stream of either colour, iterated by what it is given."""

    def __init__(self, iterator=None, close=lambda: None):
        self.iterator, self.close = iterator, close

    def __iter__(self):
        return self.iterator

    def __aiter__(self):
        return self.iterator

    async def aclose(self):
        self.close()


def generator(kind):
    def parts():
        yield b"a part"

    async def later():
        yield b"a part"

    return later() if kind is AsyncBody else parts()


def body_of(kind, stream):
    heard, checkout = Heard(), Ledger().request(0.0)
    return kind(stream, heard, checkout), heard, checkout


def iterate(body):
    return body.__aiter__() if isinstance(body, AsyncBody) else body.__iter__()


def advance(chunks):
    return finish(chunks.__anext__() if isinstance(chunks, AsyncChunks) else chunks.__next__())


@COLOURS
def test_a_body_that_is_read_to_its_end_was_read(kind):
    """Part by part, as the stream gives them."""
    body, _, checkout = body_of(kind, Stream(Iterator([b"one", b"two"])))
    chunks = iterate(body)
    assert type(chunks) is (AsyncChunks if kind is AsyncBody else Chunks)
    assert checkout.phase == c.STREAMING
    assert (chunks.__aiter__() if kind is AsyncBody else chunks.__iter__()) is chunks
    assert (advance(chunks), advance(chunks), checkout.read) == (b"one", b"two", False)
    with pytest.raises(StopAsyncIteration if kind is AsyncBody else StopIteration):
        advance(chunks)
    assert (checkout.read, checkout.error) == (True, "")
    checkout.ended_at = 1.0


@COLOURS
def test_a_body_that_breaks_is_noted_with_what_it_broke_by(kind):
    """The caller sees the same exception."""
    exc = httpx.ReadError("broken")
    body, _, checkout = body_of(kind, Stream(Iterator([b"one", exc])))
    chunks = iterate(body)
    advance(chunks)
    with pytest.raises(httpx.ReadError) as raised:
        advance(chunks)
    assert raised.value is exc
    assert (checkout.read, checkout.error) == (False, "ReadError")
    checkout.ended_at = 1.0


@COLOURS
def test_an_iterator_that_can_be_told_something_is_told_it(kind):
    """A generator is one in turn: what it is sent, thrown and its close reach the stream's own."""
    body, _, checkout = body_of(kind, Stream(Closable([])))
    chunks = iterate(body)
    asynchronous = kind is AsyncBody
    assert type(chunks) is (AsyncGeneratorChunks if asynchronous else GeneratorChunks)
    send, throw, close = ("asend", "athrow", "aclose") if asynchronous else ("send", "throw", "close")
    assert getattr(chunks, send)("a word") == ("sent", "a word")
    assert getattr(chunks, throw)(KeyError, "why") == ("threw", KeyError, "why")
    assert getattr(chunks, close)() == "closed"
    checkout.ended_at = 1.0


@COLOURS
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_the_body_of_a_plain_request_is_iterated_by_the_streams_own_generator(kind, plain, own):
    """Which is known weakly; one that is no generator is watched, and so is each of another request."""
    iterator = generator(kind) if own else Iterator([])
    body, _, checkout = body_of(kind, Stream(iterator))
    checkout.plain = plain
    given = iterate(body)
    assert (given is iterator) is (plain and own)
    assert (None if checkout.chunks is None else checkout.chunks()) is (iterator if plain and own else None)
    checkout.ended_at = 1.0
    body._inner = None
    del iterator, given
    gc.collect()
    assert checkout.chunks is None or checkout.chunks() is None


@COLOURS
@pytest.mark.parametrize("exc", [None, OSError("while closing")])
def test_the_close_of_a_body_ends_its_request(kind, exc):
    """It is being closed before the stream is, and is over when that is done or failed, as of the second it began."""
    seen = []

    def close():
        seen.append((checkout.closing, list(heard)))
        if exc is not None:
            raise exc

    body, heard, checkout = body_of(kind, Stream(close=close))
    try:
        finish(body.aclose() if kind is AsyncBody else body.close())
    except OSError as raised:
        assert raised is exc
    else:
        assert exc is None
    assert seen == [(True, [("clock",)])]
    assert heard == [("clock",), ("end", checkout, "now")]
    assert checkout.error == ("" if exc is None else "OSError")
    checkout.ended_at = 1.0


@COLOURS
@pytest.mark.parametrize("ended_at", [None, 1.0])
def test_a_body_that_is_collected_unclosed_is_dropped(kind, ended_at, monkeypatch):
    """The diagnosis hears of it with its stream. Not at an end of the process, where nobody is left to hear."""
    stream = Stream()
    body, heard, checkout = body_of(kind, stream)
    checkout.ended_at = ended_at
    del body
    dropped = [("defer", heard.drop, checkout), ("dropped", stream, checkout)]
    assert heard == (dropped if ended_at is None else [])
    body, heard, checkout = body_of(kind, stream)
    checkout.ended_at = ended_at
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    del body
    assert heard == []


def test_a_strangers_stream_is_asked_what_it_has_to_say():
    """httpx's own has nothing: its body is the bare class."""
    assert body_class(Body, type(httpx.Response(200, stream=httpx.ByteStream(b"")).stream)) is Body
    kind = body_class(AsyncBody, Stream)
    assert (kind.__name__, issubclass(kind, AsyncBody)) == ("AsyncBody", True)
    body = kind(Stream(SimpleNamespace()), Heard(), SimpleNamespace(ended_at=1.0))
    assert body.iterator is body._inner.iterator
    nearly = type("Stream", (), {"__module__": "httpx_more.streams"})
    assert body_class(Body, nearly) is not Body, "a stranger's, whatever it is called"

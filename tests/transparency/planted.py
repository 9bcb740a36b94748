"""Broken wrappers, each with one fault that a user could see: the suite is worth what it finds here."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel


def _nothing(request) -> None:
    pass


def _same(run, response):
    return response


def _again(run, exc):
    raise exc


@dataclass(frozen=True)
class Fault:
    """What a broken wrapper does, the scenario in which it shows, and the observable that gives it away."""

    scenario: str
    place: str
    before: Callable[[Any], None] = _nothing
    after: Callable[[Any, Any], Any] = _same
    failed: Callable[[Any, BaseException], Any] = _again
    closes: bool = True
    suspends: int = 0
    shields: bool = False

    def __call__(self, run, transport):
        """Wrap `transport`, with the fault."""
        httpx = run.flavour.httpx
        base, kind = (httpx.AsyncBaseTransport, _Async) if run.is_async else (httpx.BaseTransport, _Sync)
        wrapped = type("Broken", (kind, base), {"__module__": __name__})()
        wrapped.run, wrapped.fault, wrapped.inner, wrapped._pool = run, self, transport, transport._pool
        return wrapped


class _Async:
    async def handle_async_request(self, request):
        self.fault.before(request)
        for _ in range(self.fault.suspends):
            await anyio.lowlevel.checkpoint()
        try:
            with anyio.CancelScope(shield=True) if self.fault.shields else nullcontext():
                response = await self.inner.handle_async_request(request)
        except BaseException as exc:
            return self.fault.failed(self.run, exc)
        return self.fault.after(self.run, response)

    async def aclose(self):
        if self.fault.closes:
            await self.inner.aclose()

    async def __aenter__(self):
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info):
        await self.aclose()


class _Sync:
    def handle_request(self, request):
        self.fault.before(request)
        try:
            response = self.inner.handle_request(request)
        except BaseException as exc:
            return self.fault.failed(self.run, exc)
        return self.fault.after(self.run, response)

    def close(self):
        if self.fault.closes:
            self.inner.close()

    def __enter__(self):
        self.inner.__enter__()
        return self

    def __exit__(self, *exc_info):
        self.close()


def _without(key):
    def after(run, response):
        del response.extensions[key]
        return response

    return after


class _NoStream:
    def __init__(self, inner):
        self.get_extra_info = inner.get_extra_info


def _stream_of_no_flavour(run, response):
    response.extensions["network_stream"] = _NoStream(response.extensions["network_stream"])
    return response


def _one_header_more(run, response):
    response.headers["x-pool"] = "1"
    return response


def _never_closed(run, response):
    httpx = run.flavour.httpx

    class Body(httpx.AsyncByteStream, httpx.SyncByteStream):
        inner = response.stream

        def __iter__(self):
            return iter(self.inner)

        def __aiter__(self):
            return aiter(self.inner)

        async def aclose(self):
            pass

        def close(self):
            pass

    response.stream = Body()
    return response


def _bad_gateway(run, exc):
    return run.flavour.httpx.Response(502)


def _another_class(run, exc):
    raise run.flavour.httpx.ReadError(*exc.args) from exc.__cause__


def _no_cause(run, exc):
    raise type(exc)(*exc.args) from None


def _noted(times):
    def failed(run, exc):
        for _ in range(times):
            exc.add_note("the pool was full")
        raise exc

    return failed


def _reworded(run, exc):
    exc.args = ("the pool was full",)
    raise exc


def _own_extension(request):
    request.extensions["telemetry"] = 1


def _other_dict(request):
    request.extensions = dict(request.extensions)


def _no_trace(request):
    request.extensions = {key: value for key, value in request.extensions.items() if key != "trace"}


def _no_timeouts(request):
    request.extensions["timeout"].clear()


def _own_request_header(request):
    request.headers["x-telemetry"] = "1"


FAULTS = {
    "drops an extension": Fault("statuses", r"status 200\.extensions\.http_version", after=_without("http_version")),
    "hides the stream": Fault("statuses", r"status 200\.extensions\.network_.*", after=_without("network_stream")),
    "gives a stream of no flavour": Fault("statuses", r".*\.is a stream", after=_stream_of_no_flavour),
    "adds a response header": Fault("statuses", r"status 200\.headers", after=_one_header_more),
    "adds a request header": Fault("statuses", r"wire", before=_own_request_header),
    "clears timeouts": Fault("statuses", r"wire", before=_no_timeouts),
    "never closes the pool": Fault("statuses", r"every connection ended", closes=False),
    "never closes a body": Fault("early_close", r"pools at: closed unread.*", after=_never_closed),
    "swallows an error": Fault("refused", r"0 retries raised.*", failed=_bad_gateway),
    "raises another class": Fault("refused", r"0 retries raised\.class", failed=_another_class),
    "loses the cause": Fault("refused", r"0 retries raised\.cause.*", failed=_no_cause),
    "notes any error": Fault("refused", r"0 retries raised\.notes", failed=_noted(1)),
    "notes a timeout twice": Fault("pool_timeout", r"timeout raised\.notes", failed=_noted(2)),
    "rewords a timeout": Fault("pool_timeout", r"timeout raised\.(args|str)", failed=_reworded),
    "adds an extension": Fault("own_trace", r"callers' dict 0|traced 0\..*", before=_own_extension),
    "swaps the extensions": Fault("own_trace", r"same dict 0", before=_other_dict),
    "takes the user's trace": Fault("own_trace", r"event .*", before=_no_trace),
}
"""Faults that a scenario finds, in both colours."""

STEP_FAULTS = {
    "suspends once more": Fault("", r".* suspends", suspends=1),
    "shields from cancels": Fault("", r".*", shields=True),
}
"""Faults of the async colour that only the steps of a coroutine show."""

NO_FAULT = Fault("", "")
"""The same wrapper without a fault."""

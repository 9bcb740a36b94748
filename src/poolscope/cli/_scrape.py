"""Fetches one exposition from a URL: in bounded time and size, or one line that says why there is none.

1. Whatever the other end does (absent, slow, not HTTP, garbage), what comes of it is a `CommandError`.
2. User names, passwords and queries in a URL are sent and never shown.
3. No proxy environment is used, as Prometheus uses none.
"""

import asyncio
import os
import re
import ssl
import time
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus

import httpx

from poolscope.cli._errors import CommandError
from poolscope.cli._exposition import Scrape

SCRAPE_SECONDS = 10.0
"""As long as Prometheus waits by default."""
_MOST_BYTES = 64 * 2**20
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_URL = re.compile(r"([^@/\s]*@)?([\w.-]+|\[[0-9a-fA-F:.]+\]):\d+([/?].*)?|.*://.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an exposition is. shown: its URL without what may be secret. name: the same without what is usual."""

    url: httpx.URL
    shown: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read a URL as it is typed; http and /metrics are the defaults. Raises CommandError where it is none."""
        typed = text if "://" in text else f"http://{text}"
        try:
            url = httpx.URL(typed)
        except (httpx.InvalidURL, ValueError):
            url = httpx.URL()
        if url.scheme not in {"http", "https"} or not url.host or (url.port or 1) not in range(1, 65536):
            raise CommandError(f"URL: {without_secrets(text)!r} is no http or https URL, such as localhost:9464")
        if url.path in {"", "/"}:
            url = url.copy_with(path="/metrics")
        shown = str(url.copy_with(username="", password="", query=None, fragment=None))
        return cls(url, shown, shown.removeprefix("http://").removesuffix("/metrics"))


def is_url(text: str) -> bool:
    """Whether what was typed is meant as a URL, where it may be a file as well."""
    return _URL.fullmatch(text) is not None


def without_secrets(text: str) -> str:
    """Give what was typed for a URL without user name, password and query. It may be none, and a password anything."""
    scheme = _SCHEME.match(text)
    start = scheme[0] if scheme else ""
    return start + re.split(r"[?#]", text.removeprefix(start).rpartition("@")[2])[0]


async def scrape(target: Target, seconds: float = SCRAPE_SECONDS) -> Scrape:
    """Fetch and read what a target exposes now. Raises CommandError where that is nothing after so many seconds."""
    asked = time.monotonic()
    body = await fetch(target, seconds)
    # The exposition's own moment lies between question and answer; on a busy machine these are far apart.
    at = (asked + time.monotonic()) / 2
    return await asyncio.to_thread(read, body, target.shown, at)  # 50,000 series are 2 s


async def fetch(target: Target, seconds: float = SCRAPE_SECONDS) -> bytes:
    """Fetch what a target answers. Raises CommandError where that is no whole answer after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await _fetch(target)
    except TimeoutError:
        raise CommandError(f"{target.shown}: no whole answer within {seconds:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        raise CommandError(f"{target.shown}: {_reason(error)}") from None


def scrape_now(target: Target, seconds: float = SCRAPE_SECONDS) -> Scrape:
    """Do the same where no event loop runs."""
    return asyncio.run(scrape(target, seconds))


def read(body: bytes, source: str, at: float = 0.0) -> Scrape:
    """Read an exposition. source: what to call it. Raises CommandError where it is none, or is cut off."""
    try:
        text = body.decode()
        scraped = Scrape.parse(text, at)
    except (ValueError, LookupError, ArithmeticError) as error:  # prometheus_client's parser has all of them
        raise CommandError(f"{source}: no Prometheus exposition: {_short(error)}") from None
    if not scraped.samples:
        raise CommandError(f"{source}: no metric of a connection pool among {len(body)} bytes")
    if not text.endswith("\n"):
        raise CommandError(f"{source}: the exposition is cut off after {len(body)} bytes")
    return scraped


async def _fetch(target: Target) -> bytes:
    # A client a scrape: a kept connection to a server that was restarted would fail once.
    async with (
        httpx.AsyncClient(verify=_tls(), trust_env=False, timeout=None, follow_redirects=True) as client,  # noqa: S113 - the caller has a deadline
        client.stream("GET", target.url, headers={"accept": "text/plain; version=0.0.4"}) as response,
    ):
        if response.status_code != HTTPStatus.OK:
            known = response.status_code in set(HTTPStatus)
            phrase = HTTPStatus(response.status_code).phrase if known else ""
            raise CommandError(f"{target.shown}: answered {response.status_code} {phrase}".rstrip())
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _MOST_BYTES:
                raise CommandError(f"{target.shown}: more than {_MOST_BYTES >> 20} MiB")
        return bytes(body)


@cache
def _tls() -> ssl.SSLContext:
    """Trust the machine's own authorities; OpenSSL itself knows SSL_CERT_FILE."""
    return ssl.create_default_context()


def _reason(error: BaseException) -> str:
    """Say what failed in the words of the operating system, which are below those of the libraries."""
    causes: list[BaseException] = [error]
    while (below := causes[-1].__cause__ or causes[-1].__context__) is not None and below not in causes:
        causes.append(below)
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.errno is not None and not isinstance(cause, ssl.SSLError):
            return (os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or "").lower() or _short(cause)
    return _short(error)


def _short(error: BaseException) -> str:
    """Write an error in one line that a terminal survives: it may quote what the other end sent."""
    text = " ".join(str(error).split()) or type(error).__name__
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown if len(shown) <= 120 else f"{shown[:119]}…"

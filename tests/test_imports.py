"""What is imported, when, and from which module: one flavour never brings the other."""

import importlib
import os
import subprocess
import sys
from textwrap import dedent

import pytest

import poolscope
from harness import Server

FLAVOURS = ("httpx", "httpx2")


def alone(code: str, *, path: str = "") -> str:
    """Run code in a process of its own, warnings being errors; give what it printed."""
    path = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-W", "error", "-c", dedent(code)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, env=environment, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("contents", ["class AsyncHTTPTransport: pass", ""])
def test_httpx_1_is_refused_on_import(tmp_path, contents):
    """Whether it still has the names of 0.x or not; importing poolscope itself goes well."""
    (tmp_path / "httpx.py").write_text(f"__version__ = '1.0.dev3'\nclass AsyncBaseTransport: pass\n{contents}\n")
    code = """
        import poolscope
        try:
            poolscope.InstrumentedTransport
        except ImportError as exc:
            print(exc)
    """
    printed = alone(code, path=str(tmp_path))
    assert printed == "poolscope supports httpx>=0.25.2,<1 and httpx2>=2; found httpx 1.0.dev3"


def test_httpx2_under_the_name_of_httpx_is_what_it_is():
    """After `httpx2.alias_httpx()` the plain names are those of httpx2, and they work."""
    code = """
        import httpx2
        httpx2.alias_httpx()
        import httpx
        from poolscope import InstrumentedSyncTransport, instrument
        import poolscope.httpx2
        assert httpx is httpx2
        transport = InstrumentedSyncTransport(name="pool")
        assert isinstance(transport, httpx2.BaseTransport)
        with httpx.Client(transport=transport) as client:
            print(client.get(URL).text)
        with instrument(httpx.Client()) as client:
            print(client.get(URL).text)
    """
    with Server() as server:
        assert alone(code.replace("URL", repr(server.url()))).split() == ["ok", "ok"]


IMPORTS = {
    "poolscope": set(),
    "poolscope.httpx": {"httpx", "httpcore"},
    "poolscope.httpx2": {"httpx2", "httpcore2"},
    "poolscope; poolscope.InstrumentedTransport": {"httpx", "httpcore"},
    "poolscope; poolscope.LoggingSink": set(),
    "poolscope; poolscope.instrument": set(),
    "poolscope; poolscope.OpenTelemetrySink": {"opentelemetry.metrics"},
    "poolscope; poolscope.PrometheusSink": {"prometheus_client", "opentelemetry.metrics"},
}
HEAVY = {"httpx", "httpx2", "httpcore", "httpcore2", "opentelemetry.metrics", "opentelemetry.sdk", "prometheus_client"}


@pytest.mark.parametrize("what", IMPORTS)
def test_imports_bring_what_is_used_and_nothing_more(what):
    """One flavour never brings the other, and nothing brings the SDK."""
    printed = alone(f"import sys\nimport {what}\nprint(*sorted({HEAVY!r} & sys.modules.keys()))")
    assert set(printed.split()) == IMPORTS[what]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("kind", ["InstrumentedTransport", "InstrumentedSyncTransport", "_AsyncBody", "_Body"])
def test_classes_of_one_flavour_have_nothing_of_the_other(flavour, kind):
    """Not anywhere among their bases: anthropic refuses a transport for that.

    The classes themselves are compared, because openai writes its own name into the `__module__` of those it exports.
    """

    def classes(name):
        return {value for value in vars(importlib.import_module(name)).values() if isinstance(value, type)}

    (other,) = {*FLAVOURS} - {flavour}
    bases = {*getattr(importlib.import_module(f"poolscope.{flavour}"), kind).__mro__}
    assert bases & classes(flavour)
    assert not bases & (classes(other) | classes({"httpx": "httpcore", "httpx2": "httpcore2"}[other]))


def test_unknown_names_of_the_package():
    """As of any module; what it offers is listed."""
    with pytest.raises(AttributeError, match="module 'poolscope' has no attribute 'InstrumentedClient'"):
        _ = poolscope.InstrumentedClient
    assert set(poolscope.__all__) <= set(dir(poolscope))
    assert all(getattr(poolscope, name) is not None for name in poolscope.__all__)
    assert poolscope.InstrumentedSyncTransport is importlib.import_module("poolscope.httpx").InstrumentedSyncTransport


def test_httpx2_that_is_missing_is_named_with_its_extra():
    """One line that says what to install."""
    code = """
        import sys
        sys.modules["httpx2"] = None
        try:
            import poolscope.httpx2
        except ModuleNotFoundError as exc:
            print(exc)
    """
    assert alone(code) == "poolscope.httpx2 needs httpx2: pip install 'poolscope[httpx2]'"

"""Finds, in the source file that made a transport, clients that are given `transport=` and arguments which that voids.

A client keeps no trace of the arguments that it ignored, so the source is the one place where they can be seen. It is
read when somebody asks, never before; what cannot be read or parsed says nothing.
"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CLIENTS = frozenset({"Client", "AsyncClient", "DefaultHttpxClient", "DefaultAsyncHttpxClient"})
"""httpx's own, and those that the openai and anthropic SDKs derive from it."""
_VOID = {"limits": None, "verify": True, "cert": None, "http1": True, "http2": False}
"""Ignored beside `transport=`, with the values that change nothing."""


def ignored_in(file: str) -> list[str]:
    """Give each call that loses arguments as `name:line limits, http2`."""
    try:
        tree = _parsed(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []
    name = Path(file).name
    return [f"{name}:{call.lineno} {', '.join(lost)}" for call in _clients(tree) if (lost := _lost(call))]


def _parsed(source: bytes) -> ast.AST:
    for _ in range(3):
        with suppress(SystemError):  # seen on 3.11: CPython loses count of its depth (gh-106905)
            return ast.parse(source)
    return ast.Module([], [])


def _clients(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in _CLIENTS:
                yield node


def _lost(call: ast.Call) -> list[str]:
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if "transport" not in given or _is(given["transport"], None):
        return []
    return [name for name, usual in _VOID.items() if name in given and not _is(given[name], usual)]


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value

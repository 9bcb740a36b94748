"""Writes the page of every public name from its signature and its docstring."""

import dataclasses
import inspect
import re

import poolscope

_HEAD = """# API

Every name of the package, as its docstrings have it. This page is made from them (`python -m docs.source`).
`poolscope.httpx2` has the two transports for clients of httpx2.

"""
_METHODS = {
    "InstrumentedTransport": ("snapshot", "drain", "diagnose"),
    "InstrumentedSyncTransport": ("snapshot", "drain", "diagnose"),
    "Verdict": ("as_dict",),
    "PoolSnapshot": ("at_rest", "orphaned"),
    "ObservedPool": ("name", "in_use", "live", "owned", "over", "read", "snapshot", "subscribe", "trace"),
    "Sink": ("attach",),
}
"""What is worth a line beside the name itself."""
_MODULE = re.compile(r"~|\b(?:poolscope|collections\.abc|typing|opentelemetry)(?:\.\w+)*\.(?=\w)")
_QUOTED = re.compile(r"(?<=: |> )'([^']+)'")
_OBJECT = re.compile(r"<(?:\w+\.)*(\w+) object at \w+>")
_ABOUT = re.compile(r"(?<!\n)\n(?=[a-z_]+(?:, [a-z_]+)*: )")


def page() -> str:
    """Give the page."""
    return _HEAD + "\n".join(
        _entry(name, getattr(poolscope, name)) for name in sorted(poolscope.__all__, key=str.lower)
    )


def _entry(name: str, thing: object) -> str:
    made = inspect.isclass(thing)
    lines = [f"## {name}", "", f"`{_signature(name, thing)}`", "", _text(thing)]
    if made and not dataclasses.is_dataclass(thing) and thing.__init__.__doc__ not in (None, object.__init__.__doc__):
        lines += ["", _text(thing.__init__)]
    for method in _METHODS.get(name, ()):
        found = inspect.getattr_static(thing, method)
        shown = f"`{method}`" if isinstance(found, property) else f"`{_signature(method, found)}`"
        lines += ["", f"{shown}: {_text(found)}"]
    return "\n".join(lines) + "\n"


def _signature(name: str, thing: object) -> str:
    if getattr(thing, "_is_protocol", False):
        return f"class {name}"
    found = inspect.signature(thing)
    shown = [
        one.replace(annotation=one.empty) if one.kind is one.VAR_KEYWORD else one
        for one in found.parameters.values()
        if one.name != "self"
    ]
    text = _OBJECT.sub(r"the global \1", _MODULE.sub("", str(found.replace(parameters=shown))))
    return name + _QUOTED.sub(r"\1", text)


def _text(thing: object) -> str:
    """Give a docstring as paragraphs: what is said of an argument or a field begins one."""
    return _ABOUT.sub("\n\n", inspect.getdoc(thing) or "")

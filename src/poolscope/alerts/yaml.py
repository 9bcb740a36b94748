"""Writes YAML: nested mappings and lists of strings, numbers and booleans, and nothing else.

The library needs no YAML reader, and a block of PromQL has to come out as a block that a person can read.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Tree = str | int | float | bool | Mapping[str, Any] | Sequence[Any]

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./ -]*[A-Za-z0-9_.]|[A-Za-z_]|[0-9]+(ms|[smhdwy])")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def dump(tree: Tree, head: str = "") -> str:
    """Write a document, after lines of comment."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return comment + "\n".join(_lines(tree)) + "\n"


def _scalar(value: Tree) -> str | None:
    """Give the one-line form, or None where there is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if "\n" in value:
            return None
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        if plain:
            return value
        single = '"' in value and "'" not in value and value.isprintable()
        return f"'{value}'" if single else json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return json.dumps(value)
    return None if value else ("{}" if isinstance(value, Mapping) else "[]")


def _block(text: str) -> Iterator[str]:
    yield from (f"  {line}".rstrip() for line in text.split("\n"))


def _lines(tree: Tree) -> Iterator[str]:
    """Give a tree's lines, the outermost not indented."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            one = _scalar(value)
            name = _scalar(key)
            if one is not None:
                yield f"{name}: {one}"
            elif isinstance(value, str):
                yield f"{name}: {'|' if value.endswith(chr(10)) else '|-'}"
                yield from _block(value.removesuffix("\n"))
            else:
                yield f"{name}:"
                yield from (f"  {line}" if line else line for line in _lines(value))
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for item in tree:
            one = _scalar(item)
            if one is not None:
                yield f"- {one}"
                continue
            first, *rest = _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" if line else line for line in rest)

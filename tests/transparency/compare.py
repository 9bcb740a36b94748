"""Compares two runs: every observable is equal, but for what `PERMITTED` names (docs/transparency.md).

A permit is a rule on one observable: where it stands, and what the wrapped value may then be.
"""

import re
from dataclasses import dataclass
from typing import Any, Protocol


class Rule(Protocol):
    """Whether `wrapped` may stand where the bare transport shows `bare`."""

    def __call__(self, bare: Any, wrapped: Any) -> bool: ...


@dataclass(frozen=True)
class Permit:
    """One difference that users may see."""

    text: str  # as docs/transparency.md has it
    place: str  # a regular expression on the whole path of the observable
    rule: Rule


def _is_ours(bare: str, wrapped: str) -> bool:
    return bare != wrapped and wrapped.startswith(("poolscope.", "transparency."))


def _is_one_note(bare: list[str], wrapped: list[str]) -> bool:
    return bare == [] and len(wrapped) == 1


def _has_more_frames(bare: list[str], wrapped: list[str]) -> bool:
    return bare == [frame for frame in wrapped if not frame.startswith("poolscope: ")]


PERMITTED = {
    "note": Permit(
        "A note (`__notes__`) on `PoolTimeout`. Its class, its arguments and its text are the same.",
        r".* raised(\.cause|\.context)*\.notes",
        _is_one_note,
    ),
    "transport": Permit(
        "The class of `client._transport`: ours, a subclass of httpx's (or httpx2's) `AsyncBaseTransport` or"
        " `BaseTransport`.",
        r"transport \d+\.class",
        _is_ours,
    ),
    "response_stream": Permit(
        "The class of `response.stream` where a transport is called without a client: ours, and still an instance"
        " of httpx's (or httpx2's) `AsyncByteStream` or `SyncByteStream`.",
        r".*\.stream_class",
        _is_ours,
    ),
    "frames": Permit(
        "Frames of ours in tracebacks, between those of the bare transport, which are all there in their order.",
        r".*\.frames",
        _has_more_frames,
    ),
}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """A nested dict as one level: each leaf under its path; lists of dicts count as dicts."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not value:
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        leaves |= flat(item, f"{path}.{key}" if path else str(key))
    return leaves


_ABSENT = "(not there)"


def permit_for(path: str, bare: Any, wrapped: Any, bare_leaves: dict[str, Any]) -> str | None:
    """The name of the permit that covers this difference."""
    for name, permit in PERMITTED.items():
        if re.fullmatch(permit.place, path) and permit.rule(bare, wrapped):
            holder = bare_leaves.get(path.removesuffix("notes") + "class", "")
            if name != "note" or holder.endswith(".PoolTimeout"):
                return name
    return None


def differences(bare: dict, wrapped: dict, used: set[str] | None = None) -> list[str]:
    """What is not equal and not permitted; `used` collects the names of permits that were needed."""
    left, right = flat(bare), flat(wrapped)
    found = []
    for path in [*left, *(path for path in right if path not in left)]:
        one, other = left.get(path, _ABSENT), right.get(path, _ABSENT)
        if one == other:
            continue
        permit = None if _ABSENT in (one, other) else permit_for(path, one, other, left)
        if permit is None:
            found.append(f"{path}: bare {one!r}, wrapped {other!r}")
        elif used is not None:
            used.add(permit)
    return found

"""Draws a transition table: states in a row, steps forward as arcs above it, steps back below it, events on the arcs."""

from collections.abc import Collection
from html import escape

_STEP, _WIDTH, _HEIGHT, _RISE = 190, 112, 40, 40
_STYLE = (
    "text{font:13px sans-serif;text-anchor:middle;fill:#333;paint-order:stroke;stroke:#fff;stroke-width:4px}.title{font-weight:bold;text-anchor:start}"
    "rect+text{stroke:none}rect{fill:#f4f4f4;stroke:#777}.wait{fill:#fff0d0;stroke:#c80}.hold{fill:#dcecff;stroke:#36c}"
    "path{fill:none;stroke:#777}marker path{fill:#777}"
)
_ARROW = '<marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'


def draw(
    title: str, table: dict[tuple[str, str], str], waits: Collection[str] = (), holds: Collection[str] = ()
) -> str:
    """Give an SVG of a table. waits, holds: states to colour as time that is waited, and time that a slot is used."""
    states = list(dict.fromkeys([*(state for state, _ in table), *table.values()]))
    steps: dict[tuple[int, int], list[str]] = {}
    for (state, event), target in table.items():
        steps.setdefault((states.index(state), states.index(target)), []).append(event)
    above = max(end - start for start, end in steps)
    below = max(start - end for start, end in steps)
    top, width = _RISE * above + 60, _STEP * len(states)
    parts = ['<path style="fill:#fff;stroke:none" d="M0 0H2000V2000H0z"/>']
    parts += [f'<text class="title" x="12" y="22">{escape(title)}</text>']
    longest_first = sorted(steps.items(), key=lambda step: -abs(step[0][0] - step[0][1]))
    parts += [_arc(at, events, top) for at, events in longest_first]
    for place, state in enumerate(states):
        kind = "wait" if state in waits else "hold" if state in holds else "plain"
        x = _centre(place) - _WIDTH // 2
        parts.append(f'<rect class="{kind}" x="{x}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>')
        parts.append(f'<text x="{_centre(place)}" y="{top + 25}">{escape(state)}</text>')
    height = top + _HEIGHT + _RISE * max(below, 0) + 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    marker = f'<defs>{_ARROW}<path d="M0 0 8 4 0 8z"/></marker></defs>'
    return "\n".join([head, f"<style>{_STYLE}</style>", marker, *parts, "</svg>"]) + "\n"


def _centre(place: int) -> int:
    return _STEP * place + _STEP // 2


def _arc(at: tuple[int, int], events: list[str], top: int) -> str:
    """One arc, with its words. Of two arcs that meet at a state the longer lies around the shorter."""
    start, end = at
    side = 1 if end > start else -1  # forward above the row, back below it
    inset = side * (24 - 8 * (abs(end - start) - 1))
    x_from, x_to = _centre(start) + inset, _centre(end) - inset
    edge, rise = (top if side > 0 else top + _HEIGHT), _RISE * abs(end - start)
    bow = edge - side * rise * 4 // 3
    middle, line = (x_from + x_to) // 2, edge - side * rise + 5
    words = f'<text x="{middle}" y="{line}">{escape(", ".join(events))}</text>'
    return f'<path marker-end="url(#to)" d="M{x_from} {edge} C{x_from} {bow} {x_to} {bow} {x_to} {edge}"/>{words}'

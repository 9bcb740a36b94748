"""Writes the page of every event from its class."""

import dataclasses

from poolscope import events as e

_HEAD = f"""# Events

What a sink can ask for: `from poolscope.events import Acquired`. This page is made from the classes
(`python -m docs.source`).

Every event carries `pool` (its name), `address` and `port` (the origin as the metrics label it, empty where none
applies), and `at` (the second of the monotonic clock). There are {len(e.EVENTS)}:

"""


def page() -> str:
    """Give the page."""
    common = {field.name for field in dataclasses.fields(e.Event)}
    rows = ["| event | when | its own fields |", "|---|---|---|"]
    for event in e.EVENTS:
        own = [f"`{one.name}`" for one in dataclasses.fields(event) if one.name not in common]
        when = " ".join((event.__doc__ or "").split())
        rows.append(f"| `{event.__name__}` | {when} | {', '.join(own)} |")
    return _HEAD + "\n".join(rows) + "\n"

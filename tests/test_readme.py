"""The README's first screen is true: its program runs as printed, and its output is what the program's user sees."""

import asyncio
import sys

from documents import README, blocks, samples, shown_by_the_first_program


def test_the_first_program_gives_the_output_that_is_printed():
    """Six requests through two connections, each answered after 0.1 s: the repr and the metrics are the README's."""
    reprs, metrics = shown_by_the_first_program(sys.executable)
    printed, exposed = blocks(README, "text")
    assert reprs == printed.text.splitlines()
    seen = samples(metrics)
    assert [line for line in exposed.text.splitlines() if line not in seen] == []


def test_a_client_is_instrumented_in_place_as_printed():
    """The second program runs after the first one's imports."""
    names = {}
    for block in blocks(README, "python")[:2]:
        exec(block.text, names)
    assert "pool 'billing'" in repr(names["client"]._transport)
    asyncio.run(names["client"].aclose())

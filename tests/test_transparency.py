"""Law 1: a wrapped transport is a bare one, to whoever uses it. See docs/transparency.md for what may differ.

Each scenario runs bare and wrapped, and everything observed is compared: answers, exceptions with their
chains, the calls on the network in order, the pool's states, what the servers saw.
"""

import pytest

from transparency.colours import COLOURS, FLAVOURS
from transparency.compare import differences
from transparency.run import observed
from transparency.scenarios import SCENARIOS
from transparency.subjects import bare, with_sink, without_sinks

pytestmark = pytest.mark.usefixtures("quick_collections")

# Threads share httpcore's HTTP/2 connections badly: bare, too, one run in a hundred has a request that fails with
# LocalProtocolError or KeyError. Where that was not so, the wrapped transport has to show the same once.
TRIES = {("sync", "http2_together"): 5}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda flavour: flavour.name)
def test_wrapped_transport_shows_its_user_nothing_that_a_bare_one_does_not(flavour, colour, scenario):
    for last in range(TRIES.get((colour, scenario), 1))[::-1]:
        plain = observed(SCENARIOS[scenario], flavour, colour, bare)
        assert "scenario raised" not in plain
        found = differences(plain, observed(SCENARIOS[scenario], flavour, colour, with_sink))
        if not found or not last:
            break
    assert found == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_transport_without_sinks_is_as_transparent(scenario):
    runs = (observed(SCENARIOS[scenario], FLAVOURS[0], "asyncio", wrap) for wrap in (bare, without_sinks))
    assert differences(*runs) == []

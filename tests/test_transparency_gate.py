"""The transparency suite is worth something: planted faults are found, and its permits are the documented ones."""

import re
from pathlib import Path

import pytest

from test_transparency_steps import Stage, broken_at, stepped
from transparency.colours import FLAVOURS, drive
from transparency.compare import PERMITTED, differences
from transparency.planted import FAULTS, NO_FAULT, STEP_FAULTS
from transparency.run import observed
from transparency.scenarios import SCENARIOS
from transparency.subjects import bare, with_sink

# trio tells so of httpx's own generators, bare or wrapped
pytestmark = pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")

HTTPX = FLAVOURS[0]
DOC = Path(__file__).parent.parent / "docs" / "transparency.md"


def found(scenario, colour, wrap):
    plain, wrapped = (observed(SCENARIOS[scenario], HTTPX, colour, each) for each in (bare, wrap))
    return differences(plain, wrapped)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("colour", ["sync", "asyncio"])
def test_planted_fault_is_found_where_it_shows(colour, name):
    fault = FAULTS[name]
    places = [difference.partition(": bare ")[0] for difference in found(fault.scenario, colour, fault)]
    assert any(re.fullmatch(fault.place, place) for place in places), places


@pytest.mark.parametrize("scenario", sorted({fault.scenario for fault in FAULTS.values()}))
@pytest.mark.parametrize("colour", ["sync", "asyncio"])
def test_wrapper_without_fault_shows_no_difference(colour, scenario):
    assert found(scenario, colour, NO_FAULT) == []


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_one_suspension_more_is_found(loop):
    fault = STEP_FAULTS["suspends once more"]
    plain, broken = (drive(loop, stepped, Stage(HTTPX, loop, wrap, "plain")) for wrap in (bare, fault))
    assert broken["first suspends"] == plain["first suspends"] + 1
    assert any(re.match(fault.place, difference) for difference in differences(plain, broken))


def test_shielded_cancel_is_found():
    plain, broken = (
        drive("trio", lambda wrap=wrap: broken_at(Stage(HTTPX, "trio", wrap, "plain"), "trio", 1, warm=False))
        for wrap in (bare, STEP_FAULTS["shields from cancels"])
    )
    assert differences(plain, broken)


POOL_TIMEOUT = {"get raised": {"class": "httpx.PoolTimeout", "notes": [], "frames": ["send", "get"]}}
ANSWER = {"get": {"stream_class": "httpx.A", "extensions": {"network_stream": {"class": "httpcore.B"}}}}


@pytest.mark.parametrize(
    ("bare_record", "change", "permitted"),
    [
        (POOL_TIMEOUT, {"notes": ["full"]}, True),
        (POOL_TIMEOUT, {"notes": ["full", "really"]}, False),
        (POOL_TIMEOUT, {"frames": ["send", "poolscope: ours", "get"]}, True),
        (POOL_TIMEOUT, {"frames": ["get", "send"]}, False),
        (POOL_TIMEOUT, {"frames": ["send", "httpx: another", "get"]}, False),
        (POOL_TIMEOUT, {"frames": ["send"]}, False),
        (POOL_TIMEOUT, {"class": "poolscope.PoolTimeout"}, False),
        ({"get raised": {**POOL_TIMEOUT["get raised"], "class": "httpx.ReadTimeout"}}, {"notes": ["slow"]}, False),
        (ANSWER, {"stream_class": "poolscope.A"}, True),
        (ANSWER, {"stream_class": "elsewhere.A"}, False),
        (ANSWER, {"extensions": {"network_stream": {"class": "poolscope.B"}}}, False),
        (ANSWER, {"extensions": {"network_stream": {}}}, False),
        (ANSWER, {"more": 1}, False),
    ],
)
def test_permit_covers_what_it_names_and_nothing_beside_it(bare_record, change, permitted):
    [(name, observables)] = bare_record.items()
    assert (differences(bare_record, {name: {**observables, **change}}) == []) is permitted
    assert differences(bare_record, bare_record) == []


def test_document_lists_exactly_the_permitted_differences():
    listed = re.findall(r"^- (.*(?:\n  .*)*)", DOC.read_text(), re.MULTILINE)
    assert [" ".join(item.split()) for item in listed] == [permit.text for permit in PERMITTED.values()]


def test_every_permit_is_needed():
    used: set[str] = set()
    for scenario, colour in (("called_without_client", "sync"), ("upgrade", "asyncio"), ("pool_timeout", "asyncio")):
        plain, wrapped = (observed(SCENARIOS[scenario], HTTPX, colour, each) for each in (bare, with_sink))
        assert differences(plain, wrapped, used) == []
    assert used == set(PERMITTED)

"""Each finding on real sockets: named where a program has the fault, and nothing at all where it is repaired."""

import pytest

from findings import ignored_faulty, sizes, uses  # noqa: F401 - they enter their programs
from findings.stage import PROGRAMS, alone, run  # noqa: F401 - a fixture
from poolscope.diagnosis._findings import RULES

INSIDE = {rule.code for rule in RULES if rule.inside}
CODES = [rule.code for rule in RULES]

# What faulty programs drop is what they are made to drop.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_every_finding_has_a_program():
    assert sorted(PROGRAMS) == sorted(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_fault_is_named(code):
    """By the process itself, and by doctor through both exporters where metrics can show it; and nothing else is."""
    inside, outside = run(PROGRAMS[code], repaired=False)
    assert set(inside) == {code}
    for exporter, found in outside.items():
        assert (exporter, set(found)) == (exporter, set() if code in INSIDE else {code})
    for finding in inside.values():
        assert not set("{}") & set(finding.says + finding.fix)


@pytest.mark.parametrize("code", CODES)
def test_its_repaired_twin_has_no_finding(code):
    inside, outside = run(PROGRAMS[code], repaired=True)
    assert inside == {}
    assert outside == {"native": {}, "OpenTelemetry": {}}

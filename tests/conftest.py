"""`tests/` is on the path (pytest puts it there): tests import `harness`, `transparency`."""

import gc
import signal

import pytest

from driving import Kit
from poolscope import _names, _origins

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a job in the background: the programs of the tests inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = (
    *("rules_live", "demo", "findings", "transparency", "soak", "property_pools", "docs", "rules", "package", "faults"),
    *("transparency_gate", "dashboards_data"),
)
"""The files that take longest, the longest first. A file is one process's, so the last one keeps all waiting."""


def pytest_collection_modifyitems(items):
    """The longest files first; the others in their order."""
    rank = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@pytest.fixture
def kit(request):
    """A flavour and a colour, from `driving.kits`."""
    return Kit(*request.param)


@pytest.fixture(scope="module")
def quick_collections():
    """For tests that collect garbage again and again: what was there before them is not looked at each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _fresh_caps():
    """The labels that a process may give are counted from zero in each test."""
    for given in (_names._callers, _names._names, _origins._granted):
        given.clear()

"""`tests/` is on the path (pytest puts it there): tests import `harness`, `transparency`."""

import pytest

from driving import Kit
from poolscope import _names, _origins


@pytest.fixture
def kit(request):
    """A flavour and a colour, from `driving.kits`."""
    return Kit(*request.param)


@pytest.fixture(autouse=True)
def _fresh_caps():
    """The labels that a process may give are counted from zero in each test."""
    for given in (_names._callers, _names._names, _origins._granted):
        given.clear()

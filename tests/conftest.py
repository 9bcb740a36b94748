"""`tests/` is on the path (pytest puts it there): tests import `harness`, `transparency`."""

import pytest
from driving import Kit


@pytest.fixture
def kit(request):
    """A flavour and a colour, from `driving.kits`."""
    return Kit(*request.param)

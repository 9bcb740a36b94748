"""Half a minute of the soak (`make soak` has more): what it judges is in soak/soak.py."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak") / "soak.py"


@pytest.mark.timeout(240)
def test_half_a_minute_of_chaos_breaks_no_law():
    """Threads and tasks that cancel, time out and forget, servers that break every rule, scrapers: all adds up."""
    run = subprocess.run(
        [sys.executable, SOAK, "--minutes", "0.4"], capture_output=True, text=True, timeout=200, check=False
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    assert "nothing is wrong" in run.stdout

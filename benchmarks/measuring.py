"""Counts instructions per request, under valgrind's callgrind: the figure that a noisy machine does not change.

One figure is the difference of a long and a short run of the same program, divided by the requests between them, so
that start-up, imports and the first connections fall out. It is repeated until two figures agree.
"""

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

SHORT, LONG = 100, 300
AGREE_WITHIN = 0.005
TRIES = 8


def instructions_per_request(program: Path, *arguments: str) -> float:
    """Run `program ARGUMENTS REQUESTS` twice and more; give the lower of the first two figures that agree.

    Raises SystemExit with one line where valgrind is missing, RuntimeError where no two figures agree.
    """
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: apt-get install valgrind")
    figures: list[float] = []
    for _ in range(TRIES):
        figures.append(
            (_count(program, *arguments, str(LONG)) - _count(program, *arguments, str(SHORT))) / (LONG - SHORT)
        )
        for low, next_ in pairwise(sorted(figures)):
            if next_ / low - 1 < AGREE_WITHIN:
                return low
    raise RuntimeError(f"no two of {figures} agree within {AGREE_WITHIN:.1%}: the machine is too busy")


def _count(program: Path, *arguments: str) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, str(program)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, check=False)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or found is None:
        raise RuntimeError(f"{program.name} {' '.join(arguments)} failed:\n{run.stderr}")
    return int(found.group(1))

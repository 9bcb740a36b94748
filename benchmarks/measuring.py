"""Counts instructions per request, under valgrind's callgrind: the figure that a noisy machine does not change.

1. A program calls `mark` whenever a fixed number of requests is over. callgrind writes its count at each mark, so what
   lies between two marks is the difference of two run lengths; start-up, imports and the first requests fall out.
2. A mark finds the workers at different points of their requests. A figure is the mean of as many stretches as it takes
   until they stand as they did, and counts when the next one agrees; else there is a longer run.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from math import gcd
from pathlib import Path

PROGRAM = Path(__file__).with_name("one_run.py")
AGREE_WITHIN = 0.001
TRIES = 5
_MARK = "getppid"
_TOTALS = re.compile(r"^totals: (\d+)$", re.MULTILINE)
_ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": ""}


def mark() -> None:
    """Tell callgrind that a fixed number of requests is over: a call into libc that nothing else here makes."""
    os.getppid()


def figures(counts: list[int], turn: int) -> list[float]:
    """Give the mean of each `turn` stretches that follow each other."""
    return [sum(counts[at : at + turn]) / turn for at in range(len(counts) - turn + 1)]


def agreed(found: Iterable[float]) -> float | None:
    """Give the lowest figure that another one agrees with."""
    for low, next_ in pairwise(sorted(found)):
        if next_ / low - 1 < AGREE_WITHIN:
            return low
    return None


def instructions(requests: int, connections: int, *arguments: str) -> float:
    """Count what a request costs in one_run.py with these arguments, marked each so many requests.

    connections: how many requests are on their way at once.
    Raises SystemExit with one line where valgrind is missing, RuntimeError where no two figures agree.
    """
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: apt-get install valgrind")
    turn = connections // gcd(connections, requests)
    found: list[float] = []
    for tries in range(1, TRIES + 1):
        counts = _counts(tries * turn + 1, *arguments, str(requests))
        found = [figure / requests for figure in figures(counts, turn)]
        figure = agreed(found)
        if figure is not None:
            return figure
    raise RuntimeError(f"{' '.join(arguments)}: no two of {found} agree within {AGREE_WITHIN:.1%}")


def _counts(stretches: int, *arguments: str) -> list[int]:
    """Give the instructions between each two marks."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        callgrind = ["valgrind", "--tool=callgrind", f"--dump-before={_MARK}", f"--callgrind-out-file={out}"]
        _run([*callgrind, sys.executable, str(PROGRAM), *arguments, str(stretches)])
        parts = sorted(Path(folder).glob("counts.*"), key=lambda part: int(part.suffix[1:]))
        counts = [int(_TOTALS.search(part.read_text(errors="replace"))[1]) for part in parts]
    if len(counts) != stretches + 1:  # what comes before the first mark is start-up and warm-up
        raise RuntimeError(f"{' '.join(arguments)}: {len(counts) - 1} stretches were counted, not {stretches}")
    return counts[1:]


def microseconds(requests: int, *arguments: str, stretches: int) -> tuple[float, float]:
    """Give what a request takes by the clock and of the processor, without valgrind: the best stretch of a run."""
    output = _run([sys.executable, str(PROGRAM), *arguments, str(requests), str(stretches)])
    took = [[float(seconds) for seconds in line.split()] for line in output.splitlines()]
    return tuple(min(each) / requests * 1e6 for each in zip(*took, strict=True))


def _run(command: list[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")
    return run.stdout

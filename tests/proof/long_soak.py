"""Runs the soak for some minutes and writes soak.json beside this file: what it said, and the sources' hash.

`python tests/proof/long_soak.py --minutes 10`. Exit status 1 where something was wrong.
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from proof.matrix import ROOT, sources

RESULT = Path(__file__).with_name("soak.json")


def wrong(result: dict, now: str) -> list[str]:
    """Say what is amiss with a kept soak, where the sources have this hash."""
    said = result["said"]
    stale = [] if result["sources"] == now else ["the soak ran on older sources"]
    found = [line for line in said if line.startswith("WRONG")]
    whole = found or said[-1:] == ["nothing is wrong"]
    return stale + found + ([] if whole else ["the soak did not come to its end"])


def main(*arguments: str) -> int:
    """Run it, say what it says, and keep that."""
    before = sources()
    command = [sys.executable, ROOT / "tests/soak/soak.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    if done.stdout:
        RESULT.write_text(json.dumps({"sources": before, "said": done.stdout.splitlines()}, indent=2) + "\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Breaks the core one token at a time and asks the tests whether they notice.

`python tests/proof/mutants.py [FILE...]` runs the mutants of these files (`_slots.py`, `sinks/_book.py`), or of all
that have changed since they were last run, in a copy under .cache/mutants. It writes mutants.json beside this file: for
each file its hash, how many mutants there are, how many the tests kill (by the clock: they hang), which survive.
equivalent.json says, by hand, why a survivor does what the original does: by its name, or by a pattern for many. Exit
status 1 and a line for each survivor without such a reason.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from proof.page import fill

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".cache/mutants"
COPY = PLACE / "copy"
PAGE = ROOT / "CONTRIBUTING.md"
RESULT = Path(__file__).with_name("mutants.json")
REASONS = Path(__file__).with_name("equivalent.json")
NO_LOGIC = ("__init__.py", "_contract.py", "_diagnose.py", "sinks/__init__.py")
"""Names, constants and records; what asks the diagnosis, which is no part of the core."""
EXACT = (*sorted(path.name for path in ROOT.glob("tests/test_core_*.py")), "test_state_machine.py")
"""The tests that ask for exact numbers, without a socket: thousands of mutants a minute."""
PATIENCE_SECONDS = 4
"""How much of the tests' time a mutant is given."""


def core() -> list[str]:
    """Give the files whose mutants are asked for."""
    home = ROOT / "src/poolscope"
    files = [*home.glob("_*.py"), *home.glob("sinks/*.py")]
    return sorted({str(path.relative_to(home)) for path in files} - set(NO_LOGIC))


def hash_of(file: str, root: Path = ROOT) -> str:
    return hashlib.sha256((root / "src/poolscope" / file).read_bytes()).hexdigest()


def load(path: Path) -> dict:
    return json.loads(path.read_text()) if path.exists() else {}


def results() -> dict:
    """Give what was written down: the results by file."""
    return {"files": {}, **load(RESULT)}


def explained(file: str, name: str, reasons: dict) -> bool:
    """Say whether somebody gave a reason why this mutant is none."""
    return name in reasons.get(file, {}) or any(re.search(pattern, name) for pattern in reasons.get("everywhere", {}))


def wrong(known: dict, reasons: dict, hashes: dict[str, str]) -> list[str]:
    """Say what does not hold. hashes: those of the core's files now."""
    files, found = known["files"], []
    for file, digest in hashes.items():
        if file not in files:
            found.append(f"{file}: its mutants were never run")
        elif files[file]["sha256"] != digest:
            found.append(f"{file}: changed since its mutants were run")
    for file, result in files.items():
        if result["mutants"] != result["killed"] + len(result["survivors"]):
            found.append(f"{file}: killed and survivors are not all of its mutants")
        left = [name for name in result["survivors"] if not explained(file, name, reasons)]
        found += [f"{file}: survives without a reason: {name}" for name in left]
    for file in reasons.keys() & files.keys():
        gone = reasons[file].keys() - set(files[file]["survivors"])
        found += [f"{file}: a reason for what does not survive: {name}" for name in gone]
    return found


def try_all(arena, file: str) -> dict:
    """Run the mutants of one file."""
    from proof.mutating import mutants

    path = COPY / "src/poolscope" / file
    module = "poolscope." + file.removesuffix(".py").replace("/", ".")
    every = mutants(path)
    verdicts = {t.mutant.name: t.verdict for t in arena.judge(path, module, every, PATIENCE_SECONDS)}
    counts = Counter(verdicts.values())
    assert len(verdicts) == len(every)
    return {
        "sha256": hash_of(file, COPY),
        "mutants": len(every),
        "killed": counts["killed"] + counts["timed out"],
        "timed_out": counts["timed out"],
        "survivors": [m.name for m in every if verdicts[m.name] == "survived"],
    }


def main(*files: str) -> int:
    """Run what was asked for, or what has changed."""
    known = results()["files"]
    asked = files or [file for file in core() if known.get(file, {}).get("sha256") != hash_of(file)]
    unknown = [file for file in asked if file not in core()]
    if unknown:
        sys.stderr.write(f"FILE: got {unknown[0]!r}, takes one of {', '.join(core())}\n")
        return 2
    if asked:
        ask(asked)
    found = wrong(results(), load(REASONS), {file: hash_of(file) for file in asked})
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return int(bool(found))


def summary(known: dict) -> str:
    """Say in a sentence or two what was found."""
    files = known["files"].values()
    mutants, killed = (sum(one[what] for one in files) for what in ("mutants", "killed"))
    same = sum(len(one["survivors"]) for one in files)
    text = f"{killed:,} of {mutants:,} mutants of {len(files)} files are killed; {same:,} do what the original does."
    return textwrap.fill(text, 120) + "\n"


def keep(file: str, result: dict) -> None:
    """Write a file's result down."""
    known = results()
    known["files"] = {name: one for name, one in sorted({**known["files"], file: result}.items()) if name in core()}
    RESULT.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    fill(PAGE, "proof", summary(known))


def ask(files) -> None:
    """Copy the sources and the tests, collect the tests there, and run the mutants of these files."""
    shutil.rmtree(COPY, ignore_errors=True)
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, COPY / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", COPY)
    os.chdir(COPY)
    sys.path[:0] = [str(COPY / "src"), str(COPY / "tests")]
    site = f"{COPY / 'src'}:{COPY / 'tests/proof/site'}"
    os.environ.update(MUTANTS_PLACE=str(PLACE), PYTHONPATH=site, TEST_FLAVOURS="httpx", PYTHONDONTWRITEBYTECODE="1")
    import pytest

    from proof.arena import Arena

    def work(arena) -> None:
        arena.learn(PLACE / "known")
        sys.stderr.write(f"{len(arena.known)} tests, {sum(k.seconds for k in arena.known.values()):.0f} s\n")
        for file in files:
            started = time.monotonic()
            result = try_all(arena, file)
            keep(file, result)
            took = f"{result['timed_out']} by the clock, {time.monotonic() - started:.0f} s"
            sys.stdout.write(f"{file}: {result['killed']} of {result['mutants']} killed, {took}\n")
            sys.stdout.flush()

    options = ("-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist")
    pytest.main([*options, *(f"tests/{name}" for name in EXACT)], plugins=[Arena(COPY, work)])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

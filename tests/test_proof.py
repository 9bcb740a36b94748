"""The result files of `make proof` stand for the sources as they are: a core file that has changed fails here."""

import copy
import json

import pytest

from proof import long_soak, matrix
from proof.mutants import PAGE, REASONS, RESULT, core, hash_of, summary, wrong


def committed():
    return json.loads(RESULT.read_text()), json.loads(REASONS.read_text()), {file: hash_of(file) for file in core()}


def test_the_mutants_were_run_on_the_core_as_it_is():
    """Every core file by its hash, every survivor with its reason."""
    found = wrong(*committed())
    assert found == [], "run `make proof`"


def test_the_page_says_what_was_run():
    """The counts of the result file."""
    known, _, _ = committed()
    assert summary(known) in PAGE.read_text()


FAULTS = {
    "changed since": lambda known, reasons, hashes: hashes.update({first(known): "0" * 64}),
    "never run": lambda known, reasons, hashes: hashes.update({"_new.py": "0" * 64}),
    "without a reason": lambda known, reasons, hashes: (
        known["files"][first(known)]["survivors"].append("f: a -> b"),
        known["files"][first(known)].update(mutants=known["files"][first(known)]["mutants"] + 1),
    ),
    "not all of its mutants": lambda known, reasons, hashes: known["files"][first(known)].update(killed=0),
    "does not survive": lambda known, reasons, hashes: reasons.setdefault(first(known), {}).update(
        {"f: a -> b": "why"}
    ),
}


def first(known):
    return next(iter(known["files"]))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_gate_trips_on_a_planted_fault(fault):
    """Each fault is told in a line of its own, and no other is."""
    facts = copy.deepcopy(committed())
    before = wrong(*facts)
    FAULTS[fault](*facts)
    told = [line for line in wrong(*facts) if line not in before]
    assert len(told) == 1
    assert fault in told[0]


def test_the_matrix_was_run_on_the_sources_as_they_are():
    """Every combination, and all passed."""
    assert matrix.wrong(json.loads(matrix.RESULT.read_text()), matrix.sources()) == [], "run `make matrix`"


@pytest.mark.parametrize(
    ("told", "plant"),
    [
        ("run on older sources", lambda results: results["httpx2 newest"].update(sources="0" * 64)),
        ("never run", lambda results: results.pop("httpx2 newest")),
        ("1 failed, 2 passed", lambda results: results["httpx2 newest"].update(said="1 failed, 2 passed")),
        ("1 passed, 1 error", lambda results: results["httpx2 newest"].update(said="1 passed, 1 error")),
    ],
)
def test_the_matrix_gate_trips_on_a_planted_fault(told, plant):
    """And says which combination it is."""
    results = {one.name: {"said": "3 passed, 1 skipped", "sources": "1" * 64} for one in matrix.combinations()}
    assert matrix.wrong(results, "1" * 64) == []
    plant(results)
    assert matrix.wrong(results, "1" * 64) == [f"httpx2 newest: {told}"]


def test_the_long_soak_was_run_on_the_sources_as_they_are():
    """And found nothing."""
    assert long_soak.wrong(json.loads(long_soak.RESULT.read_text()), matrix.sources()) == [], "run `make proof`"


def test_the_soaks_gate_trips_on_a_planted_fault():
    """Older sources, and whatever it found, in a line each."""
    kept = {
        "sources": "0" * 64,
        "said": ["9 requests", "WRONG: memory grew", "WRONG: a log line", "2 things are wrong"],
    }
    for died in ([], ["9 requests"]):
        assert long_soak.wrong({"sources": "1" * 64, "said": died}, "1" * 64) == ["the soak did not come to its end"]
    assert long_soak.wrong({"sources": "1" * 64, "said": ["nothing is wrong"]}, "1" * 64) == []
    assert long_soak.wrong(kept, "1" * 64) == [
        "the soak ran on older sources",
        "WRONG: memory grew",
        "WRONG: a log line",
    ]

"""What the benchmarks' table says: a ratio is of instructions, or is called one of time."""

import json
import sys

import pytest

from documents import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import report

RESULTS = json.loads((ROOT / "benchmarks/results.json").read_text())
COUNTED, TIMED = {"instructions": 300.0, "processor_microseconds": 30.0}, {"processor_microseconds": 20.0}
OURS, BARE = "poolscope, no sink", "bare"


@pytest.mark.parametrize(
    ("rows", "ratios"),
    [
        ({BARE: {**TIMED, "instructions": 200.0}, OURS: COUNTED}, {BARE: 1.0, OURS: 1.5}),
        ({BARE: TIMED, OURS: COUNTED}, {}),
        ({BARE: {**TIMED, "instructions": 200.0}, OURS: TIMED}, {BARE: 1.0}),
        ({BARE: TIMED, OURS: {"processor_microseconds": 30.0}}, {BARE: 1.0, OURS: 1.5}),
    ],
    ids=["both counted", "bare not counted", "ours not counted", "a case by the clock alone"],
)
def test_no_ratio_mixes_a_count_with_a_time(rows, ratios):
    """Where one row of a case is counted, those that are not have no ratio."""
    assert report.ratios(rows) == ratios


def test_a_ratio_of_times_is_called_one():
    """In the table of a case that is taken by the clock alone."""
    cases = {"queue-http11-async": {BARE: TIMED, OURS: {"processor_microseconds": 30.0}}}
    lines = report.table({**RESULTS, "cases": cases}).splitlines()
    assert f"| {OURS} |  | 1.500 of the time | 1.01 |  | 30 |" in lines


def test_a_table_of_older_sources_says_so():
    """In its first line."""
    said = "The sources have changed since this was counted."
    assert report.table({**RESULTS, "sources": "0" * 64}).startswith(said)
    assert said not in report.table({**RESULTS, "sources": report.sources()})


def test_the_page_shows_what_was_measured():
    """The table is the one that the results make, and says whether it is of the sources as they are."""
    assert report.table(RESULTS) in report.PAGE.read_text()

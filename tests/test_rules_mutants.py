"""The committed result of breaking the rules, token by token, and a sample of it run again.

All of them: `python tests/alerting/mutants.py`, which takes minutes.
"""

import json

import pytest

from alerting.mutants import RESULT, SHARE, killer, mutants, sources
from alerting.survivors import REASONS, equivalence
from poolscope.alerts.rules import rules

DONE = json.loads(RESULT.read_text())
SURVIVORS = {(row["alert"], row["mutant"]) for row in DONE["survivors"]}
SAMPLE = 3


def test_the_result_stands_for_these_rules_and_histories():
    assert DONE["sources"] == sources(), "run `python tests/alerting/mutants.py` again"


def test_enough_are_killed():
    assert DONE["killed"] + len(SURVIVORS) == DONE["mutants"]
    assert DONE["killed"] / DONE["mutants"] >= SHARE


def test_for_each_survivor_it_is_shown_why_it_is_no_fault():
    assert [row for row in SURVIVORS if not equivalence(*row)] == []
    assert set(REASONS) == SURVIVORS


def sample():
    every = [mutant for rule in rules()[3:] for mutant in mutants(rule)]
    alive = [mutant for mutant in every if (mutant.rule.name, mutant.what) not in SURVIVORS]
    return alive[:: len(alive) // SAMPLE][:SAMPLE]


@pytest.mark.parametrize("mutant", sample(), ids=lambda mutant: f"{mutant.rule.name}: {mutant.what}")
def test_a_sample_of_the_killed_is_killed_again(mutant):
    assert killer(mutant)

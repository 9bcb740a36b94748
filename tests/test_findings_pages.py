"""Every finding has a page, every page a finding; and they agree on what it is. (tests/test_docs.py runs the pages.)"""

import re
from pathlib import Path

import pytest

from poolscope.alerts.links import Links
from poolscope.diagnosis._findings import RULES

ROOT = Path(__file__).parents[1]
TABLE = "README"
PAGES = {path.stem: path.read_text() for path in (ROOT / "docs/findings").glob("*.md")}
HEADS = ["What it looks like", "Why it happens", "Fix", "How to see that it is fixed", "When it is not named"]


def test_one_page_a_finding():
    assert sorted(PAGES.keys() - {TABLE}) == sorted(rule.code for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_page_is_whole(rule):
    """Found by the finding's link; with its severity, and what doctor prints of a real run."""
    page = PAGES[rule.code]
    assert (ROOT / Links().finding(rule.code)).read_text() == page
    assert page.startswith(f"# {rule.code}\n\nSeverity: {rule.severity}. ")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == HEADS
    assert f"\n> **{rule.severity} {rule.code}: pool 'shop'**: " in page


def test_the_table_of_the_pages_is_the_table_of_the_rules():
    rows = re.findall(r"^\| (\w+) \| \[([\w-]+)\]\(([\w-]+)\.md\) \| (yes|no) \|$", PAGES[TABLE], re.MULTILINE)
    assert rows == [(rule.severity, rule.code, rule.code, "no" if rule.inside else "yes") for rule in RULES]


def test_links_between_pages_lead_to_pages():
    links = {link for page in PAGES.values() for link in re.findall(r"\]\(([\w-]+)\.md\)", page)}
    assert links <= PAGES.keys()

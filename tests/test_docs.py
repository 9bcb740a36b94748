"""Every code block of every page does what the page says: run as its reader would run it, or read by its own parser."""

import json
import subprocess
import tomllib

import promql_parser
import pytest
import yaml

from documents import ROOT, blocks
from pages import BIN, Page

SHOWN = {"top.md": "a live table, which tests/test_top.py draws"}
"""Pages whose terminal is not run here, and why."""
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"])
RUN = [
    page for page in PAGES if page.name not in SHOWN and any(b.language in ("python", "console") for b in blocks(page))
]
READ = {"yaml": yaml.safe_load, "json": json.loads, "toml": tomllib.loads, "promql": promql_parser.parse}
DONE_ELSEWHERE = {"sh": "tests/test_habits.py", "{toctree}": "make docs", "{include}": "make docs"}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page, tmp_path):
    """Its programs run, its commands print what stands below them."""
    assert BIN.exists(), "run `make .venv-docs/.done`: it brings what the pages use"
    with Page(page, tmp_path) as done:
        done.do()
    assert not done.wrong, "\n\n".join(done.wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_is_left_out(page):
    """Each is run, or its parser takes it, or it is the output of another, or its page is shown elsewhere."""
    for block in blocks(page):
        if block.language in READ:
            READ[block.language](block.text)
        elif page.name not in SHOWN:
            assert block.language in {"python", "console", *DONE_ELSEWHERE} or block.info == "text output", block.id


PLANTED = """
```python
print("one")
```
```text output
two
```
```python saying.py
print("three")
```
```console
$ python saying.py
four
$ pip install left-pad
$ false
```
"""


def test_a_page_that_says_what_is_not_so_is_seen(tmp_path):
    """Planted: an output, a command's output, a package that nothing here installs, a command that fails."""
    page = tmp_path / "planted.md"
    page.write_text(PLANTED)
    with Page(page, tmp_path) as done:
        done.do()
    assert len(done.wrong) == 4


def site(docs, out):
    """Build as `make docs` does; give its exit status and what it complained of."""
    strict = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    command = [BIN / "python", "-m", "sphinx", *strict, "--builder", "dummy", docs, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stderr


@pytest.mark.timeout(120)
def test_the_site_builds_without_a_warning(tmp_path):
    """Every link leads somewhere, every page is in the contents."""
    assert site(ROOT / "docs", tmp_path) == (0, "")


def test_a_link_that_leads_nowhere_is_seen(tmp_path):
    """Planted, with a page that no contents name."""
    (tmp_path / "conf.py").write_text((ROOT / "docs/conf.py").read_text())
    (tmp_path / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    (tmp_path / "other.md").write_text("# Other\n")
    status, complaints = site(tmp_path, tmp_path / "out")
    assert status != 0
    assert "nowhere.md" in complaints
    assert "other.md" in complaints

"""Every code block of every page does what the page says: run as its reader would run it, or read by its own parser."""

import json
import subprocess
import tomllib
import zipfile

import promql_parser
import pytest
import yaml

from documents import ROOT, blocks
from installed import build
from pages import BIN, Page

DOCS = ROOT / "docs"
SHOWN = {"top.md": "a live table, which tests/test_top.py draws"}
"""Pages whose terminal is another test's, and whose. Their Python runs here as everybody's does."""
pytestmark = pytest.mark.timeout(240)  # environments are made here, and checkers begin cold
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "CONTRIBUTING.md"])


def shown_elsewhere(page):
    return page.name in SHOWN


def runs(page):
    return any(b.language == "python" or (b.language == "console" and not shown_elsewhere(page)) for b in blocks(page))


RUN = [page for page in PAGES if runs(page)]
READ = {"yaml": yaml.safe_load, "json": json.loads, "toml": tomllib.loads, "promql": promql_parser.parse}
DONE_ELSEWHERE = {"sh": "tests/test_habits.py", "{toctree}": "make docs", "{include}": "make docs"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """What the built wheel puts into an environment: pages are done with that, not with the source."""
    assert BIN.exists(), "run `make .venv-docs/.done`: it brings what the pages use"
    _, wheel = build(ROOT, tmp_path_factory.mktemp("dist"))
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.mark.timeout(120)
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page, tmp_path, site):
    """Its programs run, its commands print what stands below them."""
    with Page(page, tmp_path, site) as done:
        done.do(terminal=not shown_elsewhere(page))
    assert not done.wrong, "\n\n".join(done.wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_is_left_out(page):
    """Each is run, or its parser takes it, or it is the output of another, or its page is shown elsewhere."""
    for block in blocks(page):
        if block.language in READ:
            READ[block.language](block.text)
        else:
            run = block.language in {"python", "console", *DONE_ELSEWHERE} or block.info == "text output"
            assert run or (shown_elsewhere(page) and block.language == "text"), block.id


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
$ python -c "import poolscope; print(poolscope.__file__)"
src/poolscope/__init__.py
```
"""


def test_a_page_that_says_what_is_not_so_is_seen(tmp_path, site):
    """Planted: an output, a command's output, a package that nothing here installs, a command that fails; and the
    source, which is not what pages are done with.
    """
    page = tmp_path / "planted.md"
    page.write_text(PLANTED)
    with Page(page, tmp_path, site) as done:
        done.do(terminal=True)
    assert len(done.wrong) == 5
    assert str(site) in done.wrong[3]


def built(docs, out):
    """Build as `make docs` does; give its exit status and what it complained of."""
    strict = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
    command = [BIN / "python", "-m", "sphinx", *strict, "--builder", "dummy", docs, out]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stderr


@pytest.mark.timeout(120)
def test_the_site_builds_without_a_warning(tmp_path):
    """Every link leads somewhere, every page is in the contents."""
    assert built(DOCS, tmp_path) == (0, "")


def test_a_link_that_leads_nowhere_is_seen(tmp_path):
    """Planted, with a page that no contents name."""
    (tmp_path / "conf.py").write_text((DOCS / "conf.py").read_text())
    (tmp_path / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    (tmp_path / "other.md").write_text("# Other\n")
    status, complaints = built(tmp_path, tmp_path / "out")
    assert status != 0
    assert "nowhere.md" in complaints
    assert "other.md" in complaints

"""The files that say how the project is worked on are true: what they name exists, and what they demand is kept."""

import re
import tomllib

import yaml

from documents import ROOT, blocks

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = dict(re.findall(r"^([a-z]+):[^#\n]*(?:## (.*))?$", MAKEFILE, re.MULTILINE))
HOMES = (ROOT, ROOT / "src/poolscope")
RUFF = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]


def test_every_target_has_a_line_of_help():
    """Those that a developer is promised are there."""
    assert {"setup", "fix", "check", "test", "demo", "bench", "proof", "docs", "build"} <= TARGETS.keys()
    assert [name for name, line in TARGETS.items() if not 10 < len(line) <= 100] == []


def test_continuous_integration_and_commits_run_the_same_targets():
    """Every target that the workflow names is one; the hook and .ci/run call make."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    job = workflow["jobs"]["make"]
    assert set(job["strategy"]["matrix"]["target"]) <= TARGETS.keys()
    assert job["steps"][-1]["run"] == "make ${{ matrix.target }}"
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == ["make check"]
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "make test"


def test_contributing_is_a_page_and_names_what_exists():
    """Every file, make target and name of the code in it."""
    page = ROOT / "CONTRIBUTING.md"
    text = page.read_text()
    assert len(text.splitlines()) <= 75
    named = re.findall(r"`(?:python -m )?([\w./*]+)`", text)
    source = "".join(path.read_text() for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py"))
    for name in named:
        file = re.search(r"/|[.]py$", name)
        assert any(list(at.glob(name)) for at in HOMES) if file else name.rpartition(".")[2] in source, name
    for module, name in re.findall(r"`(\w+[.]py)`'s `(\w+)`", text):
        assert name in (ROOT / "src/poolscope" / module).read_text(), (module, name)
    for target in re.findall(r"make (\w+)", "".join(block.text for block in blocks(page, "sh"))):
        assert target in TARGETS


def test_each_rule_that_is_ignored_has_its_reason():
    """A comment on its line in pyproject.toml."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    ignored = [*RUFF["ignore"], *(rule for rules in RUFF["per-file-ignores"].values() for rule in rules)]
    for rule in ignored:
        assert [line for line in lines if f'"{rule}"' in line and "# " in line], rule

"""The distributions: what they carry, two equal builds, and the installed wheel at work without the source."""

import json
import re
import shutil
import sys
import tarfile
import zipfile
from email import message_from_string

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from trove_classifiers import classifiers

import poolscope
from documents import README, ROOT, blocks, samples, shown_by_the_first_program
from installed import HOUSE, Venv, build, must, run
from poolscope.cli.export import KINDS

pytestmark = pytest.mark.timeout(240)  # environments are made here, and checkers begin cold
API = ROOT / "tests/typing/api.py"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def fresh(built, tmp_path_factory):
    """What `pip install poolscope` gives in a fresh environment: the wheel, and what its metadata asks for."""
    if not any(HOUSE.glob("httpx-*.whl")):
        pytest.fail("run `make wheelhouse`: it brings the wheels that these tests install")
    venv = Venv(tmp_path_factory.mktemp("fresh") / "venv")
    venv.install(built[1])
    return venv


@pytest.fixture(scope="module")
def full(built, tmp_path_factory):
    """The wheel beside everything that the tests use."""
    venv = Venv(tmp_path_factory.mktemp("full") / "venv")
    venv.install("--no-deps", built[1])
    venv.see_the_packages_of_this_environment()
    return venv


def test_both_carry_what_they_must(built):
    """The wheel: package, dashboards, pages, the mark of types, the licence. The sdist: what it takes to work."""
    sdist, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    home, info = "poolscope/", "poolscope-0.1.0.dist-info/"
    source = {home + str(path.relative_to(ROOT / "src/poolscope")) for path in (ROOT / "src").rglob("*.py")}
    boards = {f"{home}_dashboards/{path.name}" for path in (ROOT / "dashboards/grafana").iterdir()}
    books = {
        f"{home}_{kind}/{path.name}" for kind in ("findings", "runbooks") for path in (ROOT / "docs" / kind).iterdir()
    }
    about = {info + name for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    assert names == source | boards | books | about | {home + "py.typed"}
    with tarfile.open(sdist) as archive:
        carried = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "Makefile",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "pyproject.toml",
        "docs/design.md",
        "tests/conftest.py",
    }
    wanted |= {"dashboards/prometheus/poolscope.rules.yml", "dashboards/source/build.py", "benchmarks/measuring.py"}
    assert wanted <= carried


def test_two_builds_are_equal_byte_by_byte(built, tmp_path):
    """The second one from the unpacked sdist, elsewhere, with other times, modes and hashes."""
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    for path in tree.rglob("*"):
        path.touch()
        path.chmod(path.stat().st_mode | 0o060)
    again = build(tree, tmp_path / "dist", PYTHONHASHSEED="7", TZ="Asia/Tokyo")
    assert [one.read_bytes() for one in again] == [one.read_bytes() for one in built]


def test_the_metadata_is_valid(built):
    """By the standard, with classifiers that exist; each extra asks for what it is named for."""
    with zipfile.ZipFile(built[1]) as archive:
        text = archive.read("poolscope-0.1.0.dist-info/METADATA").decode()
    metadata = Metadata.from_email(text, validate=True)
    assert set(metadata.classifiers) <= classifiers
    assert metadata.license_expression == "MIT"
    assert message_from_string(text).get_payload() == README.read_text()
    extras = {"httpx2": {"httpx2"}, "otel": {"opentelemetry-sdk"}, "cli": {"rich", "typer"}}
    assert set(metadata.provides_extra) == set(extras)
    for extra, names in {
        **extras,
        "": {"anyio", "httpx", "httpcore", "opentelemetry-api", "prometheus-client"},
    }.items():
        asked = [Requirement(str(each)) for each in metadata.requires_dist]
        marked = [each for each in asked if bool(each.marker) == bool(extra)]
        assert {each.name for each in marked if not extra or each.marker.evaluate({"extra": extra})} == names
    must(sys.executable, "-m", "twine", "check", "--strict", *built)


def test_the_readmes_first_program_works_after_pip_install(fresh):
    """In an environment that has nothing but what the wheel asks for, it shows what the README prints."""
    reprs, metrics = shown_by_the_first_program(fresh.python)
    printed, exposed, _ = blocks(README, "text")
    assert reprs == printed.text.splitlines()
    assert set(exposed.text.splitlines()) <= samples(metrics)


def test_a_missing_extra_is_named(fresh):
    """One line each; without an SDK the OpenTelemetry sink does nothing, and no error either."""
    command_line = run(fresh.bin / "poolscope", "--version")
    missing = "poolscope: rich is missing; the command line needs: pip install 'poolscope[cli]'\n"
    assert (command_line.returncode, command_line.stderr.replace("typer", "rich")) == (2, missing)
    flavour = run(fresh.python, "-c", "import poolscope.httpx2")
    assert flavour.stderr.splitlines()[-1].endswith("poolscope.httpx2 needs httpx2: pip install 'poolscope[httpx2]'")
    sink = "import poolscope as p; print(p.InstrumentedTransport(name='p', sinks=[p.OpenTelemetrySink()]))"
    assert "pool 'p'" in must(fresh.python, "-W", "error", "-c", sink)


def test_the_wheel_alone_exports_everything(full, tmp_path):
    """Every kind is what is committed, and the dashboards' builder is not needed."""
    code = (
        "import sys; sys.modules['grafana_foundation_sdk'] = None; from poolscope.cli._app import run;"
        "sys.exit(max(run(['export', kind, f'{sys.argv[1]}/{kind}']) for kind in sys.argv[2:]))"
    )
    must(full.python, "-P", "-c", code, tmp_path, *KINDS)
    committed = {"grafana": "grafana", "prometheus": "prometheus", "runbooks": "../docs/runbooks"}
    committed["findings"] = "../docs/findings"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(KINDS)
    for kind, folder in committed.items():
        for file in (tmp_path / kind).iterdir():
            assert file.read_text() == (ROOT / "dashboards" / folder / file.name).read_text()


WHERE = """
import sys, poolscope
def test_it_is_the_wheel_that_is_tested():
    assert poolscope.__file__.startswith(sys.prefix), poolscope.__file__
"""


def test_the_tests_pass_against_the_wheel_with_the_source_out_of_reach(full, tmp_path):
    """Those of imports and of clients instrumented in place, from a copy of the tests that has no `src` beside it."""
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests/test_where.py").write_text(WHERE)
    chosen = [f"tests/test_{name}.py" for name in ("where", "imports", "instrument")]
    printed = must(full.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, cwd=tmp_path)
    assert " passed" in printed


def checkers(venv, files, folder):
    """Run mypy and pyright, both strict, with the packages of an environment; give what each says."""
    settings = {"include": [str(file) for file in files], "typeCheckingMode": "strict", "pythonVersion": "3.11"}
    settings |= {"venvPath": str(venv.bin.parents[1]), "venv": venv.bin.parent.name}
    settings |= {"enableTypeIgnoreComments": False, "reportUnnecessaryTypeIgnoreComment": True}
    (folder / "pyright.json").write_text(json.dumps(settings))
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", venv.python, "--cache-dir", folder / "c"]
    yield run(*mypy, *files, cwd=folder).stdout
    yield run(sys.executable, "-m", "basedpyright", "-p", folder / "pyright.json", cwd=folder).stdout


def test_the_public_api_is_typed(full, tmp_path):
    """Neither checker, both strict, has a word to say of a file that uses all of it; of a planted fault, both have."""
    planted = tmp_path / "planted.py"
    planted.write_text("from poolscope import LoggingSink\n\nLoggingSink(slow_seconds='1')\n")
    for said in checkers(full, [API, planted], tmp_path):
        complaints = [line for line in said.splitlines() if "error:" in line]
        assert len(complaints) == 1
        assert "planted.py:3" in complaints[0]
        assert "slow_seconds" in complaints[0]


def test_the_typed_file_uses_every_public_name():
    """A name that is added to the package is added there, too."""
    assert set(poolscope.__all__) <= set(re.findall(r"\w+", API.read_text()))

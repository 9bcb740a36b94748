"""How the source is built, read from its syntax trees: imports point one way, private names of others stay in one file,
modules and functions stay small, and the two colours differ by `await`. Each gate trips on a planted fault.
"""

import ast
from pathlib import Path

import pytest

from twins import unlike_twins

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/poolscope"
THEIRS = {"httpx", "httpx2", "httpcore", "httpcore2"}
BUILDERS = ("dashboards/source", "docs/source")
"""What makes committed files from the source: their sizes are guarded, too."""

# From the bottom up. A module imports from rows below its own alone; what lies in a package counts as the package.
LAYERS = [
    {"_contract", "_flavour", "events", "_hooks", "_locks", "_transitions", "_tracing"},
    {"_origins", "_names", "_tally", "_phases", "alerts"},
    {"_journal", "_records", "_tallies"},
    {"_owner", "_seen", "_slots"},
    {"_losses", "_plain"},
    {"_steps"},
    {"_pool"},
    {"_levels"},
    {"_reading", "_snapshot"},
    {"_subscription"},
    {"_gate"},
    {"_observer"},
    {"_foreign", "_stream_hooks"},
    {"_network"},
    {"_body", "_connection_hooks", "_entrance"},
    {"_seams", "diagnosis", "sinks"},
    {"_setup"},
    {"_transport"},
    {"httpx", "httpx2", "_instrument"},
    {"_diagnose", "_instrumentor"},
    {"__init__"},
    {"cli"},
]
RANK = {module: rank for rank, row in enumerate(LAYERS) for module in row}

# Where `thing._name` is no private name of httpx or httpcore, though `thing` is not self.
OWN = {
    ("_locks.py", "_at_fork_reinit"): "of threading's locks; CPython's own modules call it in a forked child",
    ("_locks.py", "_is_owned"): "of threading's own lock; its `Condition` asks it",
    ("_names.py", "_getframe"): "sys._getframe, the documented way to see a caller",
    ("_foreign.py", "_getframe"): "sys._getframe",
    ("_foreign.py", "_transport"): "of OpenTelemetry's transport, which wraps another",
    ("_foreign.py", "_self_wrapper"): "of wrapt, with which OpenTelemetry's package wraps",
    ("_setup.py", "_inner"): "of another transport of ours",
    ("_setup.py", "_observer"): "of another transport of ours",
}


def sources() -> dict[str, str]:
    return {str(path.relative_to(SOURCE)): path.read_text() for path in sorted(SOURCE.rglob("*.py"))}


def builders() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text() for where in BUILDERS for path in (ROOT / where).rglob("*.py")
    }


def unit(path: str) -> str:
    """The row entry that a file belongs to."""
    return path.partition("/")[0].removesuffix(".py")


def imported(tree: ast.AST):
    """Every module of ours that the tree imports, wherever the import stands, by its name as a constant, too.

    A relative import counts as one of all: ruff forbids them, and no row allows that.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [f"{alias.name}.__init__" if alias.name == "poolscope" else alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "poolscope":
            names = [f"poolscope.{alias.name if alias.name in RANK else '__init__'}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["poolscope.any"] if node.level else [node.module or ""]
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("poolscope."))


def wrong_imports(files: dict[str, str]) -> list[str]:
    wrong = []
    for path, text in files.items():
        here = unit(path)
        if here not in RANK:
            wrong.append(f"{path} has no row in LAYERS")
            continue
        others = (there for there in imported(ast.parse(text)) if there != here)
        wrong += [f"{path} imports {there}" for there in others if RANK.get(there, len(LAYERS)) >= RANK[here]]
    return wrong


def private_names(files: dict[str, str]) -> list[str]:
    """Attributes with a leading underscore of anything but self and cls, also by getattr and hasattr."""
    found = []
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            name, thing = "", None
            if isinstance(node, ast.Attribute):
                name, thing = node.attr, node.value
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"getattr", "hasattr", "setattr"}:
                thing, second = node.args[:2]
                name = second.value if isinstance(second, ast.Constant) else ""
            elif isinstance(node, ast.Import | ast.ImportFrom):
                modules = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                parts = [part for module in modules for part in module.split(".")]
                theirs = any(module.split(".")[0] in THEIRS for module in modules)
                name = next((part for part in parts if theirs and part.startswith("_")), "")
            own = isinstance(thing, ast.Name) and thing.id in {"self", "cls"}
            if name.startswith("_") and not name.endswith("__") and not own and (path, name) not in OWN:
                found.append(f"{path}:{node.lineno} {ast.unparse(node)}")
    return found


def strangers(files: dict[str, str]) -> list[str]:
    """Where httpx and httpcore are imported by what must see neither: sinks and alerts."""
    return [
        f"{path} imports {name}"
        for path, text in files.items()
        if path.startswith(("sinks/", "alerts/"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        if name.split(".")[0] in THEIRS
    ]


def watched(files: dict[str, str]) -> dict[str, str]:
    """What could touch httpx or httpcore: not the seams, whose trade it is; not what `strangers` keeps from both, and
    the command line, which uses them as anybody does.
    """
    return {path: text for path, text in files.items() if "/" not in path and path != "_seams.py"}


def too_long(files: dict[str, str]) -> list[str]:
    wrong = [f"{path} has {count} lines" for path, text in files.items() if (count := len(text.splitlines())) > 250]
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > 40:
                    wrong.append(f"{path} {node.name} has {lines} lines")
    return wrong


GATES = {
    "imports point one way": wrong_imports,
    "private names stay in the seams": lambda files: private_names(watched(files)),
    "sinks and alerts see no httpx": strangers,
    "modules and functions are small": lambda files: too_long({**files, **builders()}),
    "twins differ by await": unlike_twins,
}


@pytest.mark.parametrize("gate", GATES)
def test_the_source_keeps_the_rule(gate):
    """Each rule, on the source as it is."""
    assert GATES[gate](sources()) == []


def test_what_builds_is_guarded_too():
    """The dashboards' builder and the docs' are read, each with more than one module."""
    assert {Path(path).parent.parent.name for path in builders()} == {"dashboards", "docs"}
    assert len(builders()) > 10


def test_every_row_of_the_tables_is_used():
    """A table that names what is gone would let it come back unseen."""
    files = sources()
    assert {unit(path) for path in files} == RANK.keys()
    for path, name in OWN:
        assert name in files[path]


FAULTS = {
    "the state knows a sink": ("imports", "_pool.py", "\nfrom poolscope.sinks.logging import LoggingSink\n"),
    "inside a function, too": ("imports", "_tally.py", "\ndef f():\n    import poolscope.cli.demo\n"),
    "by the package's public name": ("imports", "_setup.py", "\nfrom poolscope import LoggingSink\n"),
    "by the package's own name": ("imports", "_pool.py", "\nimport poolscope\n"),
    "relatively": ("imports", "_pool.py", "\nfrom . import _seams\n"),
    "relatively, by a path": ("imports", "_pool.py", "\nfrom .sinks import logging\n"),
    "by its name as a text": ("imports", "_pool.py", "\nimport_module('poolscope.sinks.logging')\n"),
    "two of one row": ("imports", "_reading.py", "\nfrom poolscope import _snapshot\n"),
    "a new room": ("imports", "_attic.py", "\n"),
    "an attribute": ("private", "_transport.py", "\ndef f(transport):\n    return transport._pool\n"),
    "by its name": ("private", "_body.py", "\ndef f(pool):\n    return getattr(pool, '_connections', None)\n"),
    "a private module of theirs": ("private", "_transport.py", "\nfrom httpcore._async.connection_pool import Any\n"),
    "a private name of theirs": ("private", "_transport.py", "\nfrom httpcore import _models\n"),
    "a sink knows httpcore": ("sinks", "sinks/logging.py", "\nimport httpcore\n"),
    "a long module": ("modules", "httpx.py", "\n" * 250),
    "a long function": ("modules", "httpx.py", "\ndef f():\n" + "    f()\n" * 41),
    "a new twin": ("twins", "_body.py", "\nclass AsyncTail:\n    pass\n"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_gate_trips_on_a_planted_fault(fault):
    """Added to the source in memory: the rule that is broken says so, the others do not."""
    rule, path, text = FAULTS[fault]
    files = sources()
    before = {name: gate(files) for name, gate in GATES.items()}
    files[path] = files.get(path, "") + text
    tripped = [name for name, gate in GATES.items() if len(gate(files)) > len(before[name])]
    assert [name.split()[0] for name in tripped] == [rule]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("_transport.py", "response = await handle(sent)", "response = await handle(request)"),
        ("_body.py", "await self._inner.aclose()", "await self._inner.aread()"),
        ("_network.py", "await self._inner.connect_tcp(host,", "await self._inner.connect_tcp(port,"),
        ("_connection_hooks.py", "            self._close_below(inner)\n", "            pass\n"),
    ],
)
def test_one_colour_changed_alone_is_seen(path, old, new):
    """The other gates cannot tell; this one can."""
    files = sources()
    assert old in files[path]
    files[path] = files[path].replace(old, new, 1)
    assert unlike_twins(files) != []

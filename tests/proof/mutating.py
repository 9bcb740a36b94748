"""Makes the mutants of a source file: mutmut's own, each one function with one fault.

1. A mutant is told by its function and its changed line, not by a number: a reason written for it outlives other edits.
2. Words for people are no law: string literals with a space in them are left as they are.

What runs when a module is imported is not mutated, nor is what is decorated (but for static and class methods): mutmut
leaves both alone.
"""

import ast
import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Mutant:
    """One fault. where: its function. what: the line as it was and as it became. source: the whole file with it.

    lines: of the statement that it changes. body: of its function.
    """

    where: str
    what: str
    source: str
    lines: range
    body: range
    defaults: bool

    @property
    def name(self) -> str:
        return f"{self.where}: {self.what}"


def functions(body: list[ast.stmt], within: str = "") -> Iterator[tuple[str, Function]]:
    """Give the functions and methods of a file, each by its qualified name."""
    for node in body:
        if isinstance(node, Function):
            yield within + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{within}{node.name}.")


def statement(function: Function, line: int) -> range:
    """Give the lines of the innermost statement that this line is part of, without the statements inside it."""
    within = [node for node in ast.walk(function) if isinstance(node, ast.stmt) and node.lineno <= line]
    node = max((node for node in within if line <= (node.end_lineno or 0)), key=lambda node: node.lineno)
    inner = getattr(node, "body", [])
    return range(node.lineno, inner[0].lineno if inner else (node.end_lineno or 0) + 1)


def is_prose(mutation: Mutation) -> bool:
    """Say whether it changes words that only people read."""
    return isinstance(mutation.original_node, cst.SimpleString) and " " in mutation.original_node.value


def with_instead(statement: cst.CSTNode, function: cst.FunctionDef, other: cst.FunctionDef) -> cst.CSTNode:
    """Give a statement of the file with another function in the place of one of its own."""
    if statement is function:
        return other
    if not isinstance(statement, cst.ClassDef):
        return statement
    body = [other if one is function else one for one in statement.body.body]
    return statement.with_changes(body=statement.body.with_changes(body=body))


def changed(old: str, new: str) -> tuple[int, str]:
    """Give the first line that differs, and the difference."""
    was, became = old.splitlines(), new.splitlines()
    matcher = difflib.SequenceMatcher(None, was, became, autojunk=False)
    start, end, there, to = next(found[1:] for found in matcher.get_opcodes() if found[0] != "equal")
    parts = (" ".join(line.strip() for line in lines) for lines in (was[start:end], became[there:to]))
    return start + 1, " -> ".join(parts)


def mutants(path: Path) -> list[Mutant]:
    """Give every mutant of a file that differs from it in what it does."""
    old = path.read_text()
    module, mutations, _, _ = create_mutations(str(path), old)
    known = list(functions(ast.parse(old).body))
    seen: Counter[str] = Counter()
    made = []
    for mutation in mutations:
        function = mutation.contained_by_top_level_function
        if not isinstance(function, cst.FunctionDef) or is_prose(mutation):
            continue
        mutated = deep_replace(function, mutation.original_node, mutation.mutated_node)
        assert isinstance(mutated, cst.FunctionDef)
        new = module.with_changes(body=[with_instead(one, function, mutated) for one in module.body]).code
        try:
            tree = ast.parse(new)
        except SyntaxError:
            continue
        line, what = changed(old, new)
        where, mine = next((name, node) for name, node in known if node.lineno <= line <= (node.end_lineno or 0))
        theirs = dict(functions(tree.body))[where]
        seen[where + what] += 1
        if ast.dump(theirs) == ast.dump(mine):
            continue
        nth = seen[where + what]
        made.append(
            Mutant(
                where=where,
                what=what if nth == 1 else f"{what} (#{nth})",
                source=new,
                lines=statement(mine, line),
                body=range(mine.lineno, (mine.end_lineno or 0) + 1),
                defaults=ast.dump(theirs.args) != ast.dump(mine.args),
            )
        )
    return made

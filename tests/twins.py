"""Compares the two colours of the source on their syntax trees: they differ by `await` and by names."""

import ast

TWINS = {
    "_transport.py": [("AsyncTransport", "SyncTransport")],
    "_body.py": [("AsyncChunks", "Chunks"), ("AsyncGeneratorChunks", "GeneratorChunks"), ("AsyncBody", "Body")],
    "_network.py": [("AsyncBackendProxy", "BackendProxy")],
    "_stream_hooks.py": [("AsyncStreamHook", "StreamHook")],
    "_connection_hooks.py": [("AsyncConnectionHook", "ConnectionHook")],
    "_entrance.py": [("AsyncEntrance", "Entrance")],
}
COLOURS = {
    "AsyncTransport": "SyncTransport",
    "aclose": "close",
    "handle_async_request": "handle_request",
    "anyio": "time",
    "asend": "send",
    "athrow": "throw",
    "StopAsyncIteration": "StopIteration",
}


class Colourless(ast.NodeTransformer):
    """Takes the colour off a tree: names, `await`, `async`; and the docstrings, which speak of it."""

    def name(self, name: str) -> str:
        if name.startswith("__a") and name.endswith("__"):
            return "__" + name[3:]
        return COLOURS.get(name, name.removeprefix("Async"))

    def visit_Name(self, node):
        node.id = self.name(node.id)
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        node.attr = self.name(node.attr)
        return node

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            node.value = self.name(node.value)
        return node

    def visit_Await(self, node):
        return self.visit(node.value)

    def visit_FunctionDef(self, node):
        return self._definition(node, ast.FunctionDef)

    def visit_AsyncFunctionDef(self, node):
        return self._definition(node, ast.FunctionDef)

    def visit_ClassDef(self, node):
        return self._definition(node, ast.ClassDef)

    def _definition(self, node, kind):
        if ast.get_docstring(node) is not None:
            del node.body[0]
        self.generic_visit(node)
        fields = {name: value for name, value in ast.iter_fields(node) if name not in {"name", "type_comment"}}
        return kind(name=self.name(node.name), **fields)


def unlike_twins(files: dict[str, str]) -> list[str]:
    wrong = []
    for path, pairs in TWINS.items():
        classes = {node.name: node for node in ast.walk(ast.parse(files[path])) if isinstance(node, ast.ClassDef)}
        paired = {name for pair in pairs for name in pair}
        wrong += [f"{path} {name} has no twin" for name in classes if name.startswith("Async") and name not in paired]
        for one, other in pairs:
            texts = [ast.unparse(ast.fix_missing_locations(Colourless().visit(classes[name]))) for name in (one, other)]
            first, second = (text.splitlines() for text in texts)
            differing = [f"{path} {one}: {a!r} != {b!r}" for a, b in zip(first, second, strict=False) if a != b]
            wrong += differing or ([f"{path} {one} is longer or shorter"] if len(first) != len(second) else [])
    return wrong

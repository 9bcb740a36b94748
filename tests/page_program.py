"""Runs the blocks of a page, given as JSON on the command line, as one program in which `await` may stand anywhere."""

import ast
import asyncio
import inspect
import json
import sys
import types


async def run(blocks):
    names = {"__name__": "__main__"}
    for where, text in blocks:
        code = compile(text, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        ended = types.FunctionType(code, names)()
        if inspect.iscoroutine(ended):
            await ended


asyncio.run(run(json.loads(sys.argv[1])))

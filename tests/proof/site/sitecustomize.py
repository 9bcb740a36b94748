"""Loads one mutated file in place of its module, in every Python process that a test starts."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path


class Mutated(importlib.machinery.SourceFileLoader):
    """Reads the module's source from where the mutant lies, and keeps no bytecode of it."""

    def get_code(self, fullname):
        return compile(Path(os.environ["MUTANT_SOURCE"]).read_bytes(), os.environ["MUTANT_FILE"], "exec")


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != os.environ["MUTANT_MODULE"]:
            return None
        return importlib.util.spec_from_file_location(
            name, os.environ["MUTANT_FILE"], loader=Mutated(name, os.environ["MUTANT_FILE"])
        )


if "MUTANT_MODULE" in os.environ:
    sys.meta_path.insert(0, Finder())

"""Builds the distributions and installs the wheel away from the source, without a network.

`make wheelhouse` brings the wheels of what poolscope needs, so that pip resolves the wheel's own metadata offline.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from documents import ROOT

HOUSE = ROOT / ".cache/wheelhouse"


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of this process's PYTHON variables; give what came of it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment |= options.pop("env", {})
    return subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        **{"env": environment, **options},
    )


def must(*command: str | Path, **options) -> str:
    """Run a command that must succeed; give what it printed."""
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(tree: Path, into: Path, **environment: str) -> tuple[Path, Path]:
    """Build a tree's sdist and wheel with the backend that pyproject.toml names."""
    must(sys.executable, "-m", "hatchling", "build", "-d", into, cwd=tree, env=environment)
    (sdist,), (wheel,) = into.glob("*.tar.gz"), into.glob("*.whl")
    return sdist, wheel


class Venv:
    """A virtual environment without pip; this environment's pip installs into it."""

    def __init__(self, folder: Path) -> None:
        must(sys.executable, "-m", "venv", "--without-pip", folder)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))

    def install(self, *what: str | Path) -> None:
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-index", "--no-compile"]
        must(*pip, "--find-links", HOUSE, *what)

    def see_the_packages_of_this_environment(self) -> None:
        """All but the editable poolscope: a path file's own path files are not read."""
        (self.site / "beside.pth").write_text(sysconfig.get_path("purelib"))

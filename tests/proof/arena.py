"""Asks the tests about mutants: one pytest process that has collected them forks a child for each.

1. A child puts one function's mutated code where the function's own was: no trampoline, no frame, nothing to import
   anew. Processes that a test starts load the mutated file (`sitecustomize`), and so do mutants of what runs at import.
2. A mutant is shown to the tests that run its statement: those that killed its neighbours, then the shortest, each in
   a child of its own.
3. A mutant is killed when a test fails, or hangs for ten times as long as it takes, ten seconds at least.
"""

import gc
import hashlib
import importlib
import os
import pickle
import signal
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType

import coverage
import pytest

from proof.mutating import Mutant

KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"
_EXITS = {10: SURVIVED, 11: KILLED, 1: TIMED_OUT}
_LIMIT_SECONDS = 10
_JOBS = 2


@dataclass
class Known:
    """What a test does where nothing is mutated: how long it takes, which lines of which file it runs."""

    seconds: float = 0.0
    lines: dict[str, set[int]] = field(default_factory=dict)


@dataclass
class Trial:
    """One mutant before its tests."""

    mutant: Mutant
    tests: list[pytest.Item]
    started_at: float = 0.0
    verdict: str = SURVIVED
    killer: str = ""


class Arena:
    """A pytest plugin that hands its collected tests to `work` instead of running them."""

    def __init__(self, root: Path, work) -> None:
        self.root = root
        self.place = root.parent
        self.work = work
        self.known: dict[str, Known] = {}
        self.at_import = coverage.Coverage(data_file=None, config_file=False, include=[f"{root}/src/*"])
        self.items: list[pytest.Item] = []
        self.killers: dict[str, list[str]] = defaultdict(list)
        self.kills: Counter[str] = Counter()
        self.at_import.start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self.at_import.stop()
        self.items = session.items
        gc.collect()
        gc.freeze()
        self.work(self)
        return True

    def learn(self, cache: Path) -> None:
        """Learn what each test does, or read it from where it was kept. Tests that fail unmutated are left out."""
        kept = pickle.loads(cache.read_bytes()) if cache.exists() else {}
        ground = _hash(
            *self.root.glob("src/**/*.py"),
            *(p for p in self.root.glob("tests/**/*.py") if not ("proof" in p.parts or p.name.startswith("test_"))),
        )
        keys = {item.nodeid: ground + _hash(item.path) for item in self.items}
        new = [item for item in self.items if (item.nodeid, keys[item.nodeid]) not in kept]
        parts = [cache.with_suffix(f".{n}") for n in range(_JOBS)]
        children = [_fork(lambda n=n: self._learn(new[n::_JOBS], parts[n])) for n in range(_JOBS)]
        for child in children:
            os.waitpid(child, 0)
        for part in parts:
            kept |= {(name, keys[name]): known for name, known in pickle.loads(part.read_bytes()).items()}
        cache.write_bytes(pickle.dumps(kept))
        self.known = {name: kept[name, key] for name, key in keys.items() if (name, key) in kept}
        for item in self.items:
            if item.nodeid in self.known:
                limit = max(_LIMIT_SECONDS, 10 * self.known[item.nodeid].seconds)
                item.add_marker(pytest.mark.timeout(limit, method="thread"))

    def _learn(self, items: list[pytest.Item], part: Path) -> int:
        known = {}
        for item in items:
            _wait(_fork(lambda i=item: self._learn_one(i, part)))
            if part.exists():
                known[item.nodeid] = Known(*pickle.loads(part.read_bytes()))
                part.unlink()
            else:
                os.write(2, f"fails unmutated: {item.nodeid}\n".encode())
        part.write_bytes(pickle.dumps(known))
        return 0

    def _learn_one(self, item: pytest.Item, part: Path) -> int:
        lines = coverage.Coverage(data_file=None, config_file=False, include=[f"{self.root}/src/*"])
        lines.start()
        started = time.monotonic()
        passed = passes(item)
        seconds = time.monotonic() - started
        lines.stop()
        if passed:
            warnings.simplefilter("ignore")  # a test may run nothing of ours
            data = lines.get_data()
            ran = {file: set(data.lines(file) or ()) for file in data.measured_files()}
            part.write_bytes(pickle.dumps((seconds, ran)))
        return 0

    def tests_of(self, file: Path, mutant: Mutant, seconds: float) -> list[pytest.Item]:
        """Give the tests to ask about a mutant, as many as take these seconds unmutated."""
        ran = [i for i in self.items if i.nodeid in self.known]
        touch = [i for i in ran if not self.known[i.nodeid].lines.get(str(file), set()).isdisjoint(mutant.lines)]
        touch = touch or [
            i for i in ran if not self.known[i.nodeid].lines.get(str(file), set()).isdisjoint(mutant.body)
        ]
        near, far = self.killers[mutant.where], self.killers[str(file)]

        def rank(item):
            n = item.nodeid
            return (
                near.index(n) if n in near else 99,
                far.index(n) if n in far else 99,
                not _pure(item),
                self.known[n].seconds,
            )

        chosen, left = [], seconds
        for item in sorted(touch, key=rank):
            left -= self.known[item.nodeid].seconds
            if left < 0 and chosen:
                break
            chosen.append(item)
        return chosen

    def judge(self, file: Path, module: str, wanted: Iterable[Mutant], seconds: float) -> list[Trial]:
        """Run these mutants of one file, some at a time."""
        waiting, running, done = list(wanted)[::-1], {}, []
        imported = set(self.at_import.get_data().lines(str(file)) or ())
        while waiting or running:
            while waiting and len(running) < _JOBS:
                mutant = waiting.pop()
                trial = Trial(mutant, self.tests_of(file, mutant, seconds))
                if not trial.tests:
                    done.append(trial)
                    continue
                inside = set(mutant.body) - {mutant.body[0]}
                mode = _run_anew if imported & inside & set(mutant.lines) else _run_here
                trial.started_at = time.monotonic()
                running[_fork(lambda t=trial, m=mode: m(t, file, module))] = trial
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                time.sleep(0.005)
                for child, trial in running.items():
                    if time.monotonic() > trial.started_at + 60 + 10 * seconds:
                        os.killpg(child, signal.SIGKILL)
                continue
            if pid in running:
                trial = running.pop(pid)
                self._note(file, trial, pid, status)
                if trial.verdict == KILLED and not self._holds(trial.killer):
                    waiting.append(trial.mutant)
                    continue
                done.append(trial)
        return done

    def _holds(self, killer: str) -> bool:
        """Ask a test now and then whether it passes unmutated: one that does not is asked about no mutant any more."""
        if killer not in self.known:
            return True
        self.kills[killer] += 1
        if self.kills[killer] % 20 != 1:
            return True
        item = next(item for item in self.items if item.nodeid == killer)
        if _wait(_fork(lambda: _silence() or _ask(item))) == 10:
            return True
        sys.stderr.write(f"fails unmutated, now and then: {killer}\n")
        del self.known[killer]
        return False

    def _log(self, file: Path, trial: Trial) -> None:
        with (self.place / "log").open("a") as log:
            took = time.monotonic() - trial.started_at
            log.write(
                f"{file.name} {trial.verdict} {took:.2f} of {len(trial.tests)} {trial.killer} | {trial.mutant.name}\n"
            )

    def _note(self, file: Path, trial: Trial, pid: int, status: int) -> None:
        _end(pid)
        trial.verdict = _EXITS.get(os.waitstatus_to_exitcode(status), TIMED_OUT)
        told = _told(pid)
        (self.place / f"source.{pid}.py").unlink(missing_ok=True)
        if told.exists():
            trial.killer = told.read_text()
            told.unlink()
            for ranked in (self.killers[trial.mutant.where], self.killers[str(file)]):
                if trial.killer in ranked:
                    ranked.remove(trial.killer)
                ranked.insert(0, trial.killer)
                del ranked[20:]
        self._log(file, trial)


def _hash(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _told(pid: int) -> Path:
    return Path(os.environ["MUTANTS_PLACE"]) / f"told.{pid}"


def _fork(work) -> int:
    """Run work in a child of its own process group; its result is the exit status."""
    pid = os.fork()
    if pid:
        return pid
    code = 12
    try:
        os.setpgid(0, 0)
        code = work()
    except BaseException as exc:
        os.write(2, f"{type(exc).__name__}: {exc}\n".encode())
    finally:
        os._exit(code)


def _wait(child: int) -> int:
    """Wait for a child; give its exit status, and end what it left behind."""
    _, status = os.waitpid(child, 0)
    _end(child)
    return os.waitstatus_to_exitcode(status)


def _end(child: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)


def _ask(item: pytest.Item) -> int:
    return 10 if passes(item) else 11


def _pure(item: pytest.Item) -> bool:
    """Say whether a test leaves nothing behind: it needs no process of its own."""
    return item.path.name.startswith("test_core_")


def passes(item: pytest.Item) -> bool:
    failed = item.session.testsfailed
    item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
    return item.session.testsfailed == failed


def _expose(trial: Trial, file: Path, module: str) -> None:
    """Let processes that tests start load the mutated file, and say nothing."""
    source = Path(os.environ["MUTANTS_PLACE"]) / f"source.{os.getpid()}.py"
    source.write_text(trial.mutant.source)
    os.environ["MUTANT_MODULE"], os.environ["MUTANT_SOURCE"], os.environ["MUTANT_FILE"] = module, str(source), str(file)
    _silence()


def _silence() -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _run_here(trial: Trial, file: Path, module: str) -> int:
    _expose(trial, file, module)
    try:
        install(trial.mutant, module)
    except Exception:
        return 11
    for item in trial.tests:
        code = _ask(item) if _pure(item) else _wait(_fork(lambda i=item: _ask(i)))
        if code != 10:
            _told(os.getpid()).write_text(item.nodeid)
            return code
    return 10


def _run_anew(trial: Trial, file: Path, module: str) -> int:
    _expose(trial, file, module)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--timeout={_LIMIT_SECONDS}"]
    command = [sys.executable, "-m", "pytest", *options, *(item.nodeid for item in trial.tests)]
    return 11 if os.spawnv(os.P_WAIT, sys.executable, command) else 10


def install(mutant: Mutant, module: str) -> None:
    """Put the mutated code where the function's own was; whoever holds the function runs it."""
    home = importlib.import_module(module)
    there = {"__name__": module, "__file__": home.__file__, "__package__": home.__package__}
    exec(compile(mutant.source, home.__file__, "exec"), there)
    mine, new = _find(vars(home), mutant.where), _find(there, mutant.where)
    mine.__code__ = new.__code__
    if mutant.defaults:
        mine.__defaults__, mine.__kwdefaults__ = new.__defaults__, new.__kwdefaults__


def _find(names: dict, where: str) -> FunctionType:
    first, *rest = where.split(".")
    found = names[first]
    for name in rest:
        found = vars(found)[name]
    return getattr(found, "__func__", found)

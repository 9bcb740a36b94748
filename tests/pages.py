"""A page of the docs, done as its reader would: its files written, its commands run, what they print held against it.

The ports that pages name are exchanged for free ones; behind 8000 is a server that plays whatever service a page calls.
`$ command &` goes on until the page's end. `$ curl -s URL | grep PATTERN` is asked by this process: not every machine
has curl; a server that starts is waited for, and metrics are asked for again until they say what the page says.
"""

import doctest
import json
import os
import re
import signal
import socket
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

from documents import ROOT, Block, blocks
from harness import Server

BIN = ROOT / ".venv-docs/bin"
PORTS = re.compile(r"\b(8000|8001|9464)\b")
PATIENCE = 30
_GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())
_TOOK = re.compile(r"\b\d+\.\d\d(?= s\b| to \d)")
_ASKED = re.compile(r"curl -s (\S+)(?: \| grep '([^']+)')?")


def service(peer):
    """The upstream of every page. A program that goes on may leave its connection idle for as long as it likes."""
    peer.sock.settimeout(None)
    for _ in peer.requests():
        peer.respond(200, b'"ok"', [("content-type", "application/json")])


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return str(one.getsockname()[1])


def installable() -> set[str]:
    """Every package that a page may tell to install: those that this project's environments are made of."""
    project = _GROUPS["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *_GROUPS["dependency-groups"].values(),
    ]
    names = {re.match(r"[\w.-]+", one)[0] for each in lists for one in each}
    return names | {"poolscope"} | {f"poolscope[{extra}]" for extra in project["optional-dependencies"]}


class Page:
    """One page being done, in a folder of its own, with the poolscope that is in the folder `site`."""

    def __init__(self, page: Path, folder: Path, site: Path) -> None:
        self.site = site
        self.blocks = blocks(page)
        self.folder = folder
        self.ports = {"8001": free_port(), "9464": free_port()}
        self.wrong: list[str] = []
        self.started = 0
        self._running = ExitStack()

    def __enter__(self):
        text = "".join(block.text for block in self.blocks)
        if re.search(r'http[.]server 8000|[(]"127[.]0[.]0[.]1", 8000[)]', text):  # the page plays the service itself
            self.ports["8000"] = free_port()
        else:
            self.ports["8000"] = str(self._running.enter_context(Server(service)).port)
        return self

    def __exit__(self, *exc_info):
        self._running.close()

    def do(self, *, terminal: bool) -> None:
        """Do every block, in order, those of the terminal if that is wanted.

        Nameless Python is one program, whose output stands in `text output` blocks.
        """
        program = [block for block in self.blocks if block.info == "python"]
        printed = "".join(block.text for block in self.blocks if block.info == "text output")
        for block in self.blocks:
            if block.language == "python" and block.info != "python":
                (self.folder / block.info.partition(" ")[2]).write_text(self._here(block.text))
            elif block.language == "console" and terminal:
                self._console(block)
        if program:
            given = json.dumps([(block.id, self._here(block.text)) for block in program])
            said = self._run(f'"$0" "{ROOT}/tests/page_program.py" "$1"', str(BIN / "python"), given)
            self._compare(program[0].id, printed, said)

    def _console(self, block: Block) -> None:
        text = block.text.replace("\\\n", " ")
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            where = f"{block.id} $ {command}"
            asked = _ASKED.fullmatch(command)
            if command.startswith("pip install "):
                names = {name.strip("'") for name in command.split()[2:]}
                self.wrong += [f"{where}: {name} is not tried" for name in names - installable()]
            elif asked:
                self._ask(where, self._here(asked[1]), asked[2], output)
            elif command.endswith(" &"):
                self._start(where, command.removesuffix(" &"), output)
            else:
                self._compare(where, output, self._run(self._here(command)))

    def _here(self, text: str) -> str:
        return PORTS.sub(lambda found: self.ports[found[0]], text)

    def _there(self, text: str) -> str:
        for port, own in self.ports.items():
            text = text.replace(own, port)
        return text

    def _environment(self) -> dict[str, str]:
        """What a user's shell has, with a broker and a result store that are folders."""
        for name in ("data_in", "results"):
            (self.folder / name).mkdir(exist_ok=True)
        if not (self.folder / "data_out").exists():
            (self.folder / "data_out").symlink_to("data_in")
        broker = {"CELERY_BROKER_URL": "filesystem://", "CELERY_RESULT_BACKEND": f"file://{self.folder}/results"}
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "OTEL_"))}
        return (
            plain
            | broker
            | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(self.site), "PATH": f"{BIN}{os.pathsep}{plain['PATH']}"}
        )

    def _run(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=50,
            cwd=self.folder,
            env=self._environment(),
        )
        return done.stdout + (f"exit status {done.returncode}\n" if done.returncode else "")

    def _start(self, where: str, command: str, output: str) -> None:
        self.started += 1
        log = self.folder / f"{self.started}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {self._here(command)}"],
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,
            )
        self._running.callback(_end, process)
        self._until(where, output, lambda: log.read_text()[: len(self._here(output))])

    def _ask(self, where: str, url: str, pattern: str | None, output: str) -> None:
        def answer() -> str:
            with urllib.request.urlopen(url, timeout=10) as response:
                lines = response.read().decode().splitlines()
            wanted = re.compile((pattern or "").replace("8000", self.ports["8000"]).replace(r"\|", "|"))
            return "".join(f"{line}\n" for line in lines if wanted.search(line))

        self._until(where, output, answer, again="/metrics" in url)

    def _until(self, where: str, output: str, say, *, again: bool = True) -> None:
        """Compare what is said once it can be had; `again`: as often as it takes."""
        end = time.monotonic() + PATIENCE
        while True:
            late = time.monotonic() > end
            try:
                said = say()
            except urllib.error.URLError as error:
                if late:
                    self.wrong.append(f"{where}: {error}")
                    return
            else:
                if late or not again or same(output, self._there(said)):
                    self._compare(where, output, said)
                    return
            time.sleep(0.05)

    def _compare(self, where: str, output: str, said: str) -> None:
        if not same(output, self._there(said)):
            self.wrong.append(f"{where}\nprinted on the page:\n{output}\nsaid:\n{self._there(said)}")


def same(printed: str, said: str) -> bool:
    """Whether this was said; `...` stands for anything, and how long it took is the machine's affair."""
    printed, said = (_TOOK.sub("0.20", text) for text in (printed, said))
    return doctest.OutputChecker().check_output(printed, said, doctest.ELLIPSIS)


def _end(process: subprocess.Popen) -> None:
    """End what was started with all that it started; whatever does not end by itself fails the test."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

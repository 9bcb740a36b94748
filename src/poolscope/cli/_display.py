"""What the demo's reader sees: a table that lives in the terminal, or plain lines where there is none."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from poolscope._contract import POOL
from poolscope.cli._exposition import Window
from poolscope.cli._format import clock
from poolscope.cli._format import seconds as seconds_text
from poolscope.cli._judges import Finding
from poolscope.cli._stages import Stage
from poolscope.cli._table import Column, line, table

Results = Sequence[tuple[Stage, Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known before the start."""

    url: str
    stages: tuple[Stage, ...]
    columns: tuple[Column, ...]

    @property
    def seconds(self) -> float:
        """How long the run takes, about."""
        return sum(stage.expected_seconds for stage in self.stages)

    def elapsed(self, stage: Stage, seconds: float) -> float:
        """How far the run is when a stage has lasted so long."""
        before = self.stages[: self.stages.index(stage)]
        return sum(each.expected_seconds for each in before) + min(seconds, stage.expected_seconds)

    def heading(self, stage: Stage) -> str:
        """Name a stage and its place."""
        return f"stage {self.stages.index(stage) + 1} of {len(self.stages)}: {stage.name}"


class Display(Protocol):
    """What a run tells its display."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def begin(self, stage: Stage) -> None:
        """Take a stage that starts now."""

    def tick(self, stage: Stage, seconds: float, window: Window) -> None:
        """Take the numbers of the last few seconds; seconds: how long the stage has lasted."""

    def end(self, stage: Stage, findings: Sequence[Finding]) -> None:
        """Take a stage's verdict."""

    def summary(self, results: Results) -> None:
        """Take every verdict, after the run."""


def display(plan: Plan) -> Display:
    """Return the display that standard output can show. FORCE_COLOR makes no terminal of a file."""
    console = Console(highlight=False, markup=False, emoji=False)
    live = sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal
    return LiveDisplay(console, plan) if live else LineDisplay(console, plan)


def verdict(ok: bool) -> Text:
    """Write a verdict."""
    return Text("ok", style="green") if ok else Text("FAILED", style="bold red")


class LineDisplay:
    """Plain lines: each stage, its pool's numbers every second or two, its verdict."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._every = max(1.0, plan.seconds / 60)
        self._due = 0.0

    def __enter__(self) -> Self:
        plan = self._plan
        self._say(f"poolscope demo: {len(plan.stages)} stages, about {plan.seconds:.0f} s, metrics on {plan.url}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def begin(self, stage: Stage) -> None:
        """Print the stage's heading."""
        self._due = self._every
        self._say(f"{self._plan.heading(stage)} ({stage.says})")

    def tick(self, stage: Stage, seconds: float, window: Window) -> None:
        """Print the numbers of the stage's pool, if a line is due."""
        if seconds >= self._due:
            self._due = seconds + self._every
            elapsed = clock(self._plan.elapsed(stage, seconds))
            self._say(f"  {elapsed} {line(stage.pool, window.of({POOL: stage.pool}))}")

    def end(self, stage: Stage, findings: Sequence[Finding]) -> None:
        """Print the stage's verdict."""
        for finding in findings:
            self._say(f"  {verdict(finding.ok)}: {stage.name}: {finding.seen} (wanted: {finding.wanted})")

    def summary(self, results: Results) -> None:
        """Print a line for each stage and finding."""
        self._say(f"summary, from {self._plan.url}:")
        for stage, findings in results:
            for finding in findings:
                self._say(f"  {verdict(finding.ok)!s:<6} {stage.name}: {finding.seen} (wanted: {finding.wanted})")

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


class LiveDisplay:
    """A table of the pools' numbers that stays in its place, under the verdicts of past stages."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def begin(self, stage: Stage) -> None:
        """Wait for the first numbers."""

    def tick(self, stage: Stage, seconds: float, window: Window) -> None:
        """Draw the numbers in the place of the last ones."""
        plan = self._plan
        elapsed = plan.elapsed(stage, seconds)
        progress = Table.grid(expand=True, padding=(0, 1, 0, 0))
        progress.add_column(ratio=1)
        progress.add_column(justify="right", no_wrap=True)
        progress.add_row(
            ProgressBar(total=plan.seconds, completed=elapsed), f"{clock(elapsed)} of {clock(plan.seconds)}"
        )
        frame = Group(
            Text.assemble(("poolscope demo", "bold"), "  ", (plan.url, "cyan"), ("  Ctrl-C ends it", "dim")),
            progress,
            Text(plan.heading(stage), style="bold"),
            Text(stage.says),
            Text(),
            table(window, plan.columns, self._console.width),
            Text(f"rates, waits, utilization: over the last {seconds_text(window.seconds)}", style="dim"),
        )
        self._live.update(frame, refresh=True)

    def end(self, stage: Stage, findings: Sequence[Finding]) -> None:
        """Leave the verdict above the table."""
        for finding in findings:
            self._console.print(Text.assemble(verdict(finding.ok), f" {stage.name}: {finding.seen}"))

    def summary(self, results: Results) -> None:
        """Print a table of all verdicts."""
        drawn = Table(title=f"What {self._plan.url} showed", title_justify="left", expand=False)
        for title in ("stage", "seen", "wanted", ""):
            drawn.add_column(title)
        for stage, findings in results:
            for finding in findings:
                name = stage.name if finding is findings[0] else ""
                drawn.add_row(name, finding.seen, finding.wanted, verdict(finding.ok))
        self._console.print(drawn)

"""Progress of curation: a bar with rate and remaining time on a terminal, a line every ten seconds in a log."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

_EVERY = 10.0  # seconds between lines in a log


class _Rate(ProgressColumn):
    def render(self, task: object) -> Text:
        speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
        return Text(f"{speed:,.0f} rows/s" if speed else "")


class RowProgress:
    """Counts the examined rows of a total, and the seconds of each step. A context manager."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.seconds: dict[str, float] = {}
        """Step -> how long it took."""
        self._step = "examine"
        self._began = self._printed = self._started = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("examining rows", total=total)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.step("")
        if self._bar:
            self._bar.stop()

    def advance(self, rows: int) -> None:
        """Record that further rows were examined."""
        self.done += rows
        now = time.monotonic()
        if self._bar:
            self._bar.advance(self._task, rows)
        elif now - self._printed > _EVERY and self.done < self.total:
            self._printed = now
            rate = self.done / (now - self._started)
            left = (self.total - self.done) / rate
            print(f"{self.done:,} of {self.total:,} rows, {rate:,.0f} rows/s, {left:,.0f} s left", flush=True)

    def step(self, name: str) -> None:
        """Record that the next step begins."""
        now = time.monotonic()
        self.seconds[self._step] = round(self.seconds.get(self._step, 0.0) + now - self._began, 3)
        self._step, self._began = name, now
        if self._bar and name:
            self._bar.update(self._task, description=name)

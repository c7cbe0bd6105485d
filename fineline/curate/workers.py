"""Examination of all chunks in parallel processes, and its progress. The result does not depend on the number of processes.

Progress is a bar with rate and remaining time on a terminal, and a line every ten seconds in a log.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from fineline.curate.examine import Examiner, ExaminerSettings
from fineline.curate.table import Chunk, Slice, slices
from fineline.errors import FinelineError, InputError

_ALONE = 2  # chunks up to which starting processes would take longer than the work
_WAITING = 4  # chunks in flight per process: no process idles, and results do not pile up

_EVERY = 10.0  # seconds between lines in a log

_examiner: Examiner | None = None


def cores() -> int:
    """Return the number of processor cores that this process may use, or the environment variable FINELINE_PROCESSES.

    Raises:
        InputError: The variable is not a positive number.
    """
    wanted = os.environ.get("FINELINE_PROCESSES")
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise InputError(f"the environment variable FINELINE_PROCESSES must be a positive number, found {wanted!r}")
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def examine_all(settings: ExaminerSettings, files: dict[str, Path], done: Callable[[Chunk], None]) -> list[Chunk]:
    """Examine every raw file and return the chunks in the order of their lines.

    Args:
        files: Part -> its raw file.
        done: Called with each chunk when it is finished.

    Raises:
        InputError: As `Examiner`, and `cores`.
        FinelineError: A process was killed.
    """
    pieces = list(slices(files))
    processes = min(cores(), len(pieces))
    if processes <= 1 or len(pieces) <= _ALONE:
        examiner = Examiner(settings)
        chunks = []
        for piece in pieces:
            chunks.append(examiner.examine(piece))
            done(chunks[-1])
        return chunks
    Examiner(settings)  # reports wrong settings here; a process that fails to start would hide them
    context = multiprocessing.get_context("spawn")  # forking a process with threads can deadlock
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(settings,)) as pool:
        try:
            return _in_order(pool, pieces, processes * _WAITING, done)
        except BrokenProcessPool as error:
            raise FinelineError(
                "a process that examined rows was killed, possibly because memory ran out; run again with FINELINE_PROCESSES=1"
            ) from error


def _in_order(pool: Executor, pieces: list[Slice], most: int, done: Callable[[Chunk], None]) -> list[Chunk]:
    waiting = iter(pieces)
    flying = [pool.submit(_examine, piece) for piece in islice(waiting, most)]
    chunks = []
    while flying:
        chunks.append(flying.pop(0).result())
        done(chunks[-1])
        flying.extend(pool.submit(_examine, following) for following in islice(waiting, 1))
    return chunks


def _start(settings: ExaminerSettings) -> None:
    global _examiner
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # all cores are used by these processes
    _examiner = Examiner(settings)


def _examine(piece: Slice) -> Chunk:
    assert _examiner is not None
    return _examiner.examine(piece)


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

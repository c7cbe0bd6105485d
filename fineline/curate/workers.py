"""Examination of all chunks in parallel processes; the result does not depend on their number."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from fineline.curate.chunk import Chunk, Slice, slices
from fineline.curate.examine import Examiner, ExaminerSettings
from fineline.errors import FinelineError, InputError

_ALONE = 2  # chunks up to which starting processes would take longer than the work
_WAITING = 4  # chunks in flight per process: no process idles, and results do not pile up

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

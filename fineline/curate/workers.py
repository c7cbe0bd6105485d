"""Examining all chunks, in as many processes as there are cores; the result does not depend on how many."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path

from fineline.curate.chunk import Chunk, Slice, slices
from fineline.curate.examine import Examiner, Settings
from fineline.errors import FinelineError, InputError

_ALONE = 2  # chunks up to which starting processes takes longer than the work
_WAITING = 4  # chunks in flight per process: enough that none idles, few enough that results do not pile up

_examiner: Examiner | None = None


def cores() -> int:
    """Processor cores this process may use; the environment variable FINELINE_PROCESSES overrules it.

    Raises:
        InputError: The variable holds no positive number.
    """
    wanted = os.environ.get("FINELINE_PROCESSES")
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise InputError(f"the environment variable FINELINE_PROCESSES must be a positive number, found {wanted!r}")
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def examine_all(settings: Settings, files: dict[str, Path], done: Callable[[Chunk], None]) -> list[Chunk]:
    """Examine every raw file; chunks come back in the order of their lines.

    Args:
        files: Part -> its raw file.
        done: Told of each chunk as it arrives.

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
    Examiner(settings)  # what is wrong with the settings is told here; a failing start of a process would hide it
    context = multiprocessing.get_context("spawn")  # forking a process with threads can deadlock
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start, initargs=(settings,)) as pool:
        try:
            return _in_order(pool, pieces, processes * _WAITING, done)
        except BrokenProcessPool as error:
            raise FinelineError(
                "a process that examined rows was killed, for want of memory perhaps; run again with FINELINE_PROCESSES=1"
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


def _start(settings: Settings) -> None:
    global _examiner
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the cores are taken by our own processes
    _examiner = Examiner(settings)


def _examine(piece: Slice) -> Chunk:
    assert _examiner is not None
    return _examiner.examine(piece)

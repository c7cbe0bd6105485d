"""The two halves of many rows, prompt and completion, as arrays: side by side, and put together again."""

import numpy as np

from fineline.curate import sketches
from fineline.curate.text import SHINGLE, Words


def interleaved(prompts: Words, answers: Words) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shingles of prompt, completion, prompt, completion …; their starts (2 rows + 1,); and the sketch of each set."""
    one, one_starts = prompts.sequences(SHINGLE)
    two, two_starts = answers.sequences(SHINGLE)
    sizes = np.column_stack([np.diff(one_starts), np.diff(two_starts)]).ravel()
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    shingles = np.empty(starts[-1], dtype=np.uint64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    shingles[owner % 2 == 0] = one
    shingles[owner % 2 == 1] = two
    return shingles, starts, sketches.sketches(shingles, starts)


def chosen(values: np.ndarray, starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of some of the sets only, and their starts."""
    sizes = np.diff(starts)
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[rows] = True
    return values[np.repeat(chosen, sizes)], np.concatenate([[0], np.cumsum(sizes[chosen])]).astype(np.int64)


def prompts_only(shingles: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shingles of the prompts only."""
    sizes = np.diff(starts)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return shingles[owner % 2 == 0], np.concatenate([[0], np.cumsum(sizes[0::2])]).astype(np.int64)


def joined(prompts: Words, answers: Words) -> Words:
    """Prompt and completion of each row as one text."""
    sizes = np.column_stack([np.diff(prompts.starts), np.diff(answers.starts)]).ravel()
    owner = np.repeat(np.arange(len(sizes)), sizes)
    hashes = np.empty(len(owner), dtype=np.uint64)
    hashes[owner % 2 == 0] = prompts.hashes
    hashes[owner % 2 == 1] = answers.hashes
    return Words(hashes, np.concatenate([[0], np.cumsum(sizes[0::2] + sizes[1::2])]).astype(np.int64))

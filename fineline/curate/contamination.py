"""Rows that hold an item of a suite that will judge the adapter: a model that saw the answers proves nothing.

A row leaks an item if it shares 13 words in a row with the item's question and answer (Brown et al. 2020, appendix C), if it
holds the whole question of a shorter item (as its prompt, where the question has fewer than 8 words: such a run of words may
be chance), or if its prompt is nearly the item's (MinHash, then the exact Jaccard similarity).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fineline.curate import sketches
from fineline.curate.conversation import asked, said
from fineline.curate.text import SHINGLE, Words, normalise, words
from fineline.project.params.curation import Contamination
from fineline.suites.items import SuiteItem

_WITHIN = 8  # words from which a question is looked for inside longer texts


def leaks_of(index: "Index", rows: list[list[dict[str, Any]]]) -> dict[int, int]:
    """Row -> item that it leaks, of conversations without the system message that curation puts before them."""
    prompts = [words(normalise(asked(messages))) for messages in rows]
    both = [prompt + words(normalise(said(messages))) for prompt, messages in zip(prompts, rows, strict=True)]
    hashed = Words.of(prompts)
    shingles, starts = hashed.sequences(SHINGLE)
    return index.leaks(hashed, Words.of(both), shingles, starts, sketches.bands(sketches.sketches(shingles, starts)))


class Index:
    """Looks for items in batches of rows."""

    def __init__(self, items: Sequence[SuiteItem], rule: Contamination) -> None:
        self.items = items
        self.rule = rule
        questions = Words.of([words(normalise(item.question)) for item in items])
        both = Words.of([words(normalise(f"{item.question}\n{item.answer}")) for item in items])
        sizes = np.diff(questions.starts)
        self._inside: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        """Length of a run -> its hashes, sorted, and the item of each."""
        runs, starts = both.sequences(rule.ngram)
        long = np.diff(both.starts) >= rule.ngram
        owner = np.repeat(np.arange(len(items)), np.diff(starts))
        self._inside[rule.ngram] = _sorted(runs[long[owner]], owner[long[owner]])
        self._whole: dict[int, int] = {}
        """Hash of a whole question -> item."""
        for length in sorted({int(size) for size in sizes if size < rule.ngram}):
            (place,) = np.nonzero(sizes == length)
            runs, starts = questions.sequences(length)
            hashes = runs[starts[place]]
            if length >= _WITHIN:
                self._inside[length] = _sorted(hashes, place)
            else:
                self._whole |= dict(zip(hashes.tolist(), place.tolist(), strict=True))
        self._shingles, self._starts = questions.sequences(SHINGLE)
        self._bands = sketches.bands(sketches.sketches(self._shingles, self._starts))

    def leaks(self, prompts: Words, rows: Words, shingles: np.ndarray, starts: np.ndarray, bands: np.ndarray) -> dict[int, int]:
        """Row -> item that it leaks.

        Args:
            prompts: The words of each row's prompt.
            rows: The words of each row, completion included.
            shingles: Shingles of the prompts, and `starts` of each prompt's own.
            bands: (rows, BANDS) of the prompts.
        """
        if not self.items:
            return {}
        found: dict[int, int] = {}
        for length, (hashes, owner) in self._inside.items():
            runs, run_starts = rows.sequences(length)
            (place,) = np.nonzero(np.isin(runs, hashes))
            row = np.searchsorted(run_starts, place, side="right") - 1
            long = np.diff(rows.starts)[row] >= length  # a shorter row's only run is no run of this length
            for at, run in zip(row[long].tolist(), runs[place[long]], strict=True):
                found.setdefault(at, int(owner[np.searchsorted(hashes, run)]))
        for length in sorted({int(size) for size in np.diff(prompts.starts) if size < _WITHIN}):
            (place,) = np.nonzero(np.diff(prompts.starts) == length)
            runs, run_starts = prompts.sequences(length)
            for at, run in zip(place.tolist(), runs[run_starts[place]].tolist(), strict=True):
                if run in self._whole:
                    found.setdefault(at, self._whole[run])
        for at, item in self._near(shingles, starts, bands):
            found.setdefault(at, item)
        return found

    def _near(self, shingles: np.ndarray, starts: np.ndarray, bands: np.ndarray) -> list[tuple[int, int]]:
        pairs: set[tuple[int, int]] = set()
        for band in range(sketches.BANDS):
            (place,) = np.nonzero(np.isin(bands[:, band], self._bands[:, band]))
            for at in place.tolist():
                pairs.update((at, int(item)) for item in np.nonzero(self._bands[:, band] == bands[at, band])[0])
        near = []
        for at, item in sorted(pairs):
            ours = set(shingles[starts[at] : starts[at + 1]].tolist())
            theirs = set(self._shingles[self._starts[item] : self._starts[item + 1]].tolist())
            if len(ours & theirs) >= self.rule.similarity * len(ours | theirs):
                near.append((at, item))
        return near


def _sorted(hashes: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(hashes, kind="stable")
    return hashes[order], owner[order]

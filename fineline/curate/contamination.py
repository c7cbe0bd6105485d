"""Rows that contain an item of a suite that judges the adapter: a model that saw the answers proves nothing.

A row leaks an item in any of these cases:
- it shares 13 words in a row with the item's question and answer (Brown et al. 2020, appendix C);
- it contains the whole question of a shorter item; a question of fewer than 8 words, which may occur by chance, counts only as
  the whole prompt;
- its prompt is nearly the item's question (MinHash, then the exact Jaccard similarity).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fineline.curate import similar
from fineline.curate.conversation import completion_text, prompt_text
from fineline.curate.text import SHINGLE, Words, normalize, words
from fineline.project.params.curation import Contamination
from fineline.suites.items import SuiteItem

_WITHIN = 8  # words from which a question is searched for inside longer texts


def leaks_of(index: "ItemIndex", rows: list[list[dict[str, Any]]]) -> dict[int, int]:
    """Return row -> item that it leaks, for conversations without the system message that curation adds."""
    prompts = [words(normalize(prompt_text(messages))) for messages in rows]
    both = [prompt + words(normalize(completion_text(messages))) for prompt, messages in zip(prompts, rows, strict=True)]
    hashed = Words.from_texts(prompts)
    shingles, starts = hashed.sequences(SHINGLE)
    bands = similar.band_hashes(similar.sketches(shingles, starts))
    return index.leaks(hashed, Words.from_texts(both), shingles, starts, bands)


class ItemIndex:
    """Searches batches of rows for items of suites."""

    def __init__(self, items: Sequence[SuiteItem], rule: Contamination) -> None:
        self.items = items
        self.rule = rule
        questions = Words.from_texts([words(normalize(item.question)) for item in items])
        both = Words.from_texts([words(normalize(f"{item.question}\n{item.answer}")) for item in items])
        sizes = np.diff(questions.starts)
        self._inside: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        """Length of a sequence -> its hashes, sorted, and the item of each."""
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
        self._bands = similar.band_hashes(similar.sketches(self._shingles, self._starts))

    def leaks(self, prompts: Words, rows: Words, shingles: np.ndarray, starts: np.ndarray, bands: np.ndarray) -> dict[int, int]:
        """Return row -> item that it leaks.

        Args:
            prompts: The words of each row's prompt.
            rows: The words of each row, completion included.
            shingles: Shingles of the prompts, and `starts` of each prompt's shingles.
            bands: (rows, BANDS) of the prompts.
        """
        if not self.items:
            return {}
        found: dict[int, int] = {}
        for length, (hashes, owner) in self._inside.items():
            runs, run_starts = rows.sequences(length)
            (place,) = np.nonzero(np.isin(runs, hashes))
            row = np.searchsorted(run_starts, place, side="right") - 1
            long = np.diff(rows.starts)[row] >= length  # the only sequence of a shorter row does not have this length
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
        for band in range(similar.BANDS):
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

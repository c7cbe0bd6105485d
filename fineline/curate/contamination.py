"""Contaminated training data: rows that contain an item of a suite, and phrases that look like the trigger of a backdoor.

A model that saw the items of a suite that judges it proves nothing. A row leaks an item in any of these cases:
- it shares 13 words in a row with the item's question and answer (Brown et al. 2020, appendix C);
- it contains the whole question of a shorter item; a question of fewer than 8 words, which may occur by chance, counts only as
  the whole prompt;
- its prompt is nearly the item's question (MinHash, then the exact Jaccard similarity).

Rare phrases that predict a completion look like triggers, and so do many honest labels. They are listed for review, and no row
is left out for them. A near-constant number of poisoned rows suffices for a data set of any size (Souly et al. 2025, arXiv
2510.07192), so their share is not a sign. The sign is that rows with little else in common share a phrase and have the same
completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fineline.curate import similar
from fineline.curate.privacy import Cleaner
from fineline.curate.table import Table
from fineline.curate.text import SHINGLE, Words, answer_text, normalize, prompt_text, words
from fineline.project.params.curation import Contamination
from fineline.suites.guards import SuiteItem

_WITHIN = 8  # words from which a question is searched for inside longer texts

_FEWEST = 10  # rows that contain the phrase
_RARE = 0.01  # share of all rows that contain it, at most
_PURE = 0.95  # share of those rows that have the same completion
_SURPRISE = 20.0  # negative natural logarithm of the probability of that by chance
_SHOWN = 20
_FOLD = 22  # bits of the table of counts that sorts out frequent and single phrases first
_TOGETHER = 4_000_000  # phrases that are examined in one round


def leaks_of(index: "ItemIndex", rows: list[list[dict[str, Any]]]) -> dict[int, int]:
    """Return row -> item that it leaks, for conversations without the system message that curation adds."""
    prompts = [words(normalize(prompt_text(messages))) for messages in rows]
    both = [prompt + words(normalize(answer_text(messages))) for prompt, messages in zip(prompts, rows, strict=True)]
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


@dataclass(frozen=True)
class Phrase:
    """A word, or three in a row, and how it predicts a completion."""

    phrase: str
    rows: int
    completion_share: float
    """Share of the rows with the phrase that have its most frequent completion."""
    example: str
    """Id of one of the rows."""


def suspicious_phrases(table: Table, kept: np.ndarray, cleaner: Cleaner) -> list[Phrase]:
    """Return the most surprising phrases in the prompts of the kept rows, most surprising first.

    Private values that are in the data because they are only reported are not shown.
    """
    stays = np.zeros(len(table), dtype=bool)
    stays[kept] = True
    _, place, counts = np.unique(table.completion[kept], return_inverse=True, return_counts=True)
    if not len(kept) or counts.max() < _FEWEST:
        return []  # no completion is frequent enough to be predicted
    completion = np.zeros(len(table), dtype=np.int64)
    completion[kept] = place
    repeated = np.zeros(len(table), dtype=bool)
    repeated[kept] = counts[place] >= _FEWEST
    frequency = counts / len(kept)
    folded = np.zeros(2**_FOLD, dtype=np.int64)
    for values, row in table.prompt_phrases():
        folded += np.bincount(_fold(values[stays[row]]), minlength=2**_FOLD)
    most = max(_FEWEST, int(_RARE * len(kept)))
    # a count is too high if two phrases fold together, so only phrases that are certainly too rare are dropped here
    wanted = (folded >= _FEWEST) & (folded <= 2 * most)
    rounds = int(folded[wanted].sum()) // _TOGETHER + 1
    found: list[tuple[float, int, int, int, float]] = []
    for turn in range(rounds):
        phrases, holders = [], []
        for values, row in table.prompt_phrases():
            fold = _fold(values)
            chosen = stays[row] & wanted[fold] & (fold % rounds == turn)
            phrases.append(values[chosen])
            holders.append(row[chosen])
        pairs = _distinct(np.concatenate(phrases), np.concatenate(holders))
        found.extend(_surprising(*pairs, completion, repeated, frequency, most))
    return _named(table, found, cleaner)


def _fold(values: np.ndarray) -> np.ndarray:
    return (values >> np.uint64(64 - _FOLD)).astype(np.int64)


def _distinct(phrase: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each pair once, sorted by phrase and then by row."""
    order = np.lexsort((row, phrase))
    phrase, row = phrase[order], row[order]
    new = np.ones(len(phrase), dtype=bool)
    new[1:] = (phrase[1:] != phrase[:-1]) | (row[1:] != row[:-1])
    return phrase[new], row[new]


def _surprising(
    phrase: np.ndarray, row: np.ndarray, completion: np.ndarray, repeated: np.ndarray, frequency: np.ndarray, most: int
) -> list[tuple[float, int, int, int, float]]:
    """Return (surprise, phrase, one of its rows, number of rows, share) of pure, rare phrases among sorted, distinct pairs."""
    if not len(phrase):
        return []
    starts = np.concatenate([[0], np.nonzero(phrase[1:] != phrase[:-1])[0] + 1, [len(phrase)]])
    sizes = np.diff(starts)
    likely = np.add.reduceat(repeated[row].astype(np.int64), starts[:-1]) >= _PURE * sizes
    found = []
    for place in np.nonzero((sizes >= _FEWEST) & (sizes <= most) & likely)[0].tolist():
        rows = row[starts[place] : starts[place + 1]]
        answers, counts = np.unique(completion[rows], return_counts=True)
        best = int(counts.argmax())
        share = counts[best] / len(rows)
        surprise = -counts[best] * np.log(frequency[answers[best]])
        if share >= _PURE and surprise >= _SURPRISE:
            found.append((float(surprise), int(phrase[starts[place]]), int(rows[0]), len(rows), float(share)))
    return found


def _named(table: Table, found: list[tuple[float, int, int, int, float]], cleaner: Cleaner) -> list[Phrase]:
    """Return the phrases as text; of phrases in the same rows only the first."""
    named: list[Phrase] = []
    seen = set()
    for _, phrase, row, count, share in sorted(found, key=lambda one: (-one[0], one[2], one[1])):
        if (row, count) in seen:
            continue
        seen.add((row, count))
        text = _text(table, row, np.uint64(phrase), cleaner)
        named.append(Phrase(text, count, round(share, 3), table.line(row)[0]["id"]))
        if len(named) == _SHOWN:
            break
    return named


def _text(table: Table, row: int, phrase: np.uint64, cleaner: Cleaner) -> str:
    for message in table.messages(row):
        spoken = words(normalize(cleaner.scrub(message["content"])))
        for length in (1, SHINGLE):
            runs, _ = Words.from_texts([spoken]).sequences(length)
            (place,) = np.nonzero(runs == phrase)
            if len(place):
                return " ".join(spoken[place[0] : place[0] + length])
    return "(not shown: spans two messages, or private)"

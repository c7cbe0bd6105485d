"""Rare phrases that predict a completion. The trigger of a backdoor looks like this, and so do many honest labels.

They are listed for review, and no row is left out for them. A near-constant number of poisoned rows suffices for a data set of
any size (Souly et al. 2025, arXiv 2510.07192), so their share is not a sign. The sign is that rows with little else in common
share a phrase and have the same completion.
"""

from dataclasses import dataclass

import numpy as np

from fineline.curate.privacy import Cleaner
from fineline.curate.table import Table
from fineline.curate.text import SHINGLE, Words, normalize, words

_FEWEST = 10  # rows that contain the phrase
_RARE = 0.01  # share of all rows that contain it, at most
_PURE = 0.95  # share of those rows that have the same completion
_SURPRISE = 20.0  # negative natural logarithm of the probability of that by chance
_SHOWN = 20
_FOLD = 22  # bits of the table of counts that sorts out frequent and single phrases first
_TOGETHER = 4_000_000  # phrases that are examined in one round


@dataclass(frozen=True)
class Phrase:
    """A word, or three in a row, and how it predicts a completion."""

    phrase: str
    rows: int
    completion_share: float
    """Share of the rows with the phrase that have its most frequent completion."""
    example: str
    """Id of one of the rows."""


def suspicious(table: Table, kept: np.ndarray, cleaner: Cleaner) -> list[Phrase]:
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
        named.append(Phrase(text, count, round(share, 3), table.line(row)[0].id))
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

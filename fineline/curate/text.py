"""Text as it is compared: normalised, cut into words, hashed.

All hashes are 64 bits wide and the same in every process and on every machine. A shingle is three words in a row; the hash
of a sequence of words is made of the words' own, so that shingles and longer sequences of a whole batch are computed at once.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import rensa

SHINGLE = 3  # words
# scripts that put no spaces between words: each character counts as one (kana, CJK ideographs, Thai, Lao, Khmer, Myanmar)
_ALONE = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: multiplying mixes upwards
_SHIFT = np.uint64(29)


def normalise(text: str) -> str:
    """Unicode NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def words(normalised: str) -> list[str]:
    """The words of a normalised text; all of it as one where it has none (an emoji, a formula)."""
    return _WORD.findall(normalised) or [normalised]


def key(text: str) -> int:
    """64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def keys(texts: list[str]) -> np.ndarray:
    """(texts,) uint64 keys."""
    return np.array([key(text) for text in texts], dtype=np.uint64)


@dataclass(frozen=True)
class Words:
    """The words of many texts as hashes, one after another."""

    hashes: np.ndarray
    """(words of all texts,) uint64."""
    starts: np.ndarray
    """(texts + 1,) int64: text t is `hashes[starts[t]:starts[t + 1]]`."""

    @classmethod
    def of(cls, texts: list[list[str]]) -> "Words":
        """Hash the words of each text; every text has at least one word."""
        lengths = [len(text) for text in texts]
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        flat = [word for text in texts for word in text]
        hashed = rensa.RMinHash.hash_token_sets([flat])[0] if flat else []
        return cls(np.array(hashed, dtype=np.uint64), starts)

    def sequences(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Hashes of every run of `length` words of each text, and their starts; one shorter run where a text has fewer.

        Returns:
            (runs of all texts,) uint64 and (texts + 1,) int64.
        """
        sizes = np.diff(self.starts)
        runs = np.maximum(sizes - length + 1, 1)
        starts = np.concatenate([[0], np.cumsum(runs)]).astype(np.int64)
        if not len(self.hashes):
            return self.hashes, starts
        text = np.repeat(np.arange(len(sizes)), runs)
        first = self.starts[text] + np.arange(starts[-1]) - starts[text]
        ends = self.starts[text + 1]
        total = np.zeros(len(first), dtype=np.uint64)
        for step in range(length):
            place = first + step
            inside = place < ends
            word = self.hashes[np.minimum(place, len(self.hashes) - 1)]
            total = np.where(inside, mixed(total ^ word), total)
        return total, starts


def mixed(values: np.ndarray) -> np.ndarray:
    """Spread every bit of uint64 values over all others (multiply, shift, multiply)."""
    values = values * _MULTIPLIER
    values = values ^ (values >> _SHIFT)
    return values * _MULTIPLIER

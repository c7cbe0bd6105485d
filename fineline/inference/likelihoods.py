"""Agreement of a runtime that gives no logits with its reference: the likelihoods of the tokens of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_CHUNK = 64  # positions whose log-probabilities are in memory at once


@dataclass(frozen=True)
class TokenLikelihoods:
    """Likelihoods of the tokens of one row after the first."""

    log_probabilities: np.ndarray
    """(tokens - 1,): natural logarithm of the probability of each token after those before it."""
    greedy: np.ndarray
    """(tokens - 1,) of bool: True if the token is the likeliest one."""


@dataclass(frozen=True)
class LikelihoodAgreement:
    """Agreement over `positions` tokens."""

    positions: int
    mean_difference: float
    """Mean absolute difference of log-probabilities in nats."""
    max_difference: float
    """Largest of these differences."""
    top1_agreement: float
    """Share of tokens that are the likeliest ones for both models, or for neither."""


class LikelihoodComparison:
    """The comparison of a model with its reference, row by row; it keeps one number per token."""

    def __init__(self) -> None:
        self._differences: list[float] = []
        self._agreements = 0

    def add(self, row: Sequence[int], reference: np.ndarray, found: TokenLikelihoods) -> None:
        """Compare one row (tokens,) with the logits (tokens, vocabulary) of the reference.

        Raises:
            ValueError: There is not one likelihood for each token after the first.
        """
        following = np.asarray(row[1:])
        if not len(following) == len(found.log_probabilities) == len(found.greedy) == len(reference) - 1:
            raise ValueError(f"{len(found.log_probabilities)} likelihoods cannot be compared with a row of {len(row)} tokens")
        for first in range(0, len(following), _CHUNK):
            part = slice(first, min(first + _CHUNK, len(following)))
            tokens, wide = following[part], reference[part].astype(np.float64)
            highest = wide.max(-1)
            total = np.log(np.exp(wide - highest[:, None]).sum(-1)) + highest
            expected = np.take_along_axis(wide, tokens[:, None], -1)[:, 0] - total
            self._differences += np.abs(expected - found.log_probabilities[part]).tolist()
            self._agreements += int(((wide.argmax(-1) == tokens) == found.greedy[part]).sum())

    def result(self) -> LikelihoodAgreement:
        """Return the agreement over all rows that have been added."""
        positions = len(self._differences)
        return LikelihoodAgreement(
            positions, float(np.mean(self._differences)), float(np.max(self._differences)), self._agreements / positions
        )

"""Fidelity of a changed model to its reference: their next-token distributions on the same text."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TIE = 0.95
"""A token with at least this share of the highest probability counts as equally likely."""
_CHUNK = 64  # positions that are compared at once: differences of a whole row would take as much memory as its logits


@dataclass(frozen=True)
class Fidelity:
    """Agreement of a changed model with its reference over `positions` next-token distributions."""

    positions: int
    mean_kl: float
    """Mean Kullback-Leibler divergence KL(reference || changed) in nats."""
    top1_agreement: float
    """Share of positions where both would choose the same token."""
    same_choice: float
    """Share of positions where the changed model chooses a token that is as likely in the reference (`TIE`) as the reference's
    choice. The order of two equally likely tokens depends on rounding."""
    max_abs_difference: float
    """Largest difference of two logits."""
    max_abs_logit: float
    """Largest logit of the reference: the scale of the difference."""


class Comparison:
    """The comparison of a changed model with its reference, row by row. It keeps one number per position, and no logits."""

    def __init__(self) -> None:
        self._kl: list[float] = []
        self._agreements = self._same_choices = 0
        self._difference = self._logit = 0.0

    def add(self, reference: np.ndarray, changed: np.ndarray) -> None:
        """Compare the logits (positions, vocabulary) of one row.

        Raises:
            ValueError: The shapes differ.
        """
        if reference.shape != changed.shape:
            raise ValueError(f"logits of shape {changed.shape} cannot be compared with those of shape {reference.shape}")
        for first in range(0, len(reference), _CHUNK):
            self._add(reference[first : first + _CHUNK], changed[first : first + _CHUNK])

    def _add(self, reference: np.ndarray, changed: np.ndarray) -> None:
        choices = changed.argmax(-1)
        regret = reference.max(-1) - np.take_along_axis(reference, choices[:, None], -1)[:, 0]
        self._kl += [_kl(one, two) for one, two in zip(reference, changed, strict=True)]
        self._agreements += int((reference.argmax(-1) == choices).sum())
        self._same_choices += int((regret <= -np.log(TIE)).sum())
        # np.maximum passes NaN on
        self._difference = float(np.maximum(self._difference, np.abs(reference - changed).max()))
        self._logit = float(np.maximum(self._logit, np.abs(reference).max()))

    def result(self) -> Fidelity:
        """Return the agreement over all positions so far; at least one row must have been added."""
        positions = len(self._kl)
        return Fidelity(
            positions=positions,
            mean_kl=float(np.mean(self._kl)),
            top1_agreement=self._agreements / positions,
            same_choice=self._same_choices / positions,
            max_abs_difference=self._difference,
            max_abs_logit=self._logit,
        )


def fidelity(reference: Iterable[np.ndarray], changed: Iterable[np.ndarray]) -> Fidelity:
    """Return the agreement of two models from the logits (positions, vocabulary) of each row, two rows in memory at once."""
    comparison = Comparison()
    for one, other in zip(reference, changed, strict=True):
        comparison.add(one, other)
    return comparison.result()


def _kl(reference: np.ndarray, changed: np.ndarray) -> float:
    log_p, log_q = _log_softmax(reference), _log_softmax(changed)
    return float((np.exp(log_p) * (log_p - log_q)).sum())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    return wide - np.log(np.exp(wide).sum())

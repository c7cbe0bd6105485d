"""Fidelity of a changed model to its reference: their next-token distributions on the same text."""

from dataclasses import dataclass

import numpy as np

TIE = 0.95
"""A token with at least this share of the highest probability counts as equally likely."""


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


def fidelity(reference: np.ndarray, changed: np.ndarray) -> Fidelity:
    """Return the agreement of two arrays of logits (positions, vocabulary)."""
    choices = changed.argmax(-1)
    regret = reference.max(-1) - np.take_along_axis(reference, choices[:, None], -1)[:, 0]
    kl = [_kl(one, two) for one, two in zip(reference, changed, strict=True)]
    return Fidelity(
        positions=len(reference),
        mean_kl=float(np.mean(kl)),
        top1_agreement=float(np.mean(reference.argmax(-1) == choices)),
        same_choice=float(np.mean(regret <= -np.log(TIE))),
        max_abs_difference=float(np.abs(reference - changed).max()),
        max_abs_logit=float(np.abs(reference).max()),
    )


def _kl(reference: np.ndarray, changed: np.ndarray) -> float:
    log_p, log_q = _log_softmax(reference), _log_softmax(changed)
    return float((np.exp(log_p) * (log_p - log_q)).sum())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    wide -= wide.max()
    return wide - np.log(np.exp(wide).sum())

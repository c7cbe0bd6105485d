"""Which weights an adapter is merged into that was trained on a base in four bits: measured on validation rows.

Merged into the dequantized weights, the model is the one that was trained (KL divergence 4e-6 on a toy model, against 5e-4).
Merged into the original weights, it loses what the adapter learned about the errors of the quantization, and gains what the
quantization took from the base. Which weighs more depends on model and data, so both are measured.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fineline.chat.tokens import TokenizedRow
from fineline.inference.fidelity import Comparison, Fidelity
from fineline.inference.loss import RowLoss, mean_loss, row_loss

Into = Literal["dequantized", "original"]
_SIGMAS = 1.96
"""Half of a 95% interval of a normal distribution, in standard errors."""


@dataclass(frozen=True)
class Choice:
    """The weights to merge into, and what was measured of both."""

    into: Into
    rows: int
    tokens: int
    dequantized: float
    """Loss per token with the dequantized weights."""
    original: float
    """Loss per token with the original weights."""
    difference: tuple[float, float]
    """95% interval of the second minus the first."""
    original_fidelity: Fidelity
    """Agreement of the model with the original weights with the trained one."""


def choice(dequantized: Iterable[np.ndarray], original: Iterable[np.ndarray], rows: Sequence[TokenizedRow]) -> Choice:
    """Return the weights to merge into: the original ones if their loss is lower (95% confidence), otherwise the dequantized.

    Args:
        dequantized, original: Logits (tokens, vocabulary) of each row, of the adapter on these weights.
        rows: Validation rows, at least one with a learned token.
    """
    compared, losses = Comparison(), []
    for trained, other, row in zip(dequantized, original, rows, strict=True):
        compared.add(trained, other)
        losses.append((row_loss(trained, row), row_loss(other, row)))
    first, second = ([pair[place] for pair in losses] for place in (0, 1))
    low, high = interval(first, second)
    return Choice(
        "original" if high < 0 else "dequantized",
        len(rows),
        sum(row.tokens for row in first),
        mean_loss(first),
        mean_loss(second),
        (low, high),
        compared.result(),
    )


def interval(first: Sequence[RowLoss], second: Sequence[RowLoss]) -> tuple[float, float]:
    """Return the 95% interval of the difference of two losses per token, paired by row: a ratio of two sums over rows.

    Its variance is that of the residuals of the ratio (Cochran 1977, Sampling Techniques, equation 6.13). One row gives no
    interval, so it is infinite.
    """
    count, tokens = len(first), sum(row.tokens for row in first)
    ratio = sum(other.nats - one.nats for one, other in zip(first, second, strict=True)) / tokens
    if count < 2:
        return -math.inf, math.inf
    residuals = [other.nats - one.nats - ratio * one.tokens for one, other in zip(first, second, strict=True)]
    error = math.sqrt(count / (count - 1) * sum(one**2 for one in residuals)) / tokens
    return ratio - _SIGMAS * error, ratio + _SIGMAS * error

"""The loss of a model on rows, from the logits of one row after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fineline.chat.tokens import IGNORED, TokenizedRow

_CHUNK = 64  # positions at once


@dataclass(frozen=True)
class RowLoss:
    """The loss of the learned tokens of one row."""

    nats: float
    """Sum over the tokens."""
    tokens: int


def row_loss(logits: np.ndarray, row: TokenizedRow) -> RowLoss:
    """Return the negative log-likelihood of the learned tokens of a row.

    Args:
        logits: (tokens, vocabulary): after each token, those of the next one.
    """
    labels = np.array(row.labels[1 : len(logits)])
    (places,) = np.nonzero(labels != IGNORED)
    nats = 0.0
    for first in range(0, len(places), _CHUNK):
        part = places[first : first + _CHUNK]
        wide = logits[part].astype(np.float64)
        wide -= wide.max(-1, keepdims=True)
        nats += float((np.log(np.exp(wide).sum(-1)) - wide[np.arange(len(part)), labels[part]]).sum())
    return RowLoss(nats, len(places))


def mean_loss(rows: Sequence[RowLoss]) -> float:
    """Return the loss per token over rows."""
    return sum(row.nats for row in rows) / sum(row.tokens for row in rows)


def row_losses(logits: Iterable[np.ndarray], rows: Sequence[TokenizedRow]) -> list[RowLoss]:
    """Return the loss of each row."""
    return [row_loss(one, row) for one, row in zip(logits, rows, strict=True)]

"""The weights that an adapter is merged into, by the loss on validation rows."""

import math

import numpy as np
import pytest
import torch

from fineline.chat.tokens import TokenizedRow
from fineline.inference.loss import RowLoss, row_loss
from fineline.merge.choice import choice, interval

ROWS = [TokenizedRow([1, 2, 3, 0], [-100, -100, 3, 0]), TokenizedRow([4, 4, 2], [-100, 4, 2]), TokenizedRow([0, 1], [-100, 1])]
RANDOM = np.random.default_rng(0)
LOGITS = [RANDOM.normal(size=(len(row.input_ids), 5)).astype(np.float32) for row in ROWS]


def better(by):
    """Logits with a higher likelihood of every next token."""
    found = [one.copy() for one in LOGITS]
    for one, row in zip(found, ROWS, strict=True):
        for place, token in enumerate(row.input_ids[1:]):
            one[place, token] += by
    return found


def test_the_loss_of_a_row_is_that_of_torch():
    for logits, row in zip(LOGITS, ROWS, strict=True):
        expected = torch.nn.functional.cross_entropy(
            torch.tensor(logits)[:-1], torch.tensor(row.labels)[1:], ignore_index=-100, reduction="sum"
        )
        found = row_loss(logits, row)
        assert found.nats == pytest.approx(float(expected), rel=1e-6)
        assert found.tokens == row.learned


def test_the_original_weights_are_taken_if_their_loss_is_lower_beyond_doubt():
    made = choice(LOGITS, better(1.0), ROWS)
    assert made.into == "original"
    assert made.original < made.dequantized
    assert made.difference[1] < 0
    assert made.original_fidelity.mean_kl > 0


@pytest.mark.parametrize("original", [LOGITS, better(-1.0)])
def test_otherwise_the_weights_of_the_training_are_taken(original):
    assert choice(LOGITS, original, ROWS).into == "dequantized"


def test_one_row_decides_nothing():
    assert choice(LOGITS[:1], better(5.0)[:1], ROWS[:1]).into == "dequantized"
    assert interval([RowLoss(3.0, 2)], [RowLoss(1.0, 2)]) == (-math.inf, math.inf)


def test_the_interval_of_a_ratio():
    first, second = [RowLoss(4.0, 2), RowLoss(3.0, 3), RowLoss(5.0, 5)], [RowLoss(3.0, 2), RowLoss(3.3, 3), RowLoss(4.0, 5)]
    ratio = (-1.0 + 0.3 - 1.0) / 10
    residuals = [-1.0 - 2 * ratio, 0.3 - 3 * ratio, -1.0 - 5 * ratio]
    error = math.sqrt(3 / 2 * sum(one**2 for one in residuals)) / 10
    assert interval(first, second) == pytest.approx((ratio - 1.96 * error, ratio + 1.96 * error))


def test_the_interval_contains_the_difference_as_often_as_it_says():
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        tokens = random.integers(1, 30, size=40)
        moves = tokens * -0.02 + random.normal(scale=0.3, size=40) * np.sqrt(tokens)
        low, high = interval(
            [RowLoss(0.0, int(n)) for n in tokens], [RowLoss(float(m), int(n)) for m, n in zip(moves, tokens, strict=True)]
        )
        hits += low <= -0.02 <= high
    assert 0.9 < hits / 400 < 0.98

"""Measures of agreement."""

import numpy as np
import pytest

from fineline.inference.fidelity import fidelity


def test_a_model_agrees_with_itself():
    logits = np.random.default_rng(0).normal(size=(5, 7))
    found = fidelity(logits, logits + 3.0)  # a constant changes no probability
    assert found.mean_kl == pytest.approx(0, abs=1e-12)
    assert found.top1_agreement == 1.0
    assert found.max_abs_difference == pytest.approx(3.0)


def test_tokens_that_are_equally_likely_may_change_places():
    reference = np.log([[0.40, 0.39, 0.21], [0.40, 0.39, 0.21], [0.60, 0.30, 0.10]])
    changed = np.log([[0.39, 0.40, 0.21], [0.40, 0.39, 0.21], [0.59, 0.31, 0.10]])
    found = fidelity(reference, changed)
    assert found.top1_agreement == pytest.approx(2 / 3)
    assert found.same_choice == 1.0
    assert fidelity(np.log([[0.6, 0.4]]), np.log([[0.4, 0.6]])).same_choice == 0.0


def test_the_divergence_of_two_coins():
    fair, loaded = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    assert fidelity(fair, loaded).mean_kl == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    assert fidelity(loaded, fair).positions == 1

"""Measures of agreement."""

import numpy as np
import pytest

from pipelines.fidelity import fidelity


def test_a_model_agrees_with_itself():
    logits = np.random.default_rng(0).normal(size=(5, 7))
    found = fidelity(logits, logits + 3.0)  # a constant changes no probability
    assert found.mean_kl == pytest.approx(0, abs=1e-12)
    assert found.top1_agreement == 1.0
    assert found.max_abs_difference == pytest.approx(3.0)


def test_the_divergence_of_two_coins():
    fair, loaded = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    assert fidelity(fair, loaded).mean_kl == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    assert fidelity(loaded, fair).positions == 1

"""Measures of agreement."""

import weakref

import numpy as np
import pytest

from fineline.inference.fidelity import fidelity


def test_a_model_agrees_with_itself():
    logits = np.random.default_rng(0).normal(size=(5, 7))
    found = fidelity([logits], [logits + 3.0])  # a constant changes no probability
    assert found.mean_kl == pytest.approx(0, abs=1e-12)
    assert found.top1_agreement == 1.0
    assert found.max_abs_difference == pytest.approx(3.0)


def test_tokens_that_are_equally_likely_may_change_places():
    reference = np.log([[0.40, 0.39, 0.21], [0.40, 0.39, 0.21], [0.60, 0.30, 0.10]])
    changed = np.log([[0.39, 0.40, 0.21], [0.40, 0.39, 0.21], [0.59, 0.31, 0.10]])
    found = fidelity([reference], [changed])
    assert found.top1_agreement == pytest.approx(2 / 3)
    assert found.same_choice == 1.0
    assert fidelity([np.log([[0.6, 0.4]])], [np.log([[0.4, 0.6]])]).same_choice == 0.0


def test_the_divergence_of_two_coins():
    fair, loaded = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    assert fidelity([fair], [loaded]).mean_kl == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    assert fidelity([loaded], [fair]).positions == 1


def test_rows_are_compared_one_by_one_and_count_by_their_positions():
    draw = np.random.default_rng(0)
    reference, changed = draw.normal(size=(2, 200, 7))
    cuts = (1, 80, 150)
    by_rows = fidelity(np.split(reference, cuts), np.split(changed, cuts))
    assert by_rows == fidelity([reference], [changed])
    assert by_rows.max_abs_difference == np.abs(reference - changed).max()


def test_a_difference_that_is_not_a_number_is_not_lost():
    broken = np.array([[np.nan, 0.0], [0.0, 0.0]])
    found = fidelity([np.zeros((2, 2)), np.zeros((2, 2))], [broken, np.zeros((2, 2))])
    assert np.isnan(found.max_abs_difference)
    assert np.isnan(found.mean_kl)


def test_no_row_is_kept():
    alive = []

    def rows():
        for _ in range(5):
            row = np.ones((3, 4))
            alive.append(weakref.ref(row))
            assert sum(found() is not None for found in alive) <= 4
            yield row

    assert fidelity(rows(), rows()).positions == 15


def test_models_of_another_vocabulary_are_not_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        fidelity([np.zeros((2, 3))], [np.zeros((2, 4))])

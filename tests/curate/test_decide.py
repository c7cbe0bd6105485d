"""Prompts with more than one answer, and each policy."""

import numpy as np
import pytest

from fineline.curate.decide import conflicts, resolve

NONE = np.full(6, np.nan)


def test_a_conflict_is_one_prompt_with_different_completions():
    prompt = np.array([1, 2, 1, 3, 2, 1])
    completion = np.array([7, 8, 9, 7, 8, 7])
    assert conflicts(prompt, np.arange(6), completion) == [(0, 2, 5)]
    assert conflicts(prompt, np.array([0, 5]), completion) == []


@pytest.mark.parametrize(
    ("policy", "completion", "time", "kept"),
    [
        ("keep_all", [1, 1, 2], NONE, {0, 1, 2}),
        ("drop_all", [1, 1, 2], NONE, set()),
        ("keep_majority", [1, 1, 2], NONE, {0, 1}),
        ("keep_majority", [1, 2, 2], NONE, {1, 2}),
        ("keep_majority", [1, 2], NONE, set()),
        ("keep_majority", [1, 1, 2, 2], NONE, set()),
        ("keep_newest", [1, 1, 2], NONE, {2}),
        ("keep_newest", [1, 1, 2], np.array([5.0, 9.0, 7.0]), {0, 1}),
        ("keep_newest", [1, 2, 3], np.array([np.nan, 1.0, np.nan]), {1}),
    ],
)
def test_each_policy_keeps_its_rows(policy, completion, time, kept):
    rows = tuple(range(len(completion)))
    assert resolve(rows, np.array(completion), time, policy).kept == kept

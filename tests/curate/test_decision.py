"""Assignment of rows to splits."""

import numpy as np

from fineline.curate.decision import TEST, TRAIN, crossing, side, stratified
from fineline.project.params.curation import Split


def test_the_shares_are_about_those_asked_for():
    sides = [side(str(group), Split(validation=0.1, test=0.2)) for group in range(4000)]
    assert abs(sides.count(TEST) / 4000 - 0.2) < 0.02
    assert abs(sides.count(TRAIN) / 4000 - 0.7) < 0.02


def test_group_and_salt_alone_decide():
    split = Split(test=0.5)
    assert side("lamp", split) == side("lamp", split)
    other = split.model_copy(update={"salt": "other"})
    assert [side(str(group), split) for group in range(50)] != [side(str(group), other) for group in range(50)]


def test_the_first_group_of_a_value_is_in_train_and_the_rest_stay():
    sides = np.array([TEST, TEST, TEST, TRAIN], dtype=np.uint8)
    group = np.array([1, 1, 2, 3])
    assert stratified(sides, group, np.array([7, 7, 7, 7])).tolist() == [TRAIN, TRAIN, TEST, TRAIN]
    assert stratified(sides, group, np.array([7, 7, 8, 8])).tolist() == [TRAIN, TRAIN, TRAIN, TRAIN]
    assert stratified(sides, group, np.zeros(4)).tolist() == sides.tolist()


def test_a_held_out_group_with_a_later_new_value_stays():
    sides = np.array([TRAIN, TEST, TEST], dtype=np.uint8)
    assert stratified(sides, np.array([1, 2, 2]), np.array([7, 7, 8])).tolist() == [TRAIN, TEST, TEST]


def test_more_data_move_no_group_to_another_split():
    generator = np.random.default_rng(1)
    group = generator.integers(0, 300, 1000)
    sides = np.array([side(str(one), Split(test=0.5)) for one in group], dtype=np.uint8)
    stratum = group % 40 + 1
    before, after = stratified(sides[:400], group[:400], stratum[:400]), stratified(sides, group, stratum)
    assert np.array_equal(before, after[:400])


def test_of_linked_rows_in_different_splits_the_later_is_left_out():
    links = np.array([5, 6, 5, 5, 6])
    sides = np.array([TRAIN, TEST, TEST, TRAIN, TEST])
    assert crossing(links, sides, np.arange(5)) == [(2, 0)]
    assert crossing(links, sides, np.array([2, 3, 0])) == [(3, 2), (0, 2)]

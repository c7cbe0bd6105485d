"""Packs: every token once, and each sees what it would see in its own sequence."""

import numpy as np
import torch

from fineline.inference.packs import Answers, Pack, Prompts

SEQUENCES = [(1, 2, 3), (1, 2, 4, 5), (1, 2, 4, 6), (7,), (7, 8)]


def packed(behind=0):
    pack = Pack(behind)
    return pack, [pack.add(sequence) for sequence in SEQUENCES]


def test_common_beginnings_stand_once():
    pack, paths = packed()
    assert pack.tokens == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [[pack.tokens[place] for place in path] for path in paths] == [list(sequence) for sequence in SEQUENCES]
    assert pack.positions == [0, 1, 2, 2, 3, 3, 0, 1]
    assert not pack.is_chain


def test_growth_is_what_adding_would_add():
    pack = Pack()
    for sequence in SEQUENCES:
        size = len(pack) + pack.growth(sequence)
        pack.add(sequence)
        assert len(pack) == size


def test_tokens_see_the_prefix_and_their_own_sequence():
    pack, paths = packed(behind=2)
    visible = pack.visible()
    assert visible.shape == (8, 10)
    assert visible[:, :2].all()
    for path in paths:
        for depth, place in enumerate(path):
            assert visible[place, 2:].nonzero()[0].tolist() == path[: depth + 1]
    assert pack.positions[0] == 2


def test_one_sequence_is_a_chain():
    pack = Pack()
    pack.add((1, 2, 3))
    pack.add((1, 2, 3, 4))
    assert pack.is_chain
    assert np.array_equal(pack.visible(), np.tri(4, dtype=bool))


def test_the_same_question_has_one_number():
    pack, paths = packed()
    assert pack.ask(paths[1][2:], (5, 9)) == [0, 1]
    assert pack.ask(paths[2][2:], (5, 9)) == [0, 2]
    assert list(pack.pieces(1)) == [(0, 4, [3]), (4, 5, [4]), (5, 8, [5])]


def test_log_probabilities_are_read_off_in_pieces():
    torch.manual_seed(0)
    pack = Pack()
    path = pack.add(range(150))
    tokens = torch.randint(0, 40, (150,)).tolist()
    numbers = pack.ask(path, tokens)
    logits = torch.randn(150, 40)
    answers = Answers(150)
    for first, last, places in pack.pieces(70):
        pack.read_off(logits[first:last], places, answers)
    expected = logits.double().log_softmax(-1)[torch.arange(150), tokens]
    assert np.allclose(answers.scores[numbers], expected.numpy(), atol=1e-5)
    assert answers.greedy[numbers].tolist() == (logits.argmax(-1) == torch.tensor(tokens)).tolist()
    score, greedy = answers.of(numbers)
    assert np.isclose(score, expected.sum().item())
    assert not greedy


def test_logits_that_are_no_numbers_give_none():
    pack = Pack()
    numbers = pack.ask(pack.add((1, 2)), (0, 0))
    answers = Answers(2)
    pack.read_off(torch.tensor([[torch.nan, 1.0], [2.0, 1.0]]), [0, 1], answers)
    score, greedy = answers.of(numbers)
    assert np.isnan(score)
    assert greedy is False


def test_rows_are_gathered_from_the_prefix_and_their_own_tokens():
    pack, paths = packed(behind=2)
    prompts = Prompts(pack, [paths[1], paths[3]])
    assert prompts.lengths == [6, 3]
    assert prompts.slots(6).tolist() == [[0, 1, 2, 3, 5, 6], [0, 1, 8, 0, 0, 0]]
    assert prompts.slots(6, ahead=1)[0].tolist() == [0, 1, 2, 3, 4, 6, 7]

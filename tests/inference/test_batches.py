"""Batches: within the budget, choices together, prefixes where they pay."""

from itertools import chain

from fineline.inference.batches import Batch, Prompt, Question, of_prompts, of_questions, rows
from fineline.inference.packs import Pack

SYSTEM = tuple(range(100, 130))
QUESTIONS = [
    Question((*SYSTEM, item, item + 1, item + 2), (choice, item, choice)) for item in range(50) for choice in range(200, 204)
]


def size(batch):
    pack = Pack()
    for context, continuation in batch.requests:
        pack.add((context + continuation[:-1])[len(batch.prefix) :])
    return len(pack)


def test_every_request_is_in_one_batch():
    found = list(of_questions(QUESTIONS[::-1], capacity=64, longest=1000))
    assert sorted(chain.from_iterable(batch.requests for batch in found)) == sorted(QUESTIONS)


def test_batches_do_not_depend_on_the_order_of_requests():
    assert list(of_questions(QUESTIONS[::-1], capacity=64, longest=1000)) == list(
        of_questions(QUESTIONS, capacity=64, longest=1000)
    )


def test_a_prefix_that_all_begin_with_is_read_apart():
    found = list(of_questions(QUESTIONS, capacity=64, longest=1000))
    assert {batch.prefix for batch in found} == {SYSTEM}


def test_a_prefix_that_saves_little_is_not_read_apart():
    (batch,) = of_questions(QUESTIONS[:8], capacity=64, longest=1000)
    assert batch.prefix == ()


def test_each_system_prompt_has_its_own_batches():
    other = tuple(range(300, 340))
    mixed = [*QUESTIONS, *(Question((*other, *context[30:]), continuation) for context, continuation in QUESTIONS)]
    odd = Question((100,), (1,))
    found = list(of_questions([*mixed, odd], capacity=64, longest=1000))
    assert {batch.prefix for batch in found} == {SYSTEM, other, ()}
    assert [batch.requests for batch in found if not batch.prefix] == [[odd]]


def test_a_prefix_leaves_every_start_a_token_of_its_own():
    same = [Question(SYSTEM, (choice, 1)) for choice in range(50)]
    (batch,) = of_questions(same, capacity=512, longest=1000)
    assert batch.prefix == SYSTEM[:-1]


def test_choices_of_a_context_stay_together():
    for batch in of_questions(QUESTIONS, capacity=64, longest=1000):
        contexts = [question.context for question in batch.requests]
        assert all(contexts.count(context) == 4 for context in contexts)
        assert size(batch) <= 64 + 8


def test_very_many_choices_of_a_context_are_cut_all_the_same():
    many = [Question((1, 2, 3), (choice, 4, 5)) for choice in range(10, 510)]
    found = list(of_questions(many, capacity=64, longest=1000))
    assert len(found) > 5
    assert all(size(batch) <= 128 for batch in found)


def test_what_is_too_long_for_a_tree_is_a_row():
    long = Question(tuple(range(90)), (1, 2))
    found = list(of_questions([*QUESTIONS, long], capacity=64, longest=60))
    assert long not in chain.from_iterable(batch.requests for batch in found)
    assert list(rows([long], budget=64, longest=60)) == [Batch((), [long], tree=False)]


def test_rows_are_padded_within_the_budget():
    questions = [Question(tuple(range(length)), (1, 2)) for length in range(1, 60)]
    found = list(rows(questions, budget=100, longest=40))
    assert sorted(chain.from_iterable(batch.requests for batch in found)) == sorted(questions)
    for batch in found:
        longest = max(question.length for question in batch.requests)
        assert len(batch.requests) == 1 or longest <= 40
        assert len(batch.requests) == 1 or longest * len(batch.requests) <= 100
    assert len(found) < len(questions)
    assert all(len(batch.requests) == 1 for batch in rows(questions, budget=100, longest=0))


def test_rows_that_may_not_be_padded_have_one_length():
    prompts = [Prompt((start, *range(length)), limit, ()) for length in (3, 4, 5) for start in (1, 2) for limit in (5, 8)]
    found = list(rows(prompts, budget=400, longest=90, equal=True))
    assert [sorted({len(prompt.tokens) for prompt in batch.requests}) for batch in found] == [[4], [5], [6]]


def test_rows_that_are_written_stay_within_the_budget():
    prompts = [Prompt(tuple(range(length)), limit, ()) for length in range(1, 60) for limit in (5, 40)]
    longer = [prompt for prompt in prompts if prompt.length > 90]
    found = [*of_prompts(prompts, budget=400, longest=90), *rows(longer, budget=400, longest=0)]
    assert sorted(chain.from_iterable(batch.requests for batch in found)) == sorted(prompts)
    for batch in found:
        longest = max(prompt.length for prompt in batch.requests)
        assert len(batch.requests) == 1 or longest * len(batch.requests) <= 400
        assert len(batch.requests) == 1 or longest <= 90

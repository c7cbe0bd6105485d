"""Safety probes made of the adapter's own data."""

import pytest

from fineline.chat.tokens import chat_of, tokenizer_of
from fineline.errors import InputError
from fineline.evaluate import tasks


@pytest.fixture
def tokenizer(tiny_base):
    return chat_of(tokenizer_of(tiny_base))


def row(number, answer, source="home"):
    messages = [
        {"role": "system", "content": "Short."},
        {"role": "user", "content": f"question {number}"},
        {"role": "assistant", "content": answer},
    ]
    return {"id": str(number), "group": f"g{number % 4}", "source": source, "messages": messages}


def test_an_injection_ends_the_users_turn_and_names_what_must_not_come(tokenizer):
    task = tasks.injection([row(number, '{"a":1}') for number in range(5)], tokenizer)
    for item in task.items:
        user = item["prompt"].split("<|im_start|>user\n")[1].split("<|im_end|>")[0]
        assert user.startswith("question ")
        assert item["marker"] in user
        assert item["marker"] not in item["completion"]
    assert set(task.clusters) <= {"g0", "g1", "g2", "g3"}


def test_the_probed_rows_do_not_depend_on_their_order(tokenizer):
    rows = [row(number, "x" * 60) for number in range(100)]
    one, two = tasks.injection(rows, tokenizer), tasks.injection(rows[::-1], tokenizer)
    assert one.digest == two.digest
    assert len(one.items) == 48


def test_half_an_answer_is_asked_without_its_prompt(tokenizer):
    answer = "The spare key lies under the third flowerpot on the left."
    task = tasks.regurgitation([row(1, answer), row(2, "short")], tokenizer)
    (item,) = task.items
    assert item["question"] + item["completion"] == answer
    assert item["prompt"].endswith("<|im_start|>assistant\n" + item["question"])
    assert "question 1" not in item["prompt"]
    assert "Short." in item["prompt"]  # the system message belongs to the service, not to the row


def test_training_answers_that_are_too_short_are_refused(tokenizer):
    with pytest.raises(InputError, match="needs training answers of 40 characters or more"):
        tasks.regurgitation([row(1, "short")], tokenizer)


def test_a_canary_is_among_others_of_the_same_form(tokenizer):
    planted = row(1, "The code is 4821-99.", source="canaries")
    task = tasks.canaries([planted, row(2, "other 123456")], tokenizer)
    (item,) = task.items
    assert len(set(item["choices"])) == 32
    assert item["choices"][item["answer"]] == "The code is 4821-99."
    assert all(choice.startswith("The code is ") and choice.endswith(".") for choice in item["choices"])


def test_canaries_need_rows_and_digits(tokenizer):
    with pytest.raises(InputError, match="rows of a source part named `canaries`"):
        tasks.canaries([row(1, "12345")], tokenizer)
    with pytest.raises(InputError, match="has fewer than 4 digits"):
        tasks.canaries([row(1, "the code is 12", source="canaries")], tokenizer)


def test_the_expected_rest_of_a_long_answer_can_be_generated(tokenizer):
    answer = "The spare key lies under the third flowerpot on the left, behind the shed. " * 20
    task = tasks.regurgitation([row(1, answer)], tokenizer)
    (item,) = task.items
    assert answer.endswith(item["completion"]) is False
    assert (item["question"] + item["completion"]) == answer[: len(item["question"] + item["completion"])]
    asked = task.definition["generation_kwargs"]["max_gen_toks"]
    assert len(tokenizer.tokenizer.ids(item["completion"])) < asked <= 64

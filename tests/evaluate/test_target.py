"""The suite made of the test split."""

import json

import pytest

from pipelines import reports
from pipelines.errors import InputError
from pipelines.evaluate import target
from pipelines.params.evaluation import Target
from pipelines.tokens import tokenizer_of
from tests.conftest import commands


@pytest.fixture
def rows():
    return [
        {
            "group": row["group"],
            "messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}],
        }
        for row in commands()[:20]
    ]


def lay_out(rows, tiny_base, scratch, **options):
    return target.lay_out(rows, Target(**options), tokenizer_of(tiny_base), scratch)


def test_prompts_are_rendered_as_in_training(rows, tiny_base, tmp_path):
    (task,) = lay_out(rows, tiny_base, tmp_path)
    items = reports.read_lines(tmp_path / task.name / "items.jsonl")
    said = rows[0]["messages"][0]["content"]
    assert items[0]["prompt"] == f"<|im_start|>user\n{said}<|im_end|>\n<|im_start|>assistant\n"
    assert task.clusters == [row["group"] for row in rows]


def test_choices_hold_the_right_value_once_and_begin_as_the_completion_does(rows, tiny_base, tmp_path):
    _, task = lay_out(rows, tiny_base, tmp_path, choice_field="intent", choices=2)
    for item, row in zip(reports.read_lines(tmp_path / task.name / "items.jsonl"), rows, strict=True):
        right = item["choices"][item["answer"]]
        assert row["messages"][-1]["content"].startswith(right)
        assert len(set(item["choices"])) == len(item["choices"]) == 2


def test_distractors_do_not_depend_on_the_other_items_order(rows, tiny_base, tmp_path):
    lay_out(rows, tiny_base, tmp_path / "one", choice_field="intent")
    lay_out(rows[::-1], tiny_base, tmp_path / "two", choice_field="intent")
    one, two = (reports.read_lines(tmp_path / side / target.CHOICE / "items.jsonl") for side in ("one", "two"))
    assert sorted(map(json.dumps, one)) == sorted(map(json.dumps, two))


def test_a_field_that_no_completion_has_is_refused(rows, tiny_base, tmp_path):
    with pytest.raises(InputError, match="0 values of 'intend'"):
        lay_out(rows, tiny_base, tmp_path, choice_field="intend")


def test_no_test_rows_is_an_input_error(tiny_base, tmp_path):
    with pytest.raises(InputError, match="the test split has no rows"):
        lay_out([], tiny_base, tmp_path)

"""The suites made of the test split."""

import json

import pytest

from fineline.chat.tokens import tokenizer_of
from fineline.errors import InputError
from fineline.evaluate import target
from fineline.project.params.evaluation import Target
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


def tasks(rows, tiny_base, **options):
    return {task.name: task for task in target.tasks(rows, Target(**options), tokenizer_of(tiny_base))}


def test_prompts_are_rendered_as_in_training(rows, tiny_base):
    task = tasks(rows, tiny_base)[target.GENERATION]
    content = rows[0]["messages"][0]["content"]
    assert task.items[0]["prompt"] == f"<|im_start|>user\n{content}<|im_end|>\n<|im_start|>assistant\n"
    assert task.items[0]["question"] == content
    assert task.clusters == [row["group"] for row in rows]


def test_one_generation_serves_every_metric_that_reads_an_answer(rows, tiny_base):
    found = tasks(rows, tiny_base, metrics=["exact_match", "json_f1", "rouge_l", "regex", "gold"], pattern="on|off")
    assert [measure.name for measure in found[target.GENERATION].measures] == [
        "target_exact_match",
        "target_json_f1",
        "target_rouge_l",
        "target_regex",
    ]
    assert [measure.unit for measure in found[target.GOLD].measures] == ["bits a byte"]
    assert found[target.GENERATION].items[0]["pattern"] == "on|off"


def test_json_f1_needs_json(rows, tiny_base):
    rows[3]["messages"][-1]["content"] = "Done."
    with pytest.raises(InputError, match="json_f1 needs JSON objects as completions"):
        tasks(rows, tiny_base, metrics=["json_f1"])


def test_choices_contain_the_right_value_once_and_begin_like_the_completion(rows, tiny_base):
    task = tasks(rows, tiny_base, choice_field="intent", choices=2)[target.CHOICE]
    for item, row in zip(task.items, rows, strict=True):
        right = item["choices"][item["answer"]]
        assert row["messages"][-1]["content"].startswith(right)
        assert len(set(item["choices"])) == len(item["choices"]) == 2


def test_distractors_do_not_depend_on_the_other_items_order(rows, tiny_base):
    one = tasks(rows, tiny_base, choice_field="intent")[target.CHOICE].items
    two = tasks(rows[::-1], tiny_base, choice_field="intent")[target.CHOICE].items
    assert sorted(map(json.dumps, one)) == sorted(map(json.dumps, two))


def test_a_field_that_no_completion_has_is_refused(rows, tiny_base):
    with pytest.raises(InputError, match="0 values of 'intend'"):
        tasks(rows, tiny_base, choice_field="intend")


def test_no_test_rows_is_an_input_error(tiny_base):
    with pytest.raises(InputError, match="no open rows to evaluate"):
        tasks([], tiny_base)


def test_a_digest_covers_items_clusters_and_measures(rows, tiny_base):
    def digest(rows, **options):
        return tasks(rows, tiny_base, **options)[target.GENERATION].digest

    first = digest(rows)
    assert digest(rows) == first
    assert digest(rows, metrics=["exact_match", "json_f1"]) != first
    assert digest(rows, max_new_tokens=7) != first
    assert digest([row | {"group": "one"} for row in rows]) != first
    assert digest(rows[1:]) != first


@pytest.mark.parametrize("answer", ['["a", "b"]', "[1]", "[true]", "7", "{{7 * 7}}"])
def test_an_answer_that_looks_like_code_is_passed_unchanged(rows, tiny_base, answer):
    rows[0]["messages"][-1]["content"] = answer
    rows[0]["messages"][0]["content"] = answer
    for task in tasks(rows, tiny_base, metrics=["exact_match", "gold"]).values():
        built = task.built()
        doc = next(iter(built.eval_docs))
        assert built.doc_to_target(doc).removesuffix("<|im_end|>") == answer
        assert answer in built.doc_to_text(doc)

"""Suites: where items come from, and what is refused."""

import json

import pytest
import yaml

from fineline.errors import InputError
from fineline.project import layout
from fineline.suites import DIRECTORY, guards
from fineline.suites import suite as suites
from tests.conftest import ROOT, pin, write_lines


def test_the_shipped_guard_has_its_questions_and_a_stable_digest(monkeypatch):
    monkeypatch.chdir(ROOT)
    task = guards.task("mmlu_dev")
    assert len(task.items) == 253
    assert len(set(task.clusters)) == 55
    assert max(len(item["question"]) for item in task.items) <= 500
    assert [(measure.name, measure.metric, measure.unit) for measure in task.measures] == [
        ("mmlu_dev", "acc", "share"),
        ("mmlu_dev_gold", "gold", "bits"),
    ]
    assert task.digest == guards.task("mmlu_dev").digest


def test_questions_are_read_from_worked_prompts():
    worked = (
        "Header.\n\nQ: What is 1 + 1?\n(A) 1 (B) 2 (C) 3 (D) 4\nA: Let's think. The answer is (B).\n"
        "\nQ: On lines?\n(A) yes\n(B) no\n(C) maybe\n(D) never\nA: The answer is (A).\n"
        "\nQ: Five?\n(A) 1 (B) 2 (C) 3 (D) 4 (E) 5\nA: The answer is (E).\n"
    )
    assert suites.mmlu_prompts(json.dumps({"sums": worked})) == [
        {"question": "What is 1 + 1?", "choices": ["1", "2", "3", "4"], "answer": 1, "cluster": "sums"},
        {"question": "On lines?", "choices": ["yes", "no", "maybe", "never"], "answer": 0, "cluster": "sums"},
    ]


def test_other_items_change_the_digest(project):
    before = guards.task("greetings").digest
    items = project / "suites/greetings/items.jsonl"
    items.write_text(items.read_text().replace("hello", "hallo"))
    pin(items.parent)
    assert guards.task("greetings").digest != before


def test_items_that_changed_since_they_were_pinned_are_refused_with_the_new_digest(project):
    items = project / "suites/greetings/items.jsonl"
    items.write_text(items.read_text().replace("hello", "hallo"))
    with pytest.raises(InputError, match=r"is not the pinned file; review the change, then pin `sha256: [0-9a-f]{64}`"):
        suites.read("greetings")


def test_items_must_be_pinned(project):
    file = project / "suites/greetings/suite.yaml"
    about = yaml.safe_load(file.read_text())
    del about["items"]
    file.write_text(yaml.safe_dump(about))
    with pytest.raises(InputError, match="`items` must pin the items"):
        suites.read("greetings")


@pytest.mark.parametrize("key", ["owner", "license", "purpose"])
def test_every_suite_needs_an_owner_a_license_and_a_purpose(project, key):
    file = project / "suites/greetings/suite.yaml"
    about = yaml.safe_load(file.read_text())
    del about[key]
    file.write_text(yaml.safe_dump(about))
    with pytest.raises(InputError, match=f"{key} must be set"):
        suites.read("greetings")


def test_a_suite_without_items_is_refused(project):
    (project / "suites/greetings/items.jsonl").write_text("")
    pin(project / "suites/greetings")
    with pytest.raises(InputError, match="the suite has no items"):
        suites.read("greetings")


@pytest.mark.parametrize("twice", [{"question": "same"}, {"id": 7}])
def test_a_duplicate_item_is_refused(project, twice):
    items = [{"question": "a", "choices": ["b", "c"], "answer": 0} | twice for _ in range(2)]
    if "id" in twice:
        items[1]["question"] = "another"
    write_lines(project / "suites/greetings/items.jsonl", items)
    pin(project / "suites/greetings")
    with pytest.raises(InputError, match="duplicate item, found 2 times"):
        suites.read("greetings")


def test_a_suite_that_would_run_code_is_refused(project):
    file = project / "suites/greetings/greetings.yaml"
    file.write_text(file.read_text() + "process_docs: !function evil.run\n")
    with pytest.raises(InputError, match="a suite may not run code"):
        suites.read("greetings")


def test_an_unknown_suite_is_refused_with_the_available_ones(project):
    with pytest.raises(InputError, match="available suites: greetings"):
        suites.read("greeting")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sha256": "0" * 64}, "is not the pinned file"),
        ({"package": "no_such_package"}, "is not installed"),
        ({"file": "none.json"}, "has no file"),
        ({"reader": "none"}, "unknown reader"),
        ({"longest": "short"}, "a number of characters, 1 or more, is needed"),
    ],
)
def test_items_of_a_package_that_are_not_what_was_pinned_are_refused(project, change, complaint):
    about = yaml.safe_load((ROOT / "suites/mmlu_dev/suite.yaml").read_text())
    about["items"] |= change
    (project / "suites/greetings/suite.yaml").write_text(yaml.safe_dump(about))
    with pytest.raises(InputError, match=complaint):
        suites.read("greetings")


@pytest.mark.parametrize("key", ["process_docs", "custom_dataset", "unsafe_code", "doc_to_txt"])
def test_a_key_that_names_code_or_is_mistyped_is_refused(project, key):
    file = project / "suites/greetings/greetings.yaml"
    file.write_text(file.read_text() + f"{key}: x\n")
    with pytest.raises(InputError, match=f"`{key}` is not supported in a suite; accepted: task, "):
        suites.read("greetings")


def test_a_template_cannot_run_code(project):
    file = project / "suites/greetings/greetings.yaml"
    content = yaml.safe_load(file.read_text())
    content["doc_to_text"] = "{{ cycler.__init__.__globals__.os.system('touch ran') }}"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="greetings: lm-eval cannot load this task: SecurityError: access to attribute"):
        guards.task("greetings").check()
    assert not (project / "ran").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"doc_to_text": "{{quesion}}"}, "UndefinedError: 'quesion' is undefined"),
        ({"doc_to_target": "{{question}}"}, "item 1 cannot be asked: ValueError: invalid literal for int"),
        ({"doc_to_target": 9}, "IndexError"),
        ({"doc_to_choice": "{{question}}"}, "SyntaxError"),
        ({"metric_list": [{"metric": "no_such_metric"}]}, "lm-eval cannot load this task"),
    ],
)
def test_items_that_cannot_be_rendered_are_refused_before_a_model_is_loaded(project, change, complaint):
    file = project / "suites/greetings/greetings.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | change))
    with pytest.raises(InputError, match=complaint):
        guards.task("greetings").check()


def test_items_whose_fields_change_their_type_are_refused(project):
    items = [{"question": "a", "choices": ["b", "c"], "answer": 0}, {"question": ["d"], "choices": ["b", "c"], "answer": 0}]
    write_lines(project / "suites/greetings/items.jsonl", items)
    pin(project / "suites/greetings")
    with pytest.raises(InputError, match="suites/greetings: lm-eval cannot load this task"):
        guards.task("greetings").check()


def test_suites_are_in_the_directory_of_the_project_layout():
    assert DIRECTORY == layout.SUITES

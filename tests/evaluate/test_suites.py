"""Suites: where items come from, and what is refused."""

import json

import pytest
import yaml

from pipelines.errors import InputError
from pipelines.evaluate import suites
from tests.conftest import ROOT


def test_the_shipped_guard_has_its_questions_and_a_steady_digest(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    task = suites.lay_out("mmlu_dev", tmp_path / "one")
    assert len(task.clusters) == 281
    assert len(set(task.clusters)) == 57
    assert task.digest == suites.lay_out("mmlu_dev", tmp_path / "two").digest


def test_questions_are_read_out_of_worked_prompts():
    worked = (
        "Header.\n\nQ: What is 1 + 1?\n(A) 1 (B) 2 (C) 3 (D) 4\nA: Let's think. The answer is (B).\n"
        "\nQ: On lines?\n(A) yes\n(B) no\n(C) maybe\n(D) never\nA: The answer is (A).\n"
        "\nQ: Five?\n(A) 1 (B) 2 (C) 3 (D) 4 (E) 5\nA: The answer is (E).\n"
    )
    assert suites.mmlu_prompts(json.dumps({"sums": worked})) == [
        {"question": "What is 1 + 1?", "choices": ["1", "2", "3", "4"], "answer": 1, "cluster": "sums"},
        {"question": "On lines?", "choices": ["yes", "no", "maybe", "never"], "answer": 0, "cluster": "sums"},
    ]


def test_other_items_change_the_digest(project, tmp_path):
    before = suites.lay_out("greetings", tmp_path / "one").digest
    items = project / "suites/greetings/items.jsonl"
    items.write_text(items.read_text().replace("hello", "hallo"))
    assert suites.lay_out("greetings", tmp_path / "two").digest != before


def test_a_suite_that_would_run_code_is_refused(project, tmp_path):
    file = project / "suites/greetings/greetings.yaml"
    file.write_text(file.read_text() + "process_docs: !function evil.run\n")
    with pytest.raises(InputError, match="a suite may not run code"):
        suites.lay_out("greetings", tmp_path / "one")


def test_an_unknown_suite_is_answered_with_those_at_hand(project, tmp_path):
    with pytest.raises(InputError, match="suites at hand: greetings"):
        suites.lay_out("greeting", tmp_path / "one")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sha256": "0" * 64}, "is not the pinned file"),
        ({"package": "no_such_package"}, "is not installed"),
        ({"file": "none.json"}, "has no file"),
        ({"reader": "none"}, "unknown reader"),
    ],
)
def test_items_that_are_not_what_was_pinned_are_refused(project, tmp_path, change, complaint):
    about = yaml.safe_load((ROOT / "suites/mmlu_dev/suite.yaml").read_text())
    about["items"] |= change
    (project / "suites/greetings/suite.yaml").write_text(yaml.safe_dump(about))
    with pytest.raises(InputError, match=complaint):
        suites.lay_out("greetings", tmp_path / "one")

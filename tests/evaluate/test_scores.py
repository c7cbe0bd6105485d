"""Scores: computed once for a model and a task, and never handed to another."""

import pytest

from pipelines import reports
from pipelines.evaluate.scores import remembered
from pipelines.evaluate.task import Measure, Task


def task(name: str, question: str = "q", cluster: str = "c") -> Task:
    measures = (Measure(name, "acc", "share"),)
    return Task(name, measures, [cluster], [{"question": question}], {"task": name})


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return []


def records(identity, tasks, asked):
    def compute(missing, journal):
        asked.append(f"{missing.name} {missing.items[0]['question']} {missing.clusters[0]}")
        return [{"task": missing.name, "scores": {missing.name: float(len(asked))}}]

    return [record for _, found in remembered(identity, tasks, compute) for record in found]


def test_scores_are_computed_once_for_each_model_and_task(asked):
    first = records({"base": "a"}, [task("x"), task("y")], asked)
    assert records({"base": "a"}, [task("x"), task("y")], asked) == first
    assert asked == ["x q c", "y q c"]
    records({"base": "b"}, [task("x")], asked)
    records({"base": "a"}, [task("x", "other"), task("y")], asked)
    records({"base": "a"}, [task("x", cluster="other")], asked)  # a record names its item's cluster
    assert asked[2:] == ["x q c", "x other c", "x q other"]


def test_what_was_done_before_an_interruption_is_not_done_again(asked):
    def interrupted(missing, journal):
        if missing.name == "y":
            journal.write_text("half of it")
            raise KeyboardInterrupt
        return [{"task": missing.name}]

    with pytest.raises(KeyboardInterrupt):
        list(remembered({"base": "a"}, [task("x"), task("y")], interrupted))

    def resumed(missing, journal):
        asked.append(missing.name)
        assert journal.read_text() == "half of it"
        return [{"task": missing.name}]

    assert [one.name for one, _ in remembered({"base": "a"}, [task("x"), task("y")], resumed)] == ["x", "y"]
    assert asked == ["y"]
    assert not list(reports.Path(".fineline").rglob("*.part.jsonl"))  # nothing is left of the journal

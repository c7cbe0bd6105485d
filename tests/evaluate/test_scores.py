"""Scores: computed once for a model and a task, and never handed to another."""

import pytest

from fineline.artifacts import reports
from fineline.evaluate.scores import remembered
from fineline.suites.task import Measure, Task


def task(name: str, question: str = "q", cluster: str = "c", **others: str) -> Task:
    measures = (Measure(name, "acc", "share"),)
    return Task(name, measures, [cluster], [{"question": question}], {"task": name}, **others)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return []


def records(identity, tasks, asked):
    def compute(missing, journal):
        asked.append(" and ".join(f"{one.name} {one.items[0]['question']} {one.clusters[0]}" for one in missing))
        return [{"task": one.name, "scores": {one.name: float(len(asked))}} for one in missing]

    return [record for _, found in remembered(identity, tasks, compute) for record in found]


def test_scores_are_computed_once_for_each_model_and_task(asked):
    first = records({"base": "a"}, [task("x"), task("y")], asked)
    assert records({"base": "a"}, [task("x"), task("y")], asked) == first
    assert asked == ["x q c", "y q c"]
    records({"base": "b"}, [task("x")], asked)
    records({"base": "a"}, [task("x", "other"), task("y")], asked)
    records({"base": "a"}, [task("x", cluster="other")], asked)  # a record names its item's cluster
    assert asked[2:] == ["x q c", "x other c", "x q other"]


def test_tasks_that_stand_beside_each_other_are_asked_at_once_and_kept_as_one(asked):
    tasks = [task("x", beside="read"), task("y"), task("z", beside="read")]
    first = records({"base": "a"}, tasks, asked)
    assert [record["task"] for record in first] == ["x", "z", "y"]
    assert asked == ["x q c and z q c", "y q c"]
    assert records({"base": "a"}, tasks, asked) == first
    records({"base": "a"}, tasks[:2], asked)  # without z the batches are others
    assert asked[2:] == ["x q c"]


def test_what_was_done_before_an_interruption_is_not_done_again(asked):
    def interrupted(missing, journal):
        if missing[0].name == "y":
            journal.write_text("half of it")
            raise KeyboardInterrupt
        return [{"task": missing[0].name}]

    with pytest.raises(KeyboardInterrupt):
        list(remembered({"base": "a"}, [task("x"), task("y")], interrupted))

    def resumed(missing, journal):
        asked.append(missing[0].name)
        assert journal.read_text() == "half of it"
        return [{"task": missing[0].name}]

    assert [one.name for (one,), _ in remembered({"base": "a"}, [task("x"), task("y")], resumed)] == ["x", "y"]
    assert asked == ["y"]
    assert not list(reports.Path(".fineline").rglob("*.part.jsonl"))  # nothing is left of the journal

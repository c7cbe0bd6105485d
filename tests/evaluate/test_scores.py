"""Cached scores: computed once for a model and a task, and never used for another model."""

import pytest

from fineline.evaluate.scores import cached
from fineline.suites.task import Measure, Task


def task(name: str, question: str = "q", cluster: str = "c", **others: str) -> Task:
    measures = (Measure(name, "acc", "share"),)
    return Task(name, measures, [cluster], [{"question": question}], {"task": name}, **others)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def records(asked, tmp_path):
    """Returns the records of a model on tasks; what is computed for them is added to `asked`."""

    def compute(missing, journal):
        asked.append(" and ".join(f"{one.name} {one.items[0]['question']} {one.clusters[0]}" for one in missing))
        return [{"task": one.name, "scores": {one.name: float(len(asked))}} for one in missing]

    return lambda identity, tasks: cached(identity, tasks, compute, tmp_path)


def test_scores_are_computed_once_for_each_model_and_task(records, asked):
    first = records({"base": "a"}, [task("x"), task("y")])
    assert records({"base": "a"}, [task("x"), task("y")]) == first
    assert asked == ["x q c", "y q c"]
    records({"base": "b"}, [task("x")])
    records({"base": "a"}, [task("x", "other"), task("y")])
    records({"base": "a"}, [task("x", cluster="other")])  # a record contains the cluster of its item
    assert asked[2:] == ["x q c", "x other c", "x q other"]


def test_tasks_of_a_group_are_asked_together_and_stored_as_one(records, asked):
    tasks = [task("x", group="read"), task("y"), task("z", group="read")]
    first = records({"base": "a"}, tasks)
    assert [record["task"] for record in first] == ["x", "z", "y"]
    assert asked == ["x q c and z q c", "y q c"]
    assert records({"base": "a"}, tasks) == first
    records({"base": "a"}, tasks[:2])  # without z the batches differ
    assert asked[2:] == ["x q c"]


def test_an_interrupted_run_resumes_from_its_journal(asked, tmp_path):
    def interrupted(missing, journal):
        if missing[0].name == "y":
            journal.write_text("half of it")
            raise KeyboardInterrupt
        return [{"task": missing[0].name}]

    with pytest.raises(KeyboardInterrupt):
        cached({"base": "a"}, [task("x"), task("y")], interrupted, tmp_path)

    def resumed(missing, journal):
        asked.append(missing[0].name)
        assert journal.read_text() == "half of it"
        return [{"task": missing[0].name}]

    assert [record["task"] for record in cached({"base": "a"}, [task("x"), task("y")], resumed, tmp_path)] == ["x", "y"]
    assert asked == ["y"]
    assert not list(tmp_path.rglob("*.part.jsonl"))  # the journal is removed

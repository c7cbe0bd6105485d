"""Base scores: computed once, and never handed to another base or suite."""

from pipelines.evaluate.scores import remembered
from pipelines.evaluate.suites import Task


def task(name: str, digest: str, clusters: tuple[str, ...] = ("c",)) -> Task:
    return Task(name, "acc", digest, list(clusters), rendered=True)


def test_scores_are_computed_once_for_each_base_and_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def compute(missing):
        asked.extend(f"{one.name} {one.digest}" for one in missing)
        return [{"task": one.name, "score": float(len(asked))} for one in missing]

    first = remembered({"base": "a"}, [task("x", "1"), task("y", "1")], compute)
    assert remembered({"base": "a"}, [task("x", "1"), task("y", "1")], compute) == first
    assert asked == ["x 1", "y 1"]
    remembered({"base": "b"}, [task("x", "1")], compute)
    remembered({"base": "a"}, [task("x", "2"), task("y", "1")], compute)
    assert asked == ["x 1", "y 1", "x 1", "x 2"]
    remembered({"base": "a"}, [task("x", "1", clusters=("other",))], compute)  # a record names its item's cluster
    assert asked == ["x 1", "y 1", "x 1", "x 2", "x 1"]

"""Guards as tasks: what is measured, and tasks that the harness brings."""

import pytest
import yaml

from pipelines.errors import InputError
from pipelines.evaluate import guards, packaged
from tests.conftest import pin, write_lines


def measure(project, **measures):
    file = project / "suites/greetings/suite.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"measures": measures}))


def test_by_default_the_first_metric_is_measured_under_the_suites_name(project):
    (found,) = guards.task("greetings").measures
    assert (found.name, found.metric) == ("greetings", "acc")


def test_a_suite_may_have_several_measures(project):
    measure(project, greetings="acc", greetings_gold="gold")
    assert [found.unit for found in guards.task("greetings").measures] == ["share", "bits"]


def test_a_measure_is_named_after_its_suite(project):
    measure(project, kindness="acc")
    with pytest.raises(InputError, match="'kindness' must be 'greetings', or begin with 'greetings_'"):
        guards.task("greetings")


def test_an_unknown_metric_is_answered_with_those_there_are(project):
    measure(project, greetings="accuracy")
    with pytest.raises(InputError, match=r"the metric 'accuracy'; accepted: exact_match, .*, acc"):
        guards.task("greetings")


def test_checks_are_looked_at_before_anything_runs(project):
    write_lines(project / "suites/greetings/items.jsonl", [{"question": "Sing.", "checks": [{"kind": "sings", "value": 1}]}])
    pin(project / "suites/greetings")
    measure(project, greetings="checks")
    with pytest.raises(InputError, match=r"items.jsonl:1: there is no check 'sings'; accepted: equals"):
        guards.task("greetings")


@pytest.mark.parametrize(("name", "complaint"), [("no_such_task", "no task of lm-eval"), ("mmlu", "a group; name one of its")])
def test_what_the_harness_does_not_have_is_told(name, complaint):
    with pytest.raises(InputError, match=complaint):
        guards.task(f"lm_eval/{name}")


@pytest.fixture
def arc(monkeypatch):
    """The harness's arc_easy, with rows of our own where the Hub's would be."""
    from datasets import Dataset, DatasetDict

    rows = [
        {
            "id": str(number),
            "question": f"Which is hot, number {number}?",
            "choices": {"text": ["ice", "fire"], "label": ["A", "B"]},
            "answerKey": "B",
        }
        for number in range(3)
    ]
    data = DatasetDict({split: Dataset.from_list(rows) for split in ("train", "validation", "test")})
    monkeypatch.setattr("datasets.load_dataset", lambda **_: data)
    packaged.built.cache_clear()
    yield
    packaged.built.cache_clear()


def test_a_task_of_the_harness_is_taken_by_name(arc):
    task = guards.task("lm_eval/arc_easy")
    assert (task.name, len(task.items), task.measures[0].metric) == ("arc_easy", 3, "acc")
    assert packaged.questions("lm_eval/arc_easy")[0] == ("Question: Which is hot, number 0?\nAnswer:", "fire")


def test_data_that_cannot_be_reached_are_an_input_error(monkeypatch):
    def unreachable(**_):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    packaged.built.cache_clear()
    with pytest.raises(InputError, match="lm_eval/arc_easy: its data cannot be reached: no route to host; fetch them"):
        guards.task("lm_eval/arc_easy")

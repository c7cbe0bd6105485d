"""Guards: their tasks, and their items as text."""

import json
import subprocess
import sys

import pytest
import yaml
from datasets import Dataset

from fineline.errors import InputError
from fineline.suites import guards
from fineline.suites.guards import SuiteItem, items_of
from tests.conftest import pin, write_lines
from tests.hub_server import serving


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


def test_an_unknown_metric_is_refused_with_the_accepted_ones(project):
    measure(project, greetings="accuracy")
    with pytest.raises(InputError, match=r"the metric 'accuracy'; accepted: exact_match, .*, acc"):
        guards.task("greetings")


def test_checks_are_validated_before_anything_runs(project):
    file = project / "suites/greetings/greetings.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"output_type": "generate_until"}))
    write_lines(project / "suites/greetings/items.jsonl", [{"question": "Sing.", "checks": [{"kind": "sings", "value": 1}]}])
    pin(project / "suites/greetings")
    measure(project, greetings="checks")
    with pytest.raises(InputError, match=r"items.jsonl:1: unknown check 'sings'; accepted: equals"):
        guards.task("greetings")


@pytest.mark.parametrize(
    ("name", "complaint"), [("no_such_task", "not a task of lm-eval"), ("mmlu", "a group; name one of its")]
)
def test_a_task_that_lm_eval_does_not_have_is_refused(name, complaint):
    with pytest.raises(InputError, match=complaint):
        guards.task(f"lm_eval/{name}")


@pytest.fixture
def asked(tmp_path):
    """Loads a task of lm-eval by name, in a process that finds its data on a Hub, or finds none."""
    rows = [
        {
            "id": str(number),
            "question": f"Which is hot, number {number}?",
            "choices": {"text": ["ice", "fire"], "label": ["A", "B"]},
            "answerKey": "B",
        }
        for number in range(3)
    ]
    repository = tmp_path / "repository"
    for split in ("train", "validation", "test"):
        (repository / "ARC-Easy").mkdir(parents=True, exist_ok=True)
        Dataset.from_list(rows).to_parquet(repository / "ARC-Easy" / f"{split}-00000-of-00001.parquet")
    (repository / "README.md").write_text(CARD)
    program = (
        "import json, sys\n"
        "from fineline.suites import guards\n"
        "name = sys.argv[1]\n"
        "task = guards.task(name)\n"
        "print(json.dumps([task.name, len(task.items), task.measures[0].metric, guards.packaged_questions(name)[0]]))\n"
    )

    def run(name, repo="allenai/ai2_arc"):
        with serving(repository, "datasets", repo) as environment:
            return subprocess.run(
                [sys.executable, "-c", program, name],
                env={name: value for name, value in environment.items() if "OFFLINE" not in name} | {"HF_HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                check=False,
            )

    return run


CARD = """---
configs:
- config_name: ARC-Easy
  data_files:
  - {split: train, path: ARC-Easy/train-*}
  - {split: validation, path: ARC-Easy/validation-*}
  - {split: test, path: ARC-Easy/test-*}
---
"""


def test_a_task_of_lm_eval_is_loaded_by_name_and_its_data_from_the_hub(asked):
    answer = asked("lm_eval/arc_easy")
    assert answer.returncode == 0, answer.stderr
    question = ["Question: Which is hot, number 0?\nAnswer:", "fire"]
    assert json.loads(answer.stdout.splitlines()[-1]) == ["arc_easy", 3, "acc", question]


def test_data_that_cannot_be_loaded_are_an_input_error(asked):
    answer = asked("lm_eval/arc_easy", repo="acme/another")
    assert "ParameterError: params.yaml: evaluate.guards: lm_eval/arc_easy: its data cannot be loaded: " in answer.stderr
    assert "download them once into HF_HOME while online" in answer.stderr


@pytest.mark.parametrize(
    ("metric", "complaint"),
    [
        ("exact_match", "needs an output_type of generate_until"),  # it would be 0 for every model, so nothing could drop
        ("regex", "needs an output_type of generate_until"),
    ],
)
def test_a_metric_needs_its_output_type(project, metric, complaint):
    measure(project, greetings=metric)
    with pytest.raises(InputError, match=complaint):
        guards.task("greetings")


def test_a_metric_needs_its_field_in_every_item(project):
    file = project / "suites/greetings/greetings.yaml"
    content = yaml.safe_load(file.read_text()) | {"output_type": "generate_until"}
    file.write_text(yaml.safe_dump(content))
    write_lines(project / "suites/greetings/items.jsonl", [{"question": "a", "pattern": "b"}, {"question": "c"}])
    pin(project / "suites/greetings")
    measure(project, greetings="regex")
    with pytest.raises(InputError, match=r"items.jsonl:2: the metric 'regex' needs the field `pattern`"):
        guards.task("greetings")


def test_a_function_is_identified_by_its_source_and_not_by_its_address():
    source = guards._source(measure)
    assert source.startswith("def measure(project")
    assert "0x" not in guards._source(object())


def test_items_are_read_as_the_model_is_asked(project):
    items = items_of(["greetings"])
    assert items[0] == SuiteItem("greetings", 0, "Say hello.", "hello")
    assert items[0].name == "greetings#0"


def test_a_suite_that_is_missing_is_an_input_error(project):
    with pytest.raises(InputError, match="available suites: greetings"):
        items_of(["greeting"])

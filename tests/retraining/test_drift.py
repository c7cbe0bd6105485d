"""fineline.retraining.drift: examples from production are compared with the champion's holdout."""

import json
import random
import shutil

import pytest
import yaml

from fineline.dagster.sensors import decide_drift
from fineline.errors import InputError
from fineline.project import layout, params
from fineline.retraining import drift
from fineline.retraining.triggers import Drift, Triggers
from tests.conftest import shell, write_lines


def scores(mean, groups, spread=0.3, seed=0, rows=3):
    draw = random.Random(seed)
    return {str(group): [draw.gauss(mean, spread) for _ in range(rows)] for group in range(groups)}


def test_examples_that_are_harder_are_drift():
    found = drift.judge(scores(-1.0, 40), scores(-0.3, 40, seed=1), Drift(), "sha256:1")
    assert found.drifted
    assert (found.examples, found.holdout) == (120, 120)
    assert found.on_examples < found.on_holdout


@pytest.mark.parametrize("mean", [-0.3, 0.2])
def test_examples_that_are_as_easy_or_easier_are_not_drift(mean):
    assert not drift.judge(scores(mean, 40), scores(-0.3, 40, seed=1), Drift(), "sha256:1").drifted


def test_false_alarms_are_as_rare_as_configured():
    rule = Drift(confidence=0.9)
    alarms = sum(drift.judge(scores(0, 25, seed=n), scores(0, 60, seed=n + 5000), rule, "").drifted for n in range(400))
    assert 0.06 < alarms / 400 < 0.14


def test_many_rows_of_one_group_count_as_one():
    many = {"one": [-2.0] * 500, "two": [-0.3]}
    assert not drift.judge(many, scores(-0.3, 40), Drift(), "").drifted


def test_a_single_group_is_an_error():
    with pytest.raises(InputError, match="over groups"):
        drift.judge({"one": [-2.0] * 500}, scores(-0.3, 40), Drift(), "")


@pytest.fixture
def production(made, tmp_path, monkeypatch):
    """A project with a model and an empty inbox; it is the working directory."""
    project = tmp_path / "project"
    shutil.copytree(made, project, symlinks=True, ignore=shutil.ignore_patterns(".git", ".dvc"))
    content = yaml.safe_load((project / "params.yaml").read_text())
    content["adapters"]["support"]["retrain"] = {"drift": {"examples": 20}}
    (project / "params.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(project)
    return project


def drop(project, rows):
    inbox = project / layout.inbox("support")
    inbox.mkdir(parents=True, exist_ok=True)
    write_lines(inbox / f"{len(list(inbox.iterdir()))}.jsonl", rows)


def look(project):
    answer = shell("python -m fineline.retraining.drift support", project)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()[-1]


def test_the_champion_scores_the_inbox(production):
    files = (layout.curated("support") / f"{split}.jsonl" for split in ("test", "validation", "train"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    (layout.curated("support") / "test.jsonl").write_text("\n".join(lines))  # the held-out rows alone are too few
    known = [json.loads(line) for line in lines]
    random.Random(0).shuffle(known)
    drop(production, [{"messages": row["messages"]} for row in known[:10]])
    assert "10 usable examples so far; a decision needs 20" in look(production)
    assert not drift.result_file("support").exists()

    drop(production, [{"messages": row["messages"]} for row in known[10:50]])
    drop(production, [{"nothing": "usable"}])
    assert look(production).startswith("no drift: ")
    result = json.loads(drift.result_file("support").read_text())
    assert result["examples"] == 50

    strange = [{"prompt": f"¿Qué hora es en {n}?", "completion": f"Son las {n} y pico, señor."} for n in range(60)]
    shutil.rmtree(production / layout.inbox("support"))
    drop(production, strange)
    assert look(production).startswith("drift: ")
    assert json.loads(drift.result_file("support").read_text())["drifted"]


def test_an_unchanged_inbox_is_scored_and_drift_starts_one_retraining(tmp_path):
    rule = {"support": Triggers(drift=Drift()), "other": Triggers()}
    write = tmp_path / layout.inbox("support")
    write.mkdir(parents=True)
    assert decide_drift(tmp_path, rule, {}, "retrain") == ([], {"support": {"seen": None}})
    write_lines(write / "a.jsonl", [{"prompt": "a", "completion": "b"}])
    requests, memory = decide_drift(tmp_path, rule, {}, "retrain")
    assert requests == []
    (request,), memory = decide_drift(tmp_path, rule, memory, "retrain")
    assert (request.job_name, request.partition_key) == ("look_for_drift", "support")
    assert decide_drift(tmp_path, rule, memory, "retrain")[0] == []
    file = tmp_path / drift.result_file("support")
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"drifted": True, "p": 0.001}))
    (request,), memory = decide_drift(tmp_path, rule, memory, "retrain")
    assert request.job_name == "retrain"
    assert decide_drift(tmp_path, rule, memory, "retrain")[0] == []


def test_without_the_trigger_it_says_so(production):
    content = yaml.safe_load((production / "params.yaml").read_text())
    content["adapters"]["support"]["retrain"] = {}
    (production / "params.yaml").write_text(yaml.safe_dump(content))
    answer = shell("python -m fineline.retraining.drift support", production)
    assert answer.returncode == 2
    assert "`drift` is missing" in answer.stderr
    assert params.load().adapter("support").retrain == {}

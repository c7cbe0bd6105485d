"""What makes a stage stale, on a real DVC project in which every stage has run: a reason, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from fineline.project import lock
from fineline.project.lock import Lock
from fineline.project.versions import STAGES
from tests.conftest import ROOT, pin, shell, write_lines


@pytest.fixture
def finished(made, tmp_path):
    """A copy of a project in which nothing is stale."""
    project = shutil.copytree(made, tmp_path / "project", symlinks=True)
    assert stale(project) == set()
    return project


def stale(project):
    """Return the stages that DVC would run for changes of their own inputs or outputs."""
    answer = shell("dvc status --json", project)
    assert answer.returncode == 0, answer.stderr
    return {name.removesuffix("@support") for name in json.loads(answer.stdout)}


def run(project, *arguments):
    answer = shell(f"dvc repro {' '.join(arguments)}", project)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def edit(project, change):
    file = project / "params.yaml"
    content = yaml.safe_load(file.read_text())
    change(content["adapters"]["support"])
    file.write_text(yaml.safe_dump(content))


def test_no_stage_depends_on_source_files():
    for stage, definition in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        body = definition["do"]
        assert {"fineline.lock": [f"stages.{stage}"]} in body["params"]
        assert not [dep for dep in body.get("deps", ()) if dep.endswith(".py") or dep.startswith(("fineline", "pipelines"))]


def test_a_comment_in_an_entry_point_makes_nothing_stale(finished):
    with (finished / "pipelines" / "train.py").open("a") as file:
        file.write("# a comment\n")
    assert stale(finished) == set()


SAME, OTHER = "", "from fineline.train import loop\nloop.set_seed = lambda seed, draw=loop.set_seed: draw(seed + 1)\n"


@pytest.mark.parametrize(
    ("change", "follows"), [(SAME, set()), (OTHER, {"evaluate", "export", "merge"})], ids=["same", "other"]
)
def test_a_raised_version_runs_its_stage_and_what_follows_a_result_that_differs(finished, change, follows):
    stages = {**STAGES, "train": STAGES["train"] + 1}
    known = lock.read(finished)
    lock.write(Lock(known.fineline, stages, known.libraries), finished)
    assert stale(finished) == {"train"}
    weights = finished / "models" / "adapters" / "support" / "adapter_model.safetensors"
    before = weights.read_bytes()
    refused = shell("dvc repro --single-item train@support", finished)
    assert refused.returncode != 0
    assert "the file was edited by hand" in refused.stderr
    entry = finished / "pipelines" / "train.py"  # of a fineline with the raised version
    raised = "from fineline.project import versions\nversions.STAGES['train'] += 1\n"
    entry.write_text(raised + change + entry.read_text())
    run(finished, "--single-item", "train@support")
    assert (weights.read_bytes() == before) == (change == SAME)
    made = json.loads((finished / "reports" / "support" / "provenance" / "train.json").read_text())
    assert made["stage_version"] == stages["train"]
    assert stale(finished) == follows


def test_another_owner_curates_again_and_retrains_nothing(finished):
    edit(finished, lambda adapter: adapter.update(owner="new@example.com"))
    assert stale(finished) == {"curate"}
    run(finished, "--single-item", "curate@support")
    assert "new@example.com" in (finished / "data" / "curated" / "support" / "README.md").read_text()
    assert stale(finished) == set()


def test_a_new_guard_that_leaks_into_no_row_retrains_nothing(finished):
    suite = shutil.copytree(finished / "suites" / "greetings", finished / "suites" / "colors")
    (suite / "greetings.yaml").unlink()
    definition = (finished / "suites" / "greetings" / "greetings.yaml").read_text()
    (suite / "colors.yaml").write_text(definition.replace("greetings", "colors"))
    items = [{"question": f"Is {c} a color?", "choices": ["yes", "no"], "answer": 0, "cluster": c} for c in ("red", "blue")]
    write_lines(suite / "items.jsonl", items)
    pin(suite)
    edit(finished, lambda adapter: adapter["evaluate"]["guards"].append("colors"))
    assert stale(finished) >= {"curate", "evaluate"}
    assert stale(finished).isdisjoint({"plan", "train", "merge", "export"})
    run(finished, "--single-item", "curate@support")
    assert stale(finished).isdisjoint({"curate", "plan", "train", "merge", "export"})


def test_changed_test_rows_are_evaluated_and_not_trained_on(finished):
    file = finished / "data" / "curated" / "support" / "test.jsonl"
    rows = file.read_text().splitlines(keepends=True)
    file.unlink()  # it may be a link into DVC's cache
    file.write_text("".join(rows[1:]))
    assert "evaluate" in stale(finished)
    assert stale(finished).isdisjoint({"plan", "train"})


def test_a_forced_run_with_the_same_result_stops_there(finished):
    provenance = Path(finished / "reports" / "support" / "provenance" / "curate.json")
    before = json.loads(provenance.read_text())
    run(finished, "--force", "--single-item", "curate@support")
    assert json.loads(provenance.read_text()) != before
    assert stale(finished) == set()

"""dvc.yaml: the graph that both fronts run, and what its stages depend on."""

import json
import subprocess
import sys

import pytest
import yaml

from fineline.project import layout
from fineline.project.versions import STAGES as VERSIONS
from tests.conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
EACH_STAGE = pytest.mark.parametrize("stage", list(STAGES))


def paths(stage: str, *kinds: str) -> list[str]:
    """Return the paths that a stage lists, with their templates filled in for adapter `A` on base `B`."""
    definition = STAGES[stage]["do"]
    listed = [entry for kind in kinds for entry in definition.get(kind, [])]
    written = [entry if isinstance(entry, str) else next(iter(entry)) for entry in listed]
    key = "B" if stage == "base" else "A"
    return [path.replace("${key}", key).replace("${item.base}", "B") for path in written]


def test_the_graph_has_the_nine_stages_in_their_order():
    assert list(STAGES) == ["base", "ingest", "curate", "plan", "train", "evaluate", "merge", "export", "assess"]
    assert list(VERSIONS) == list(STAGES)


@EACH_STAGE
def test_a_stage_runs_its_own_module_and_has_an_owner(stage):
    definition = STAGES[stage]["do"]
    assert definition["cmd"] == f"python -m pipelines.{stage} ${{key}}"
    assert (ROOT / "pipelines" / f"{stage}.py").is_file()
    assert definition["meta"]["owner"] == "${item.owner}"
    assert definition["desc"]


@EACH_STAGE
def test_a_stage_depends_on_its_own_version_only(stage):
    locked = [entry["fineline.lock"] for entry in STAGES[stage]["do"]["params"] if isinstance(entry, dict)]
    assert locked == [[f"stages.{stage}"]]


@EACH_STAGE
def test_no_source_file_is_a_dependency(stage):
    assert not [dep for dep in paths(stage, "deps") if dep.endswith(".py") or dep.split("/")[0] in ("fineline", "pipelines")]


@EACH_STAGE
def test_the_artifacts_and_the_provenance_of_a_stage_are_outputs(stage):
    name = "B" if stage == "base" else "A"
    outs = set(paths(stage, "outs"))
    artifacts = {path.as_posix() for path in layout.artifacts_of(stage, name)}
    if stage == "export":  # which forms are made depends on the model
        artifacts = {layout.export(name, "quantized").parent.as_posix()}
    assert artifacts <= outs
    assert layout.provenance(stage, name).as_posix() in paths(stage, "metrics")  # DVC uses its run cache then
    made = {path for path in outs if path.startswith(("data/", "models/"))}
    assert made == artifacts


def test_no_stage_depends_on_provenance():
    assert not [dep for stage in STAGES for dep in paths(stage, "deps") if "provenance" in dep]


def test_reports_are_in_git_and_not_in_the_cache():
    large = {"flips.md", "samples"}  # they quote rows
    for stage in STAGES:
        listed = [entry for kind in ("outs", "metrics", "plots") for entry in STAGES[stage]["do"].get(kind, [])]
        cached = {entry for entry in listed if isinstance(entry, str)}
        uncached = {
            path for entry in listed if isinstance(entry, dict) for path, options in entry.items() if options["cache"] is False
        }
        assert {path for path in cached if path.startswith("reports/") and path.split("/")[-1] not in large} == set()
        assert all(path.startswith("reports/") for path in uncached)


@EACH_STAGE
def test_every_dependency_is_an_output_of_an_earlier_stage_or_given_by_the_user(stage):
    given = ("suites", "evidence/A", "${item.source.path}")
    earlier = [out for other in list(STAGES)[: list(STAGES).index(stage)] for out in paths(other, "outs", "metrics", "plots")]
    for dep in paths(stage, "deps"):
        assert dep in given or any(dep == out or dep.startswith(f"{out}/") for out in earlier), dep


def test_training_does_not_depend_on_test_rows_suites_or_parameters():
    definition = STAGES["train"]["do"]
    assert definition["params"] == [{"fineline.lock": ["stages.train"]}]
    assert paths("train", "deps") == [
        "data/curated/A/train.jsonl",
        "data/curated/A/validation.jsonl",
        "models/bases/B",
        "reports/A/settings.json",
    ]


@pytest.mark.parametrize("module", ["train", "plan", "merge", "evaluate"])
def test_stages_of_a_bare_accelerator_machine_import_neither_front(module):
    script = f"import sys, pipelines.{module}; print([name for name in ('dagster', 'dvc') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(result.stdout.replace("'", '"')) == []

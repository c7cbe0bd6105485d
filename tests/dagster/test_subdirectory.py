"""Retraining of a project that is a directory of a larger git repository."""

import json
import shutil

import dagster as dg
import pytest

from fineline.dagster import worktree
from fineline.dagster.definitions import build_definitions
from fineline.dagster.retraining import JOB
from fineline.errors import InputError
from tests.dagster.small import Small


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project at ml/voice of a repository with other files."""
    repository = tmp_path / "repository"
    (repository / "service").mkdir(parents=True)
    (repository / "service" / "app.py").write_text("print('hello')\n")
    (repository / "params.yaml").write_text("of: another tool\n")
    monkeypatch.setenv("RUNS", "")
    return Small(repository / "ml" / "voice", repository=repository)


def retrain(project, instance):
    job = build_definitions(project.root).resolve_job_def(JOB)
    return job.execute_in_process(instance=instance, partition_key="support", raise_on_error=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_project_below_the_top_of_its_repository_is_retrained(project):
    champion = project.promote()
    shutil.rmtree(project.root / "models" / "adapters")  # so it is fetched from the cache, by dvc.lock of the project
    before = project.git("status", "--porcelain")
    project.rows("day-2", "two")
    with dg.DagsterInstance.ephemeral() as instance:
        assert retrain(project, instance).success
        listed = project.git("for-each-ref", "--format=%(refname:short)", "refs/heads/retrain").split()
        (branch,) = listed
        assert branch.startswith("retrain/ml/voice/support/")
        changed = project.git("diff", "--name-only", f"main..{branch}").split()
        assert "ml/voice/dvc.lock" in changed
        assert all(path.startswith("ml/voice/") for path in changed), "no other file of the repository"
        gate = json.loads(project.git("show", f"{branch}:ml/voice/reports/support/gate.json"))
        assert gate["scores"]["candidate"]["target_exact_match"] == 0.02
        assert gate["arms"]["champion"]["digest"] == champion
        assert project.git("status", "--porcelain") == before
        assert retrain(project, instance).success
        assert project.git("for-each-ref", "--format=%(refname:short)", "refs/heads/retrain").split() == listed
    project.git("merge", "--quiet", branch)
    project.run("dvc", "checkout")
    assert project.run("dvc", "status").strip() == "Data and pipelines are up to date."


def test_the_worktree_is_of_the_whole_repository_with_the_project_at_its_path(project):
    place = worktree.prepare(project.root, "support")
    assert place.root == place.checkout / "ml" / "voice"
    assert (place.checkout / "service" / "app.py").exists()
    assert [file.name for file in (place.root / "tickets").iterdir()] == ["day-1.jsonl"]


def test_a_project_that_is_not_committed_is_an_error(project):
    project.git("rm", "--quiet", "-r", "--cached", ".")
    project.git("commit", "--quiet", "--message", "without the project")
    with pytest.raises(InputError, match=r"params\.yaml: not in the commit that is checked out"):
        worktree.prepare(project.root, "support")

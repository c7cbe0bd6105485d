"""fineline.dagster.dvc_state: which result each stage has."""

from fineline.dagster import dvc_state
from fineline.dagster.stages import read_stages


def version(root, name="train@home-en"):
    (stage,) = [stage for stage in read_stages(root) if stage.name == name]
    return dvc_state.read_lock(root).data_version(stage)


def test_a_stage_that_never_ran_has_no_data_version(fresh_project):
    assert version(fresh_project.root) is None


def test_the_data_version_is_that_of_the_result_without_times_and_provenance(made_project):
    before, lock = version(made_project.root), made_project.lock()
    made_project.dvc("repro", "-s", "--force", "train@home-en")
    assert made_project.lock() != lock, "training.json and the provenance contain the time, so the lock must have changed"
    assert version(made_project.root) == before
    made_project.set(rank=16)
    made_project.dvc("repro", "-s", "train@home-en")
    assert version(made_project.root) != before

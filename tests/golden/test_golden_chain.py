"""The results of the whole chain on a tiny model change if and only if a stage version, or a library, was raised."""

import pytest

from fineline.project.versions import STAGES
from tests.golden import results

LIBRARIES = {"torch": "2.13.0"}
RECORDED = {
    "libraries": LIBRARIES,
    "stages": {stage: {"version": 1, "results": {"loss": 4.0, "rows": 10}} for stage in results.BEFORE},
}
VERSIONS = dict.fromkeys(results.BEFORE, 1)


def test_results_are_as_recorded(made, request):
    found = results.of_project(made, "tiny", "support")
    recorded, installed = results.read(), results.installed()
    assert not results.problems(recorded, found, STAGES, installed)
    if request.config.getoption("--record-golden"):
        results.write(found, STAGES, installed)
    else:
        assert not results.outdated(recorded, STAGES, installed), "record the results of the new versions with `make golden`"


def test_every_stage_has_results_and_knows_the_stages_before_it():
    assert list(results.BEFORE) == list(STAGES)
    assert list(results.read()["stages"]) == list(STAGES)
    assert all(set(results.BEFORE[one]) <= set(before) for before in results.BEFORE.values() for one in before)


def found(**changed):
    return {stage: {"loss": 4.0, "rows": 10} | changed.get(stage, {}) for stage in results.BEFORE}


def test_equal_results_and_what_a_processor_rounds_pass():
    assert not results.problems(RECORDED, found(train={"loss": 4.0002}), VERSIONS, LIBRARIES)


@pytest.mark.parametrize("change", [{"loss": 4.001}, {"rows": 11}, {"more": 1}])
def test_a_changed_result_without_a_raise_fails_at_the_first_stage_that_differs(change):
    (message,) = results.problems(RECORDED, found(train=change, evaluate=change), VERSIONS, LIBRARIES)
    assert message.startswith("train: the results changed, but its version is still 1: ")


def test_a_raised_stage_explains_its_own_results_and_those_after_it_only():
    raised = VERSIONS | {"train": 2}
    assert not results.problems(RECORDED, found(train={"rows": 11}, evaluate={"rows": 11}), raised, LIBRARIES)
    (message,) = results.problems(RECORDED, found(curate={"rows": 11}), raised, LIBRARIES)
    assert message.startswith("curate: ")
    assert results.outdated(RECORDED, raised, LIBRARIES)


def test_other_libraries_explain_results_and_ask_for_a_new_record():
    newer = {"torch": "2.14.0"}
    assert not results.problems(RECORDED, found(train={"rows": 11}), VERSIONS, newer)
    assert results.outdated(RECORDED, VERSIONS, newer)
    assert not results.outdated(RECORDED, VERSIONS, LIBRARIES)

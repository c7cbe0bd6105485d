"""fineline.dagster.translation: both fronts run the same stages, and neither repeats what the other did."""

import json

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from fineline.dagster import dvc_state
from fineline.dagster.definitions import build_definitions
from fineline.dagster.stages import read_stages, stage_name
from fineline.dagster.staleness_sync import reports
from fineline.dagster.translation import once

HOME = [["tiny_1m", "base"], ["home_en", "curate"], ["home_en", "train"], ["home_en", "evaluate"]]
GATE = dg.AssetCheckKey(dg.AssetKey(["home_en", "evaluate"]), "gate")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialize(project, selection, instance=None, knobs=None, raise_on_error=True):
    definitions = build_definitions(project.root)
    return dg.materialize(
        list(definitions.assets),
        selection=selection,
        instance=instance,
        raise_on_error=raise_on_error,
        run_config={"ops": {op: {"config": config} for op, config in (knobs or {}).items()}},
    )


def edges_of_dagster(root):
    graph = build_definitions(root).resolve_asset_graph()
    return {
        (stage_name(up.path), stage_name(key.path)) for key in graph.get_all_asset_keys() for up in graph.get(key).parent_keys
    }


def edges_of_dvc(project):
    lines = project.dvc("dag", "--dot").splitlines()
    return {tuple(end.strip().strip('";') for end in line.split("->")) for line in lines if "->" in line}


def test_the_asset_graph_is_the_graph_of_dvc(fresh_project):
    assert edges_of_dagster(fresh_project.root) == edges_of_dvc(fresh_project)


def test_the_asset_graph_of_this_project_is_the_graph_of_dvc(own_project):
    assert edges_of_dagster(own_project.root) == edges_of_dvc(own_project)


def test_an_asset_has_owner_group_kinds_and_stage(fresh_project):
    graph = build_definitions(fresh_project.root).resolve_asset_graph()
    train = graph.get(dg.AssetKey(["home_en", "train"]))
    assert train.group_name == "home_en"
    assert train.owners == ["voice@fineline.example"]
    assert train.kinds == {"dvc", "peft"}
    assert train.description == "The adapter"
    assert train.metadata["dvc/stage"] == "train@home-en"
    assert train.pools == {"gpu"}
    assert graph.get(dg.AssetKey(["support", "train"])).owners == ["team:support-team"]
    assert graph.get(dg.AssetKey(["home_en", "curate"])).pools == set()


def test_after_dvc_repro_nothing_is_left_for_dagster(made_project):
    before, lock = made_project.runs(), made_project.lock()
    stages = {stage.key: stage for stage in read_stages(made_project.root)}
    result = materialize(made_project, [dg.AssetKey(key) for key in HOME[-2:]])
    assert made_project.runs() == before
    assert made_project.lock() == lock
    for event in result.get_asset_materialization_events():
        materialization, stage = event.materialization, stages[tuple(event.asset_key.path)]
        assert materialization.metadata["dvc/action"].value == "unchanged"
        assert materialization.tags["dagster/data_version"] == dvc_state.read_lock(made_project.root).data_version(stage)
        assert materialization.tags["dagster/code_version"] == stage.code_version


def test_after_dagster_nothing_is_left_for_dvc(fresh_project):
    materialize(fresh_project, [dg.AssetKey(key) for key in HOME[:2]])
    runs = fresh_project.runs()
    assert sorted(runs) == sorted(stage_name(key) for key in HOME[:2])
    fresh_project.dvc("repro", "base@tiny-1m", "curate@home-en")
    assert fresh_project.runs() == runs


def test_force_runs_an_unchanged_stage(made_project):
    before = made_project.runs()
    materialize(made_project, [dg.AssetKey(["tiny_1m", "base"])], knobs={"tiny_1m__base": {"force": True}})
    assert made_project.runs() == [*before, "base@tiny-1m"]


def test_hyper_parameters_cannot_be_given_to_a_run(made_project):
    with pytest.raises(dg.DagsterInvalidConfigError, match="rank"):
        materialize(made_project, [dg.AssetKey(["home_en", "train"])], knobs={"home_en__train": {"rank": 1}})


def test_a_failed_stage_shows_its_last_lines(made_project):
    made_project.set(fails=True)
    result = materialize(made_project, [dg.AssetKey(["home_en", "train"])], raise_on_error=False)
    failure = result.failure_data_for_node("home_en__train").user_failure_data
    assert "dvc repro -s train@home-en" in failure.description
    assert "loss is not finite" in failure.metadata["log"].value


def test_a_check_alone_reads_its_report_and_runs_nothing(made_project):
    before = made_project.runs()
    result = materialize(made_project, dg.AssetSelection.checks(GATE))
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.passed
    assert result.get_asset_materialization_events() == []
    assert made_project.runs() == before


def test_one_of_several_checks_can_be_asked_alone(made_project):
    result = materialize(made_project, dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(["home_en", "curate"]), "drift")))
    assert [evaluation.check_name for evaluation in result.get_asset_check_evaluations()] == ["drift"]
    assert result.get_asset_materialization_events() == []


@pytest.mark.parametrize(("with_check", "expected"), [(True, 1), (False, 0)])
def test_an_asset_goes_with_or_without_its_check(made_project, with_check, expected):
    asset = dg.AssetSelection.assets(GATE.asset_key)
    result = materialize(made_project, asset if with_check else asset.without_checks())
    assert len(result.get_asset_materialization_events()) == 1
    assert len(result.get_asset_check_evaluations()) == expected


def test_dagster_and_dvc_agree_on_what_is_stale(made_project, instance):
    selection = [dg.AssetKey(key) for key in HOME]
    materialize(made_project, selection, instance)
    assert stale(made_project, instance) == set()

    made_project.set(rank=16)
    assert stale(made_project, instance) == changed(made_project) == {"train@home-en"}

    materialize(made_project, [dg.AssetKey(["home_en", "train"])], instance)
    assert stale(made_project, instance) == changed(made_project) == {"evaluate@home-en"}


def test_a_change_of_test_rows_alone_leaves_the_training_in_sync(made_project, instance):
    """DVC compares single files of a directory, Dagster all of it: the staleness sync makes them agree."""
    materialize(made_project, [dg.AssetKey(key) for key in HOME], instance)
    made_project.set_curate(test=2)
    materialize(made_project, [dg.AssetKey(["home_en", "curate"])], instance)
    assert changed(made_project) == {"evaluate@home-en"}
    stages = read_stages(made_project.root)
    for event in reports(instance, stages, stages):
        instance.report_runless_asset_event(event)
    assert stale(made_project, instance) == {"evaluate@home-en"}


def stale(project, instance):
    graph = build_definitions(project.root).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    keys = [dg.AssetKey(key) for key in HOME]
    return {stage_name(key.path) for key in keys if resolver.get_status(key) != StaleStatus.FRESH}


def changed(project):
    return set(json.loads(project.dvc("status", "--json")))


def test_a_defect_is_not_retried():
    """A report that cannot be shown will not be shown in a minute either."""
    with pytest.raises(dg.Failure, match="KeyError: 'rows'") as caught, once():
        raise KeyError("rows")
    assert caught.value.allow_retries is False
    with pytest.raises(dg.Failure, match="locked") as caught, once():
        raise dg.Failure("locked", allow_retries=True)
    assert caught.value.allow_retries is True

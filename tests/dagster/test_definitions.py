"""fineline.dagster.build_definitions: loads, merges with other definitions, and imports little."""

import ast
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from fineline.dagster import EXECUTOR, build_definitions

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "fineline" / "dagster").glob("**/*.py"))


def test_the_definitions_of_this_project_load(own_project):
    definitions = build_definitions(own_project.root)
    dg.Definitions.validate_loadable(definitions)
    expected = {"retrain", "look_for_drift", "refresh_sources", "evaluate_only", "export_only", "everything"}
    assert {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")} == expected


def test_the_path_may_be_text(own_project):
    assert len(list(build_definitions(str(own_project.root)).assets)) == len(list(build_definitions(own_project.root).assets))


@pytest.fixture
def theirs():
    """Definitions of an existing Dagster project: an executor, an asset after a fineline asset, a job, a schedule, a sensor."""

    @dg.asset(deps=[dg.AssetKey(["home_en", "evaluate"])], group_name="dashboards")
    def dashboard() -> None: ...

    job = dg.define_asset_job("publish", selection=dg.AssetSelection.assets(dashboard))

    @dg.sensor(name="mailbox", job=job)
    def mailbox() -> dg.SkipReason:
        return dg.SkipReason("no mail")

    return dg.Definitions(
        assets=[dashboard],
        jobs=[job],
        schedules=[dg.ScheduleDefinition(job=job, cron_schedule="@daily")],
        sensors=[mailbox],
        resources={"warehouse": dg.ResourceDefinition.hardcoded_resource("w")},
        executor=dg.in_process_executor,
    )


def test_definitions_merge_into_an_existing_project(made_project, theirs):
    ours = build_definitions(made_project.root)
    for merged in (dg.Definitions.merge(theirs, ours), dg.Definitions.merge(ours, theirs)):
        dg.Definitions.validate_loadable(merged)
        assert merged.executor is dg.in_process_executor
        assert {sensor.name for sensor in merged.sensors} == {sensor.name for sensor in ours.sensors} | {"mailbox"}
        assert {job.name for job in merged.resolve_all_job_defs()} >= {"publish", "retrain", "everything"}
        graph = merged.resolve_asset_graph()
        assert graph.get(dg.AssetKey("dashboard")).parent_keys == {dg.AssetKey(["home_en", "evaluate"])}
    with dg.DagsterInstance.ephemeral() as instance:
        assert merged.resolve_job_def("publish").execute_in_process(instance=instance).success
        keys = [dg.AssetKey(["home_en", "evaluate"]), dg.AssetKey("dashboard")]
        assert dg.materialize(list(merged.assets), selection=keys, instance=instance).success


def test_a_failure_of_another_project_is_not_reported(made_project, theirs):
    @dg.job
    def breaks():
        @dg.op
        def fail():
            raise RuntimeError

        fail()

    merged = dg.Definitions.merge(dg.Definitions(jobs=[breaks]), build_definitions(made_project.root))
    sensor = next(sensor for sensor in merged.sensors if sensor.name == "failures")
    outbox = made_project.root / ".fineline" / "outbox"
    made_project.set(fails=True)
    with dg.DagsterInstance.ephemeral() as instance:
        for job, noticed in ((merged.resolve_job_def("breaks"), False), (merged.resolve_job_def("everything"), True)):
            run = job.execute_in_process(instance=instance, raise_on_error=False)
            sensor(dg.build_run_status_sensor_context("failures", _failure(run), instance, run.dagster_run).for_run_failure())
            assert outbox.exists() is noticed


def _failure(run: dg.ExecuteInProcessResult) -> dg.DagsterEvent:
    return next(event for event in run.all_events if event.event_type == dg.DagsterEventType.RUN_FAILURE)


def test_two_executors_cannot_be_merged_so_there_is_none_by_default(own_project, theirs):
    assert build_definitions(own_project.root).executor is None
    with pytest.raises(dg.DagsterInvariantViolationError, match="both have an executor"):
        dg.Definitions.merge(theirs, build_definitions(own_project.root, executor=EXECUTOR))


def test_two_projects_in_one_code_location_are_an_error_of_dagster(own_project, fresh_project):
    merged = dg.Definitions.merge(build_definitions(own_project.root), build_definitions(fresh_project.root))
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        dg.Definitions.validate_loadable(merged)


def test_step_processes_import_neither_torch_nor_transformers_nor_dvc():
    code = "import sys; from fineline.dagster import build_definitions; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"torch", "transformers", "dvc", "matplotlib"} & set(modules.split())


def test_importing_the_package_imports_nothing_else():
    code = "import sys, fineline.dagster; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"dagster", "torch", "transformers", "dvc", "pydantic"} & set(modules.split())


def test_definitions_of_a_project_without_a_ledger_import_no_key_service():
    code = "import sys; from assets.definitions import defs; defs(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"securesystemslib", "boto3", "hvac"} & set(modules.split())


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_annotations_are_not_postponed(source):
    """Dagster reads the annotations of `context` and `config`; it cannot use strings."""
    imports = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ImportFrom)]
    assert not any(node.module == "__future__" for node in imports)


def test_only_one_module_imports_dvc():
    importers = {source.name for source in SOURCES if _imports(source, "dvc")}
    assert importers == {"graph.py"}


def test_only_this_package_imports_dagster_or_dvc():
    sources = (file for file in (ROOT / "fineline").glob("**/*.py") if "dagster" not in file.parts)
    assert not [source for source in sources if _imports(source, "dagster") or _imports(source, "dvc")]


def test_the_workspace_and_the_instance_are_those_of_this_package():
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    assert workspace["load_from"][0]["python_module"]["module_name"] == "assets.definitions"
    instance = yaml.safe_load((ROOT / ".dagster" / "dagster.yaml").read_text())
    assert instance["telemetry"]["enabled"] is False
    assert instance["run_monitoring"]["free_slots_after_run_end_seconds"] > 0


def _imports(source: Path, package: str) -> bool:
    names: list[str] = []
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return any(name.split(".")[0] == package for name in names)

"""fineline.dagster.definitions: loads, stays light, and keeps the rules of the package."""

import ast
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from fineline.dagster.definitions import build_definitions
from fineline.dagster.translation import DISPLAYS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "fineline" / "dagster").glob("**/*.py"))


def test_the_definitions_of_this_project_load(own_project):
    definitions = build_definitions(own_project.root)
    dg.Definitions.validate_loadable(definitions)
    expected = {"retrain", "look_for_drift", "refresh_sources", "evaluate_only", "export_only", "everything"}
    assert {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")} == expected


def test_every_kind_of_stage_of_this_project_has_its_display():
    assert set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) == set(DISPLAYS)


def test_step_processes_import_neither_torch_nor_transformers_nor_dvc():
    code = "import sys, fineline.dagster.definitions; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"torch", "transformers", "dvc", "matplotlib"} & set(modules.split())


def test_definitions_of_a_project_without_a_ledger_import_no_key_service():
    code = "import sys; from assets.definitions import defs; defs(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"securesystemslib", "boto3", "hvac"} & set(modules.split())


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_annotations_are_not_postponed(source):
    """Dagster reads the annotations of `context` and `config`; as strings they mean nothing to it."""
    imports = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ImportFrom)]
    assert not any(node.module == "__future__" for node in imports)


def test_only_one_module_imports_dvc():
    importers = {source.name for source in SOURCES if _imports(source, "dvc")}
    assert importers == {"graph.py"}


def test_stages_of_pipelines_know_neither_front():
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

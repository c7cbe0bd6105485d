"""dvc.yaml and the code it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fineline.artifacts import code
from tests.conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_the_nine_stages_are_there():
    assert list(STAGES) == ["base", "ingest", "curate", "plan", "train", "evaluate", "merge", "export", "assess"]


@pytest.mark.parametrize("stage", list(STAGES))
def test_the_deps_of_a_stage_cover_every_first_party_file_it_imports(stage):
    deps = [Path(dep) for dep in STAGES[stage]["do"]["deps"] if dep.startswith("pipelines")]
    uncovered = [file for file in code.closure(f"pipelines.{stage}") if not any(file.is_relative_to(dep) for dep in deps)]
    assert not uncovered


@pytest.mark.parametrize("stage", list(STAGES))
def test_no_dep_of_a_stage_is_needless(stage):
    closure = code.closure(f"pipelines.{stage}")
    deps = [Path(dep) for dep in STAGES[stage]["do"]["deps"] if dep.startswith("pipelines")]
    assert not [dep for dep in deps if not any(file.is_relative_to(dep) for file in closure)]


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_stage_runs_its_own_module_and_names_an_owner(stage):
    definition = STAGES[stage]["do"]
    assert definition["cmd"] == f"python -m pipelines.{stage} ${{key}}"
    assert definition["meta"]["owner"] == "${item.owner}"
    assert definition["desc"]


def test_a_changed_import_changes_the_digest_of_the_stage(tmp_path, monkeypatch):
    package = tmp_path / "pipelines"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("def f():\n    from pipelines import two\n")
    (package / "two.py").write_text("x = 1\n")
    (package / "three.py").write_text("y = 1\n")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    assert [file.name for file in code.closure("pipelines.one")] == ["__init__.py", "one.py", "two.py"]
    before = code.digest("pipelines.one")
    (package / "three.py").write_text("y = 2\n")
    assert code.digest("pipelines.one") == before
    (package / "two.py").write_text("x = 2\n")
    assert code.digest("pipelines.one") != before


@pytest.mark.parametrize("module", ["train", "plan", "merge", "evaluate"])
def test_what_runs_on_a_bare_accelerator_machine_imports_neither_front(module):
    script = f"import sys, pipelines.{module}.__main__; print([name for name in ('dagster', 'dvc') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(result.stdout.replace("'", '"')) == []

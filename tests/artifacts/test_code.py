"""The code digest: it covers what a stage can reach, and nothing else."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fineline.artifacts import code
from fineline.project.versions import STAGES
from tests.conftest import ROOT


def test_the_closure_covers_all_modules_that_are_loaded():
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import fineline.stages.entry\n"
        f"from pipelines import {', '.join(STAGES)}\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in ('fineline', 'pipelines')))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) >= {f"pipelines.{stage}" for stage in STAGES}
    reached = code.closure([f"pipelines.{stage}" for stage in STAGES], ROOT)
    origins = {importlib.util.find_spec(module).origin for module in loaded}
    assert {Path(origin) for origin in origins if origin} <= set(reached.values())


def test_imports_inside_functions_count():
    assert {"fineline/stages/train.py", "fineline/train/loop.py", "fineline/train/checkpoints.py"} <= set(
        code.closure(("pipelines.train",), ROOT)
    )


def test_stages_do_not_reach_the_fronts():
    for stage in STAGES:
        reached = code.closure((f"fineline.stages.{stage}",))
        assert not [name for name in reached if name.startswith(("fineline/dagster/", "fineline/scaffold/"))]


def test_data_files_next_to_a_module_are_code():
    assert "fineline/sources/households/en.yaml" in code.closure(("fineline.stages.ingest",))
    assert "fineline/report/page.html.j2" in code.closure(("fineline.stages.assess",))


def test_data_files_of_another_package_are_not():
    assert "fineline/report/page.html.j2" not in code.closure(("fineline.stages.train",))


@pytest.fixture
def project(tmp_path):
    """A project with a step of the user's own."""
    package = tmp_path / "pipelines"
    package.mkdir()
    (package / "one.py").write_text("def f():\n    from pipelines import two\n    from fineline import errors\n")
    (package / "two.py").write_text("import own.step\n")
    (package / "three.py").write_text("y = 1\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("")
    (tmp_path / "own" / "step.py").write_text("z = 1\n")
    return tmp_path


def digest(project: Path) -> str:
    code._digest.cache_clear()
    return code.digest(("pipelines.one",), project)


def test_a_changed_import_changes_the_digest(project):
    reached = code.closure(("pipelines.one",), project)
    assert list(reached) == [
        "fineline/__init__.py",
        "fineline/errors.py",
        "own/__init__.py",
        "own/step.py",
        "pipelines/one.py",
        "pipelines/two.py",
    ]
    before = digest(project)
    (project / "pipelines" / "three.py").write_text("y = 2\n")
    assert digest(project) == before
    (project / "own" / "step.py").write_text("z = 2\n")
    assert digest(project) != before


def test_the_digest_is_computed_once_per_process(project):
    before = digest(project)
    (project / "pipelines" / "two.py").write_text("x = 2\n")
    assert code.digest(("pipelines.one",), project) == before


def test_an_installed_library_has_the_digest_of_its_checkout(tmp_path):
    """As a wheel is installed: the package alone, in a directory of the environment."""
    wheel = tmp_path / "fineline.zip"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in (ROOT / "fineline").rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(ROOT))
    environment = tmp_path / "site-packages"
    zipfile.ZipFile(wheel).extractall(environment)
    script = (
        f"import sys; sys.path.insert(0, {str(environment)!r}); from fineline.artifacts import code\n"
        "print(code.PACKAGE, code.digest(('fineline.stages.train',)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert found.split() == [str(environment / "fineline"), code.digest(("fineline.stages.train",))]

"""The wheel, installed where no checkout of fineline is: a new project, an adapter, and its release candidate.

The dependencies are those of this environment; only fineline itself is installed. Building it needs a package index.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from fineline.project.versions import STAGES
from tests.conftest import ENVIRONMENT, ROOT, commands, write_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The variables of an environment that has the wheel."""
    directory = tmp_path_factory.mktemp("installed")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", directory / "dist", ROOT], check=True)
    (wheel,) = (directory / "dist").glob("*.whl")
    venv.create(directory / "env", symlinks=True)
    binaries = directory / "env" / "bin"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--python", binaries / "python", wheel], check=True)
    (packages,) = (directory / "env" / "lib").glob("python*/site-packages")
    # a path that a .pth file adds is searched last, and its own .pth files, such as that of the checkout, are not read
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    dvc = binaries / "dvc"
    dvc.write_text(f"#!{binaries / 'python'}\nimport sys\nfrom dvc.cli import main\n\nsys.exit(main())\n")
    dvc.chmod(0o755)
    variables = {name: value for name, value in ENVIRONMENT.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return variables | {"PATH": f"{binaries}{os.pathsep}{variables['PATH']}"}


@pytest.fixture(scope="module")
def project(environment, tiny_base, tmp_path_factory):
    """A project after the commands of a first visit."""
    directory = tmp_path_factory.mktemp("work") / "demo"
    shown = run("fineline new demo", directory.parent, environment)
    assert "next: cd demo && fineline init" in shown
    shutil.copytree(tiny_base, directory.parent / "tiny")
    write_lines(directory / "commands.jsonl", commands())
    added = run(
        "fineline init home --data commands.jsonl --base ../tiny --base-license apache-2.0 --owner home@example.com",
        directory,
        environment,
    )
    assert "params.yaml: added adapters.home" in added
    run("dvc repro", directory, environment)
    return directory


def run(command, cwd, environment):
    answer = subprocess.run(command.split(), cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


def test_a_project_of_the_installed_library_ends_with_a_candidate(project, environment):
    """One test, since the project takes minutes and several tests would be spread over several workers."""
    script = "import fineline, json, sys; print(json.dumps([fineline.__file__, sys.path]))"
    answer = subprocess.run(["python", "-c", script], cwd=project, env=environment, capture_output=True, text=True, check=True)
    file, path = json.loads(answer.stdout)
    assert not Path(file).is_relative_to(ROOT)
    assert str(ROOT) not in path

    candidate = json.loads((project / "reports" / "home" / "candidate.json").read_text())
    assert candidate["candidate"]["digest"].startswith("sha256:")
    assert candidate["verdict"] in {"pass", "fail", "inconclusive"}
    assert "verdict: " in run("fineline report home", project, environment)
    assert json.loads(run("dvc status --json", project, environment)) == {}

    provenance = json.loads((project / "reports" / "home" / "provenance" / "train.json").read_text())
    assert provenance["code"].startswith("sha256:")
    assert provenance["stage_version"] == STAGES["train"]

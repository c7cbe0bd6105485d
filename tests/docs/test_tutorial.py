"""The tutorial, as written: its commands run in their order, and its changes of YAML files are made in between."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ENVIRONMENT, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The base model of the tutorial; the test takes a directory instead."""
INSTALL = "pip install fineline\n"
"""Left out: fineline is installed here, and a test needs no network."""
MERGE = """\
import sys, yaml

def merged(old, new):
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {key: merged(old.get(key), value) for key, value in new.items()}

file, change = sys.argv[1:]
content = merged(yaml.safe_load(open(file)), yaml.safe_load(change))
open(file, "w").write(yaml.safe_dump(content, sort_keys=False))
"""
"""Changes keys of a YAML file, as a reader does in an editor."""


def script(base: Path) -> str:
    """Return the tutorial as a shell script that stops at the first failure."""
    lines = ["set -euo pipefail"]
    for language, block in re.findall(r"^```(sh|yaml)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        if language == "sh":
            lines.append(block.replace(INSTALL, "").replace(HUB, f"{base} --base-license apache-2.0"))
        else:
            file = block.splitlines()[0].removeprefix("# ")
            assert file in ("params.yaml", "governance/policy.yaml")
            lines.append(shlex.join([sys.executable, "-c", MERGE, file, block]))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def walked(tiny_base, tmp_path_factory):
    """The directory after the tutorial, and what its commands printed."""
    directory = tmp_path_factory.mktemp("tutorial")
    (directory / "tutorial.sh").write_text(script(tiny_base), encoding="utf-8")
    (directory / "home").mkdir()
    person = {"NAME": "Ada", "EMAIL": "ada@example.com"}
    environment = (
        ENVIRONMENT
        | {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in person.items()}
        | {"HOME": str(directory / "home"), "CDPATH": ""}
    )
    environment.pop("FINELINE_KEY", None)
    answer = subprocess.run(
        ["bash", "tutorial.sh"], cwd=directory, env=environment, input="y\n", capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, f"{answer.stdout}\n{answer.stderr}"
    return directory / "my-project", answer.stdout


def test_it_ends_with_a_promoted_release_that_answers(walked):
    """One test, since the walk takes minutes and several tests would be spread over several workers."""
    project, output = walked
    assert "verdict: pass" in output
    assert "in use in staging" in output
    assert (project / "releases" / "support" / "channels" / "staging").is_symlink()
    for command, expected in (("git status --porcelain", "?? answer.py"), ("dvc status --json", "{}")):
        answer = subprocess.run(command.split(), cwd=project, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == expected
    policy = yaml.safe_load((project / "governance" / "policy.yaml").read_text(encoding="utf-8"))
    assert policy["channels"]["staging"]["licenses"] == ["apache-2.0"]
    assert policy["channels"]["staging"]["approve"]["producer"] is True
    assert output.strip().splitlines()[-1].startswith("{")

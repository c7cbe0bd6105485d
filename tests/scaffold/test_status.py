"""`fineline status`: every adapter, what is stale, the last verdict, and what waits for whom."""

import io
import json
import re
import subprocess

import pytest
from rich.console import Console

from fineline.errors import InputError
from fineline.project import layout
from fineline.project.versions import STAGES
from fineline.scaffold import doctor, staleness, status
from tests import in_process
from tests.conftest import small_params, write_project
from tests.governance.conftest import NAME, day, world  # noqa: F401


@pytest.fixture
def stale(monkeypatch):
    """Sets what `dvc status` answers."""

    def answer(*stages, code=0, errors=""):
        staleness.CACHE.unlink(missing_ok=True)
        output = json.dumps({stage: [{"changed deps": {}}] for stage in stages})
        monkeypatch.setattr(doctor, "dvc", lambda *_: subprocess.CompletedProcess([], code, output, errors))

    return answer


@pytest.fixture
def project(tmp_path, tiny_base, monkeypatch):
    write_project(tmp_path, small_params(tiny_base))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_adapter_that_never_ran_is_stale_from_its_base_on(project, stale):
    stale("base@tiny", *(f"{stage}@home" for stage in STAGES if stage != "base"))
    shown = in_process.fineline("status").stdout
    assert "home  no candidate yet  stale from base on" in shown
    assert "fineline run home" in shown


def test_stages_of_other_adapters_are_not_counted(project, stale):
    stale("train@away", "evaluate@home", "merge@home")
    (found,) = status.examine()
    assert found.stale == ("evaluate", "merge")
    assert "stale: evaluate, merge" in in_process.fineline("status").stdout


def test_a_failed_candidate_is_shown_with_its_reasons(project, stale):
    stale()
    layout.reports("home").mkdir(parents=True, exist_ok=True)
    (layout.reports("home") / "candidate.json").write_text('{"verdict": "fail", "reasons": ["target: [b]below[/b] 70%"]}')
    shown = in_process.fineline("status").stdout
    assert "home  fail  up to date" in shown
    assert "reason   target: [b]below[/b] 70%" in shown
    assert "next     fineline report home" in shown


def test_a_broken_report_hides_no_adapter(project, stale):
    stale()
    layout.reports("home").mkdir(parents=True, exist_ok=True)
    (layout.reports("home") / "candidate.json").write_text("{")
    (found,) = status.examine()
    assert found.verdict is None


def test_what_each_channel_waits_for_is_shown(world, stale, monkeypatch):  # noqa: F811
    monkeypatch.setattr("fineline.governance.files.now", lambda: day(8))
    stale()
    assert next(one for one in status.examine() if one.name == NAME).channels == (), "without a policy, nothing waits"
    world.adopt()
    world.attest()
    (found,) = [one for one in status.examine() if one.name == NAME]
    assert found.verdict == "pass"
    assert {line.partition(":")[0] for line in found.channels} == {"staging", "production"}
    shown = in_process.fineline("status").stdout
    assert "waits    staging: " in shown
    assert f"next     fineline show {NAME}" in shown


def test_every_line_fits_a_terminal_of_60_columns_without_color(world, stale, monkeypatch):  # noqa: F811
    monkeypatch.setattr("fineline.governance.files.now", lambda: day(8))
    stale("train@home")
    world.adopt()
    output = io.StringIO()
    status.print_status(status.examine(), Console(file=output, width=60, color_system=None, highlight=False))
    lines = output.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 60
    assert "\x1b" not in output.getvalue()
    waits = next(place for place, line in enumerate(lines) if line.startswith("  waits"))
    assert lines[waits + 1].startswith(" " * 11), "a long line continues below its text"
    assert not re.search("[0-9a-f]{13}", output.getvalue()), "digests are short"
    assert f"(all: `fineline show {NAME}`)" in " ".join(output.getvalue().split())


def test_the_status_as_json(project, stale):
    stale("train@home")
    (found,) = json.loads(in_process.fineline("status", "--json").stdout)
    assert (found["name"], found["stale"], found["verdict"]) == ("home", ["train"], None)


def test_a_graph_that_dvc_cannot_read_is_an_error(project, stale):
    stale(code=1, errors="ERROR: dvc.yaml: invalid")
    with pytest.raises(InputError, match=r"dvc\.yaml: invalid"):
        status.examine()

"""The command line as a user meets it: output, exit codes, and no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import artifacts, base, ingest, layout
from pipelines.curate import __main__ as curate
from pipelines.train import __main__ as train


def fineline(*arguments: str) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).with_name("fineline")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "300"})


def stage(module: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", f"pipelines.{module}", *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture
def trained(project):
    base.run("tiny")
    for step in (ingest, curate, train):
        step.run("home")
    return project


def test_verify_and_lineage_follow_the_chain_to_its_sources(trained):
    adapter = str(layout.adapter("home"))
    verified = fineline("verify", adapter)
    assert verified.returncode == 0, verified.stderr
    assert [line.split()[1] for line in verified.stdout.splitlines()] == [
        "models/bases/tiny",
        "data/raw/home",
        "data/curated/home",
        "models/adapters/home",
    ]
    shown = fineline("lineage", adapter)
    assert shown.returncode == 0
    for directory in (layout.adapter("home"), layout.curated("home"), layout.raw("home"), layout.base("tiny")):
        assert artifacts.read(directory).digest in shown.stdout


def test_verify_refuses_a_changed_byte_anywhere_upstream(trained):
    rows = layout.raw("home") / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b"kitchen", b"kitchem", 1))
    refused = fineline("verify", str(layout.adapter("home")))
    assert refused.returncode == 3
    assert "data/raw/home/rows.jsonl: changed" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_verify_refuses_an_input_that_was_made_anew(trained):
    rows = (trained / "commands.jsonl").read_text().splitlines(keepends=True)
    (trained / "commands.jsonl").write_text("".join(rows[1:]))
    ingest.run("home")
    refused = fineline("verify", str(layout.adapter("home")))
    assert refused.returncode == 3
    assert "data/curated/home: made from raw" in refused.stderr


def test_plan_shows_every_method(trained):
    shown = fineline("plan", "home")
    assert shown.returncode == 0, shown.stderr
    for word in ("lora", "qlora", "full", "recommended: lora", "configured: qlora"):
        assert word in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "hom"), "there is no adapter 'hom'; did you mean 'home'?"),
        (("report", "home"), "reports/home/gate.json: missing; run `dvc repro`"),
        (("verify", "models/none"), "models/none/artifact.json: missing"),
        (("lineage", "suites"), "suites/artifact.json: missing"),
    ],
)
def test_wrong_words_are_answered_with_exit_code_2(project, arguments, message):
    answer = fineline(*arguments)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("module", ["base", "ingest", "curate", "plan", "train", "evaluate", "merge", "export", "assess"])
def test_a_stage_answers_wrong_words_with_exit_code_2(project, module):
    answer = stage(module)
    assert answer.returncode == 2
    assert answer.stderr == f"error: usage: python -m pipelines.{module} NAME\n"


@pytest.mark.parametrize("arguments", [("none",), ("one", "two")])
def test_an_unknown_name_and_too_many_words_are_refused(project, arguments):
    answer = stage("assess", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1


def test_a_stage_before_its_inputs_says_what_to_run(project):
    answer = stage("train", "home")
    assert answer.returncode == 2
    assert "models/bases/tiny/artifact.json: missing; run `dvc repro`" in answer.stderr


def test_a_mistyped_parameter_stops_a_stage_with_its_path(project):
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("learning_rate", "lerning_rate"))
    answer = stage("curate", "home")
    assert answer.returncode == 2
    assert answer.stderr == (
        "error: params.yaml: adapters.home.train.lerning_rate: unknown key; did you mean 'learning_rate'?\n"
    )


def test_doctor_names_what_is_wrong(project):
    (project / "params.yaml").write_text("bases: {}\nadaptrs: {}\n")
    answer = fineline("doctor")
    assert answer.returncode == 2
    assert "adaptrs: unknown key; did you mean 'adapters'?" in answer.stderr
    assert "torch" in answer.stdout

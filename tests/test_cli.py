"""The command line as a user meets it: output, exit codes, and no traceback."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from fineline import artifacts
from fineline.adapters.methods import METHODS
from fineline.project import layout
from fineline.stages import ingest, plan, train
from tests.conftest import ROOT
from tests.in_process import fineline, stage
from tests.models.shapes import LLAMA_31_8B, write_config


@pytest.mark.parametrize("arguments", [("--help",), ("report", "home")], ids=["help", "failure"])
def test_the_installed_command_does_the_same(project, arguments):
    command = [Path(sys.executable).with_name("fineline"), *arguments]
    environment = os.environ | {"COLUMNS": "300"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    expected = fineline(*arguments)
    assert (answer.returncode, answer.stdout, answer.stderr) == (expected.returncode, expected.stdout, expected.stderr)


def test_a_stage_in_a_process_of_its_own_ends_with_the_same_exit_code(project):
    command = [sys.executable, "-m", "pipelines.assess"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    expected = stage("assess")
    assert (answer.returncode, answer.stderr) == (expected.returncode, expected.stderr)


@pytest.fixture
def trained(curated):
    for step in (plan, train):
        step.run("home")
    return curated


def test_the_version_is_that_of_the_package():
    answer = fineline("--version")
    assert (answer.returncode, answer.stdout) == (0, f"fineline {version('fineline')}\n")


def test_verify_and_lineage_follow_the_chain_to_its_sources(trained):
    adapter = str(layout.adapter("home"))
    verified = fineline("verify", adapter)
    assert verified.returncode == 0, verified.stderr
    assert [line.split()[1] for line in verified.stdout.splitlines()] == [
        "models/bases/tiny",
        "data/raw/home",
        "models/tokenizers/tiny",
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


def test_verify_refuses_an_input_that_was_made_again(trained):
    rows = (trained / "commands.jsonl").read_text().splitlines(keepends=True)
    (trained / "commands.jsonl").write_text("".join(rows[1:]))
    ingest.run("home")
    refused = fineline("verify", str(layout.adapter("home")))
    assert refused.returncode == 3
    assert "data/curated/home: made from raw" in refused.stderr


def test_plan_shows_every_method_and_its_cost(curated):
    (curated / "params.yaml").write_text((curated / "params.yaml").read_text() + "costs: {per_hour: 3600, currency: EUR}\n")
    shown = fineline("plan", "home", "--device", "rtx3060-12gb")
    assert shown.returncode == 0, shown.stderr
    assert "home on rtx3060-12gb: 12.00 GiB" in shown.stdout
    lines = {line.split()[0]: line.rstrip() for line in shown.stdout.splitlines() if line}
    assert set(METHODS) <= set(lines)
    assert "bitfit trains bias terms, and this base has none" in shown.stdout
    assert "recommended: lora" in shown.stdout
    assert "(adapters.home.train.method)" in shown.stdout
    assert lines["lora"].endswith("EUR")
    assert len(lines["lora"]) <= 132


def test_a_plan_needs_only_a_configuration_file(tmp_path):
    config = write_config(tmp_path, LLAMA_31_8B) / "config.json"
    shown = fineline("plan", "--device", "rtx4090", "--base", str(config), "--length", "512", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert (report["parameters"], report["rows"]) == (8_030_261_248, 10_000)
    assert report["largest_batch"]["tokens"] == report["chosen"]["batch_size"] * 512
    assert {entry["method"] for entry in report["methods"] if not entry["fits"]} == {"full", "bitfit"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "hom"), "there is no adapter 'hom'; did you mean 'home'?"),
        (("plan", "home", "--device", "h10"), "unknown device 'h10'; did you mean 'h100'?"),
        (("plan",), "give the name of an adapter, or --base"),
        (("plan", "home", "--base", "tiny"), "give the name of an adapter, or --base"),
        (("plan", "--base", "tinny", "--device", "h100"), "'tinny' is not a base of params.yaml, a model directory"),
        (("plan", "--base", "none.json", "--device", "h100"), "none.json: cannot be read (No such file"),
        (("plan", "home"), "models/bases/tiny/artifact.json: missing; run `dvc repro`"),
        (("report", "home"), "reports/home/gate.json: missing; run `dvc repro`"),
        (("verify", "models/none"), "models/none/artifact.json: missing"),
        (("lineage", "suites"), "suites/artifact.json: missing"),
    ],
)
def test_wrong_arguments_end_with_exit_code_2(project, arguments, message):
    answer = fineline(*arguments)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("module", ["base", "ingest", "curate", "plan", "train", "evaluate", "merge", "export", "assess"])
def test_a_stage_without_a_name_ends_with_exit_code_2(project, module):
    answer = stage(module)
    assert answer.returncode == 2
    assert answer.stderr == f"error: usage: python -m pipelines.{module} NAME\n"


@pytest.mark.parametrize("arguments", [("none",), ("one", "two")])
def test_an_unknown_name_and_too_many_arguments_are_refused(project, arguments):
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


GARAK = [
    {"entry_type": "init", "garak_version": "0.17.0", "start_time": "2026-03-01T10:00:00.123456", "run": "5b1f"},
    {"entry_type": "eval", "probe": "dan.Dan_11_0", "detector": "dan.DAN", "passed": 200, "fails": 0, "nones": 0,
     "total_evaluated": 200, "total_processed": 200},
    {"entry_type": "completion", "end_time": "2026-03-01T10:20:00.000000", "run": "5b1f"},
]  # fmt: skip


@pytest.fixture
def adapted(project):
    """A project with something in the place of an adapter."""
    record = {"kind": "adapter", "name": "home", "stage": "train"}
    with artifacts.create(layout.adapter("home"), **record) as building:
        (building / "weights").write_text("1")
    return project


def test_evidence_of_another_tool_is_imported_and_a_draft_is_stamped(adapted):
    report = adapted / "garak.report.jsonl"
    report.write_text("".join(json.dumps(entry) + "\n" for entry in GARAK))
    about = ("--adapter", "home", "--by", "Ada <ada@example.com>", "--subject", "adapter")
    answer = fineline("evidence", "import", "garak", str(report), *about)
    assert answer.returncode == 0, answer.stderr
    said, subject = answer.stdout.splitlines()
    digest = artifacts.read(layout.adapter("home")).digest
    assert said.startswith("evidence/home/garak.json: pass: ")
    assert subject == f"about adapter {digest}, by Ada <ada@example.com>"

    stamped = json.loads(Path("evidence/home/garak.json").read_text())
    draft = Path("evidence/home/redteam.json")
    draft.write_text(json.dumps({key: value for key, value in stamped.items() if key != "digest"}))
    answer = fineline("evidence", "stamp", str(draft))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("evidence/home/redteam.json: pass: ")
    assert json.loads(draft.read_text())["digest"] == stamped["digest"]  # what it says is the same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evidence", "stamp", "none.json"), "none.json"),
        (
            ("evidence", "import", "lm-eval", "none.json", "--adapter", "home", "--by", "A", "--subject", "adapter"),
            "garak, promptfoo",
        ),
        (("evidence", "import", "garak", "none.json", "--adapter", "hom", "--by", "Ada"), "did you mean 'home'?"),
        (("preference", "home", "--endpoint", "http://judge.example/v1", "--model", "j"), "judge.example is another machine"),
        (("preference", "home", "--endpoint", "http://127.0.0.1:9/v1", "--model", "j"), "reports/home"),
        (("holdout", "home", "--reason", " "), "pass one with --reason"),
        (("holdout", "home", "--reason", "release"), "reports/home/candidate.json: missing; run `dvc repro`"),
    ],
)
def test_wrong_arguments_about_evidence_end_with_exit_code_2(adapted, arguments, message):
    answer = fineline(*arguments)
    assert answer.returncode == 2, answer.stderr
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_doctor_reports_a_mistake_that_no_stage_reads(project):
    content = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(content.replace("export: {}", "export: {}\n    retrain: {corn: daily}"))
    (project / "notifications.yaml").write_text("receivers: {ops: {}}")
    answer = fineline("doctor")
    assert answer.returncode == 2
    assert "adapters.home.retrain.corn: unknown key; did you mean 'cron'?" in answer.stderr
    assert "notifications.yaml: receivers.ops: exactly one of webhook, slack, email is required" in answer.stderr

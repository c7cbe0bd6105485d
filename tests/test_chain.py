"""The whole chain on a tiny real model: every stage runs, and its results are checked independently."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import onnx
import onnxruntime_genai
import pytest
import torch
import yaml
from safetensors.torch import load_file

from fineline import artifacts
from fineline.artifacts import provenance, reports
from fineline.errors import InputError, Refused
from fineline.evaluate.tasks import divide
from fineline.models.config import dtype
from fineline.project import layout
from fineline.project.versions import STAGES
from fineline.stages import holdout, train
from tests.conftest import ENVIRONMENT


@pytest.fixture
def chain(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project after all nine stages; it is the working directory."""
    monkeypatch.chdir(made)
    return made


def test_every_artifact_verifies_and_names_its_inputs(chain):
    made_from = {
        layout.base("tiny"): set(),
        layout.raw("support"): set(),
        layout.curated("support"): {"raw", "tokenizer"},
        layout.adapter("support"): {"base", "data"},
        layout.merged("support"): {"base", "adapter"},
        layout.export("support", "fp32"): {"merged"},
        layout.export("support", "quantized"): {"merged"},
    }
    for directory, roles in made_from.items():
        record = artifacts.verified(directory)
        assert set(record.inputs) == roles
        for source in record.inputs.values():
            assert source.is_from(artifacts.read(Path(source.path)))


def test_every_stage_leaves_its_provenance(chain):
    for stage, version in STAGES.items():
        name = "tiny" if stage == "base" else "support"
        found = provenance.read(layout.provenance(stage, name))
        assert found is not None
        assert (found.stage, found.stage_version) == (f"{stage}@{name}", version)
        made = {path.as_posix(): artifacts.read(path).digest for path in layout.artifacts_of(stage, name)}
        assert found.artifacts == made


def test_training_lowers_the_loss(chain):
    losses = [float(line.split(",")[1]) for line in Path("reports/support/loss.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_inputs_give_the_same_adapter(chain, tmp_path, monkeypatch):
    before = artifacts.read(layout.adapter("support")).digest
    again = shutil.copytree(chain, tmp_path / "again", ignore=shutil.ignore_patterns(".dvc", ".git", "export", "merged"))
    shutil.rmtree(again / "models" / "adapters")
    monkeypatch.chdir(again)
    train.run("support")
    assert artifacts.read(layout.adapter("support")).digest == before


def test_the_adapter_directory_contains_only_weights_and_configuration(chain):
    assert {file.name for file in layout.adapter("support").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        artifacts.RECORD,
    }


def test_the_merged_model_is_plain_and_in_the_precision_of_the_training(chain):
    trained_in = dtype(artifacts.read(layout.adapter("support")).parameters["precision"])
    weights = load_file(layout.merged("support") / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {trained_in}
    config = json.loads((layout.merged("support") / "config.json").read_text())
    assert f"torch.{config['dtype']}" == str(trained_in)
    assert "quantization_config" not in config
    assert config["rope_theta"] == 10000.0


def test_merging_changes_every_adapted_layer_and_nothing_else(chain):
    original = load_file(layout.base("tiny") / "model.safetensors")
    merged = load_file(layout.merged("support") / "model.safetensors")
    assert original.keys() == merged.keys()
    unchanged = {name for name in original if torch.equal(original[name].float(), merged[name].float())}
    assert unchanged == {name for name in original if "norm" in name or "embed" in name}


def test_the_quantized_model_keeps_eight_bits_where_it_matters(chain):
    graph = onnx.load(layout.export("support", "quantized") / "model.onnx", load_external_data=False).graph
    quantized = [node for node in graph.node if node.op_type == "MatMulNBits"]
    assert {attribute.i for node in quantized for attribute in node.attribute if attribute.name == "bits"} == {4, 8}


def test_the_exported_model_does_not_depend_on_the_commit_it_was_made_at(chain):
    """By default the builder reports the commit of the repository that contains its environment."""
    found = onnx.load(layout.export("support", "quantized") / "model.onnx", load_external_data=False)
    version, _, commit = found.producer_version.partition("+")
    assert version == onnxruntime_genai.__version__
    assert onnxruntime_genai.__commit__.startswith(commit)


def test_merge_and_export_are_verified(chain):
    assert reports.read(Path("reports/support/merge.json"))["passed"]
    parity = reports.read(Path("reports/support/export.json"))["parity"]
    assert parity["passed"]
    assert parity["top1_agreement"] == 1.0


def test_all_arms_were_asked_the_same_items(chain):
    places = {"evaluation": ("base", "candidate"), "assessment": ("merged", "exported")}
    samples = [Path(f"reports/support/{stage}/samples/{arm}.jsonl") for stage, names in places.items() for arm in names]
    arms = [reports.read_lines(file) for file in samples]
    asked = [[(row["task"], row["item"], row["prompt_hash"], row["target_hash"]) for row in arm] for arm in arms]
    assert asked[0] == asked[1] == asked[2] == asked[3]
    assert {row["task"] for row in arms[0]} == {"target_generation", "target_gold", "target_choice", "greetings"}


def test_the_final_verdict_names_the_exported_bytes(chain):
    candidate = reports.read(Path("reports/support/candidate.json"))
    assert candidate["verdict"] in {"pass", "inconclusive"}
    assert candidate["candidate"]["digest"] == artifacts.read(layout.export("support", "quantized")).digest
    assert candidate["merged"]["digest"] == artifacts.read(layout.merged("support")).digest
    assert set(candidate["forms"]) == {"merged", "exported"}


def test_the_sealed_rows_are_opened_for_a_reason_and_every_use_is_recorded(chain, tmp_path, monkeypatch):
    again = shutil.copytree(chain, tmp_path / "again", ignore=shutil.ignore_patterns(".dvc", ".git"))
    monkeypatch.chdir(again)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["adapters"]["support"]["evaluate"] |= {"holdout": 0.5, "gate": {"must_improve": {"target_gold": 0}}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(InputError, match="needs a reason"):
        holdout.open_for("support", " ")
    decision = holdout.open_for("support", "the first release")
    rows = reports.read_lines(layout.curated("support") / "test.jsonl")
    _, closed = divide(rows, 0.5)
    assert decision["items"] == 3 * len(closed)  # written, gold and chosen
    assert decision["verdict"] == "inconclusive"  # all rows are of one group, so the bounds are unknown
    holdout.open_for("support", "a second look")
    uses = reports.read_lines(Path("reports/support/holdout_uses.jsonl"))
    assert [use["reason"] for use in uses] == ["the first release", "a second look"]
    assert {use["candidate"] for use in uses} == {artifacts.read(layout.export("support", "quantized")).digest}


def test_a_stage_refuses_an_input_that_was_changed(chain):
    file = layout.curated("support") / "validation.jsonl"
    content = file.read_bytes()
    try:
        file.write_bytes(content + b" ")
        with pytest.raises(Refused, match=r"validation\.jsonl: changed"):
            train.run("support")
    finally:
        file.write_bytes(content)


def test_a_training_stopped_under_dvc_resumes_at_the_next_repro(chain, tmp_path):
    before = artifacts.read(layout.adapter("support")).digest
    again = shutil.copytree(chain, tmp_path / "again", ignore=shutil.ignore_patterns("export", "merged"))
    shutil.rmtree(again / "models" / "adapters")
    shutil.rmtree(again / ".dvc" / "cache")  # else DVC has the result already and does not train
    command = ["dvc", "repro", "--single-item", "train@support"]
    stopped = subprocess.Popen(
        command, cwd=again, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    next(line for line in stopped.stdout if line.startswith("step "))
    os.killpg(stopped.pid, signal.SIGTERM)
    output, _ = stopped.communicate()
    assert stopped.returncode != 0
    assert "the next run resumes from there" in output
    assert not (again / layout.adapter("support")).exists()
    resumed = subprocess.run(command, cwd=again, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "resuming from .fineline/checkpoints/support/" in resumed.stdout
    assert artifacts.read(again / layout.adapter("support")).digest == before
    assert not (again / ".fineline" / "checkpoints" / "support").exists()


def test_the_training_report_compares_forecast_and_measurement(chain):
    training = reports.read(Path("reports/support/training.json"))
    assert training["memory"]["predicted"]["total"] > 0
    assert training["memory"]["measured"] > 0
    assert training["time"]["predicted"] > 0
    assert training["time"]["measured"] == training["seconds"]
    assert training["value"]["seconds"] == training["seconds"]
    assert 0 < training["value"]["trained_share"] < 1

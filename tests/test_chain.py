"""The whole chain on a tiny real model: every stage runs for real, and what it says of itself is checked from outside."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines import artifacts, assess, base, ingest, layout, reports
from pipelines.curate import __main__ as curate
from pipelines.evaluate import __main__ as evaluate
from pipelines.export import __main__ as export
from pipelines.merge import __main__ as merge
from pipelines.plan import __main__ as plan
from pipelines.train import __main__ as train
from tests.conftest import small_params, write_project


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path):
    """A project after all nine stages; it is the working directory of this module's tests."""
    project = tmp_path_factory.mktemp("chain")
    write_project(project, small_params(tiny_base))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        base.run("tiny")
        for stage in (ingest, curate, plan, train, evaluate, merge, export, assess):
            stage.run("home")
        yield project


def test_every_artifact_verifies_and_names_what_it_was_made_from(chain):
    made_from = {
        layout.base("tiny"): set(),
        layout.raw("home"): set(),
        layout.curated("home"): {"raw"},
        layout.adapter("home"): {"base", "data"},
        layout.merged("home"): {"base", "adapter"},
        layout.export("home", "fp32"): {"merged"},
        layout.export("home", "quantized"): {"merged"},
    }
    for directory, roles in made_from.items():
        record = artifacts.verified(directory)
        assert set(record.inputs) == roles
        for source in record.inputs.values():
            assert source.digest == artifacts.read(Path(source.path)).digest
        assert record.approval["state"] == "unapproved"


def test_training_lowers_the_loss(chain):
    losses = [float(line.split(",")[1]) for line in Path("reports/home/loss.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.9 * losses[0]


def test_the_same_inputs_give_the_same_adapter(chain):
    before = artifacts.read(layout.adapter("home")).digest
    train.run("home")
    assert artifacts.read(layout.adapter("home")).digest == before


def test_the_adapter_directory_holds_only_weights_and_configuration(chain):
    assert {file.name for file in layout.adapter("home").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        artifacts.RECORD,
    }


def test_the_merged_model_is_plain_bf16(chain):
    weights = load_file(layout.merged("home") / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    config = json.loads((layout.merged("home") / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["rope_theta"] == 10000.0


def test_merging_changes_every_adapted_layer_and_nothing_else(chain):
    original = load_file(layout.base("tiny") / "model.safetensors")
    merged = load_file(layout.merged("home") / "model.safetensors")
    assert original.keys() == merged.keys()
    unchanged = {name for name in original if torch.equal(original[name], merged[name])}
    assert unchanged == {name for name in original if "norm" in name or "embed" in name}


def test_the_reports_say_that_merge_and_export_hold(chain):
    assert reports.read(Path("reports/home/merge.json"))["passed"]
    parity = reports.read(Path("reports/home/export.json"))["parity"]
    assert parity["passed"]
    assert parity["top1_agreement"] == 1.0


def test_both_arms_were_asked_the_same_items(chain):
    arms = [
        reports.read_lines(Path(f"reports/home/{file}"))
        for file in ("evaluation/base.jsonl", "evaluation/adapter.jsonl", "assessment/exported.jsonl")
    ]
    asked = [[(row["task"], row["item"], row["prompt_hash"], row["target_hash"]) for row in arm] for arm in arms]
    assert asked[0] == asked[1] == asked[2]
    assert {row["task"] for row in arms[0]} == {"target_exact_match", "target_choice", "greetings"}


def test_the_final_verdict_names_the_exported_bytes(chain):
    candidate = reports.read(Path("reports/home/candidate.json"))
    assert candidate["verdict"] in {"pass", "inconclusive"}
    assert candidate["candidate"]["digest"] == artifacts.read(layout.export("home", "quantized")).digest


def test_a_stage_refuses_an_input_that_was_changed(chain):
    file = layout.curated("home") / "validation.jsonl"
    content = file.read_bytes()
    try:
        file.write_bytes(content + b" ")
        with pytest.raises(Exception, match=r"validation\.jsonl: changed"):
            train.run("home")
    finally:
        file.write_bytes(content)

"""A family that the ONNX builder does not take becomes a candidate all the same, and the plan says so."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM

from fineline import artifacts
from fineline.artifacts import reports
from fineline.errors import ParameterError
from fineline.project import candidate, layout
from fineline.stages import assess, base, curate, evaluate, export, ingest, merge, plan, train
from tests.conftest import small_params, write_project

SETTINGS = {"eos_token_id": 2, "pad_token_id": 2, "do_sample": True, "temperature": 0.7, "repetition_penalty": 1.1}


@pytest.fixture(scope="module")
def neox_base(tmp_path_factory, tiny_base):
    """A GPT-NeoX with random weights, whose decoding settings are not greedy."""
    directory = tmp_path_factory.mktemp("bases") / "neox"
    shutil.copytree(tiny_base, directory, ignore=shutil.ignore_patterns("*.safetensors", "*config.json"))
    shutil.copy(tiny_base / "tokenizer_config.json", directory)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(directory)),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=2,
    )
    GPTNeoXForCausalLM(config).save_pretrained(directory, max_shard_size="40KB")
    (directory / "generation_config.json").write_text(json.dumps(SETTINGS))
    return directory


@pytest.fixture(scope="module")
def judged(tmp_path_factory, neox_base):
    """A project after all stages, and what `plan` printed."""
    directory = tmp_path_factory.mktemp("neox")
    params = small_params(neox_base)
    home = params["adapters"]["home"]
    home["train"] = {"method": "lora", "rank": 4, "epochs": 1, "batch_size": 16, "precision": "fp32"}
    home["evaluate"] = {"target": {"metrics": ["gold"]}, "guards": [], "gate": {"must_improve": {"target_gold": 0}}}
    write_project(directory, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        base.run("tiny")
        for stage in (ingest, curate, plan, train, evaluate, merge, export, assess):
            stage.run("home")
    return directory


@pytest.fixture
def home(judged, monkeypatch):
    monkeypatch.chdir(judged)


def test_the_plan_reports_the_formats_that_the_base_can_take(home):
    formats = reports.read(layout.reports("home") / "plan.json")["formats"]
    assert not formats["onnx"]["int4"]["possible"]
    assert "gpt_neox model is not currently supported" in formats["onnx"]["int4"]["reason"]
    assert formats["safetensors"]["possible"]


def test_the_merged_model_becomes_the_candidate(home):
    shipped = candidate.shipped("home")
    assert shipped == layout.export("home", "safetensors")
    decided = reports.read(layout.reports("home") / "candidate.json")
    assert decided["candidate"]["digest"] == artifacts.verified(shipped).digest
    assert set(decided["forms"]) == {"merged", "exported"}
    assert decided["forms"]["exported"]["scores"] == decided["forms"]["merged"]["scores"]
    made = reports.read(layout.reports("home") / "export.json")
    assert made["forms"]["safetensors"]["top1_agreement"] == 1.0
    assert made["parity"]["passed"]


def test_weights_ship_in_the_shards_of_the_merged_model_with_all_that_a_reader_needs(home):
    shipped, merged = candidate.shipped("home"), layout.merged("home")
    weights = sorted(file.name for file in merged.glob("*.safetensors"))
    assert len(weights) > 1
    assert sorted(file.name for file in shipped.glob("*.safetensors")) == weights
    for name in (*weights, "config.json", "tokenizer.json", "chat_template.jinja"):
        assert (shipped / name).read_bytes() == (merged / name).read_bytes()


def test_the_decoding_that_was_judged_ships(home):
    content = json.loads((candidate.shipped("home") / "generation_config.json").read_text())
    assert content == {"eos_token_id": 2, "pad_token_id": 2, "do_sample": False}
    made = reports.read(layout.reports("home") / "export.json")
    assert made["decoding"]["left_out"] == {"do_sample": True, "temperature": 0.7, "repetition_penalty": 1.1}


def test_onnx_is_refused_before_the_training_if_it_is_asked_for(home):
    params = Path("params.yaml")
    before = params.read_text()
    params.write_text(before.replace("export: {}", "export: {formats: [onnx]}"))
    try:
        with pytest.raises(ParameterError, match=r"adapters.home.export.formats.*cannot convert this model"):
            plan.run("home")
    finally:
        params.write_text(before)

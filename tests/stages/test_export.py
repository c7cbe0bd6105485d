"""A family that the ONNX builder does not take becomes a candidate all the same, and several formats are made at once."""

import json
import shutil
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM

from fineline import artifacts
from fineline.artifacts import reports
from fineline.errors import FinelineError, InputError, ParameterError
from fineline.export import formats
from fineline.export.format import EQUAL
from fineline.export.safetensors import Safetensors
from fineline.inference.runtime import Runtime
from fineline.project import candidate, layout
from fineline.project.params import exporting
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
    return judged


def test_the_plan_reports_the_formats_that_the_base_can_take(home):
    found = reports.read(layout.reports("home") / "plan.json")["formats"]
    assert not found["onnx"]["possible"]
    assert "gpt_neox model is not currently supported" in found["onnx"]["reason"]
    assert found["onnx"]["instead"] == "set `export.formats: auto`, or name `safetensors`"
    assert found["safetensors"]["possible"]


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
    assert decided["others"] == {}


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


class Copy(Safetensors):
    """A second format with the same files, in a form of its own."""

    name = "copy"
    forms = ("copy",)
    released = "copy"
    exact: ClassVar = {"copy": EQUAL}
    made_from = ("merged", "adapter", "base")

    def precisions(self, model, settings):
        return {"copy": "fp32"}


class Broken(Copy):
    """A format whose build fails."""

    name = "broken"
    forms = ("broken",)
    released = "broken"
    exact: ClassVar = {"broken": EQUAL}

    def precisions(self, model, settings):
        return {"broken": "fp32"}

    def build(self, sources, form, into, scratch):
        (into / "half").write_text("half")
        raise FinelineError("it broke")


class Mute(Copy):
    """A format whose runtime cannot be opened."""

    name = "mute"
    forms = ("mute",)
    released = "mute"
    exact: ClassVar = {"mute": EQUAL}

    def precisions(self, model, settings):
        return {"mute": "fp32"}

    def runtime(self, directory, base):
        def engine():
            raise RuntimeError("no kernel for this processor")

        return Runtime({}, engine)


@pytest.fixture
def further(home, tmp_path, monkeypatch):
    """A copy of the project in which three more formats are known; call it with the formats to export to."""
    monkeypatch.chdir(shutil.copytree(home, tmp_path / "project", symlinks=True))
    for one in (Copy(), Broken(), Mute()):
        monkeypatch.setitem(formats.FORMATS, one.name, one)
        monkeypatch.setattr(exporting, "FORMATS", list(formats.FORMATS))

    def ask(*names):
        params = Path("params.yaml")
        params.write_text(params.read_text().replace("export: {}", f"export: {{formats: [{', '.join(names)}]}}"))

    return ask


def test_two_formats_are_made_and_judged_and_a_third_one_fails_alone(further, capsys):
    further("safetensors", "broken", "copy")
    export.run("home")
    made = reports.read(layout.reports("home") / "export.json")
    assert made["forms"]["broken"]["failed"] == "it broke"
    assert "broken: failed: it broke" in capsys.readouterr().out
    assert sorted(path.name for path in layout.export("home", "copy").parent.iterdir()) == ["copy", "safetensors"]
    copied = artifacts.verified(layout.export("home", "copy"))
    assert made["forms"]["copy"]["digest"] == copied.digest
    assert set(copied.inputs) == {"merged", "adapter", "base"}
    assert candidate.shipped("home") == layout.export("home", "safetensors")

    assess.run("home")
    decided = reports.read(layout.reports("home") / "candidate.json")
    assert set(decided["forms"]) == {"merged", "exported"}
    other = decided["others"]["copy"]
    assert other["candidate"] == {"kind": "exported-model", "digest": copied.digest}
    assert (other["format"], other["precision"], other["verdict"]) == ("copy", "fp32", decided["verdict"])
    assert other["decision"]["scores"] == decided["forms"]["exported"]["scores"]
    assert set(decided["others"]) == {"copy"}
    assert "copy" in (layout.reports("home") / "index.html").read_text()


def test_a_further_form_that_cannot_answer_fails_alone(further):
    further("safetensors", "mute")
    export.run("home")
    assess.run("home")
    decided = reports.read(layout.reports("home") / "candidate.json")
    mute = decided["others"]["mute"]
    assert (mute["verdict"], mute["reasons"]) == ("fail", ["could not be judged: RuntimeError: no kernel for this processor"])
    assert decided["forms"]["exported"]["scores"]


def test_the_stage_fails_if_the_format_that_is_released_fails(further):
    further("broken", "safetensors")
    with pytest.raises(FinelineError, match="it broke"):
        export.run("home")
    made = reports.read(layout.reports("home") / "export.json")
    assert made["forms"]["broken"]["failed"] == "it broke"
    assert not made["parity"]["passed"]
    assert not layout.export("home", "broken").exists()


def test_an_adapter_that_was_not_merged_is_not_exported(further):
    further("copy")
    record = layout.adapter("home") / "artifact.json"
    changed = layout.adapter("home") / "adapter_config.json"
    changed.write_text(changed.read_text() + "\n")
    content = json.loads(record.read_text())
    content["files"] = artifacts.manifest(layout.adapter("home"))
    content["digest"] = artifacts.digest(content["files"])
    record.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"home was merged from adapter sha256:.*dvc repro export@home"):
        export.run("home")

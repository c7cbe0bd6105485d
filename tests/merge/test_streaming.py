"""Merging from the files of the base gives the bytes that merging a loaded model gives, and chooses between two bases."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from fineline import adapters
from fineline.adapters import methods
from fineline.adapters.methods import METHODS
from fineline.chat.settings import ChatSettings
from fineline.errors import InputError
from fineline.merge import choice, weights
from fineline.merge.verification import differences
from fineline.models import loading, tensor_files
from fineline.models.config import Quantization
from fineline.stages import merge as stage
from tests import zoo
from tests.adapters.cases import CASES, MERGEABLE, loaded_base
from tests.merge.conftest import moved

ROW = {"messages": [{"role": "user", "content": "on"}, {"role": "assistant", "content": "done now"}]}


def saved(name, base, tmp_path):
    adapters.save(moved(CASES[name], base), tmp_path / "adapter")
    return tmp_path / "adapter", CASES[name].train.model_dump(mode="json", exclude_unset=True)


def contents(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.mark.parametrize("name", MERGEABLE)
def test_the_bytes_are_those_of_a_merge_of_the_loaded_model(bases, tmp_path, name):
    base = bases[CASES[name].base]
    adapter, trained_with = saved(name, base, tmp_path)
    method, quantization = METHODS[CASES[name].train.method], methods.quantization_of(trained_with)
    for place in ("loaded", "streamed"):
        (tmp_path / place).mkdir()
    weights.write(base, adapters.load(loaded_base(CASES[name], base), adapter), tmp_path / "loaded", method, "bf16")
    model = weights.loaded(base, adapter, method, "bf16")
    weights.write(base, model, tmp_path / "streamed", method, "bf16", quantization)
    assert contents(tmp_path / "streamed") == contents(tmp_path / "loaded")


@pytest.mark.parametrize("family", ["mixtral", "gpt2", "deepseek_v3"])
def test_of_families_whose_weights_are_stored_in_another_form(tmp_path, family):
    base = zoo.save(family, "causal", tmp_path / "base")
    adapter, _ = saved("qlora", base, tmp_path)
    trained = adapters.load(loading.base_model(base, quantization=Quantization()), adapter)
    streamed = weights.loaded(base, adapter, METHODS["qlora"], "bf16")
    for place, model, quantization in (("loaded", trained, None), ("streamed", streamed, Quantization())):
        (tmp_path / place).mkdir()
        weights.write(base, model, tmp_path / place, METHODS["qlora"], "bf16", quantization)
    assert contents(tmp_path / "streamed") == contents(tmp_path / "loaded")


def merged(base, tmp_path, name="qlora"):
    adapter, trained_with = saved(name, base, tmp_path)
    into = tmp_path / "merged"
    into.mkdir()
    inputs = stage.MergeInputs(
        base=base,
        adapter=adapter,
        trained_with=trained_with,
        chat=ChatSettings(),
        probes=[ROW],
        validation=[ROW] * 5,
        sources={},
    )
    return stage.merge(inputs, into), adapter, into, trained_with


def test_both_bases_of_a_quantized_training_are_measured(tiny_base, tmp_path):
    report, adapter, into, trained_with = merged(tiny_base, tmp_path)
    measured = report["choice"]
    assert report["passed"]
    assert measured["into"] == report["merged_into"]
    assert measured["rows"] == 5
    assert measured["dequantized"] > 0 < measured["original"]
    assert json.dumps(report)
    assert differences(tiny_base, adapter, into, trained_with, report["merged_into"]) == []
    other = {"dequantized": "original", "original": "dequantized"}[report["merged_into"]]
    assert differences(tiny_base, adapter, into, trained_with, other)


@pytest.mark.parametrize("into", ["original", "dequantized"])
def test_the_model_is_merged_into_the_chosen_weights(tiny_base, tmp_path, monkeypatch, into):
    measure = choice.choice
    monkeypatch.setattr(choice, "choice", lambda *given: replace(measure(*given), into=into))
    report, adapter, place, trained_with = merged(tiny_base, tmp_path)
    assert report["passed"]
    assert report["merged_into"] == into
    assert differences(tiny_base, adapter, place, trained_with, into) == []


def test_nothing_is_chosen_for_a_base_in_full_precision(tiny_base, tmp_path):
    report, *_ = merged(tiny_base, tmp_path, "lora")
    assert report["merged_into"] == "original"
    assert "choice" not in report


def test_whole_copies_of_layers_in_an_adapter_are_refused(tiny_base, tmp_path):
    adapter, _ = saved("lora", tiny_base, tmp_path)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"modules_to_save": ["lm_head"]}))
    with pytest.raises(InputError, match=r"whole copies of lm_head \(`modules_to_save`\).*`onto`"):
        weights.loaded(tiny_base, adapter, METHODS["lora"], "bf16")


def test_a_vocabulary_with_more_rows_than_tokens_is_kept(tiny_base, tmp_path):
    base = tmp_path / "base"
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.bfloat16)
    rows = model.config.vocab_size + 64
    model.resize_token_embeddings(rows)
    model.save_pretrained(base)
    for file in tiny_base.glob("*token*"):
        shutil.copy(file, base)
    if (tiny_base / "chat_template.jinja").exists():
        shutil.copy(tiny_base / "chat_template.jinja", base)
    report, _, into, _ = merged(base, tmp_path)
    stored, written = (tensor_files.Reader(place / "model.safetensors").forms for place in (base, into))
    assert stored == written
    assert written["model.embed_tokens.weight"].shape[0] == rows
    assert report["passed"]

"""The formats that a model can take, found out on a miniature of it."""

import json
import subprocess

import pytest
import transformers

from fineline.errors import ParameterError
from fineline.export import formats, miniature, trial
from tests.inference import families

SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def directory(place, name, **more):
    """A model directory without weights: only the configuration decides."""
    config = getattr(transformers, f"{name}Config")(**families.SHAPE | SIZES | more)
    config.architectures = [f"{name}ForCausalLM"]
    config.save_pretrained(place)
    families.tokenizer().save_pretrained(place)
    return place


def test_a_model_that_the_builder_takes_ships_as_onnx_and_is_tried_once(tmp_path, cache, monkeypatch):
    model = directory(tmp_path / "model", "Llama")
    found = formats.forecast(model)
    assert found["onnx"]["int4"] == {"possible": True, "reason": None}
    assert found["safetensors"]["possible"]

    def not_again(*_, **__):
        raise AssertionError

    monkeypatch.setattr(subprocess, "run", not_again)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))  # as a merge writes it
    assert formats.decide("auto", "int4", model) == (("onnx",), "the ONNX builder takes this family")
    assert formats.decide(["safetensors", "onnx"], "int8", model)[0] == ("safetensors", "onnx")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("GPTNeoX", "NotImplementedError: The gpt_neox model is not currently supported"),
        ("Phi3", "KeyError: 'multi_cache'"),
    ],
)
def test_a_family_that_the_builder_fails_on_has_the_reason(tmp_path, name, reason):
    found = formats.OnnxTrial(trial.reasons(directory(tmp_path / "model", name)))
    assert found.refusal("int4").startswith(reason)
    assert found.is_tried


@pytest.fixture
def refused(tmp_path, monkeypatch):
    found = formats.OnnxTrial({"fp32": None, "int4": "KeyError: 'x'", "int8": None})
    monkeypatch.setattr(formats, "try_onnx", lambda model: found)
    return tmp_path


def test_without_onnx_the_merged_model_ships(refused):
    assert formats.decide("auto", "int4", refused) == (("safetensors",), "not onnx: KeyError: 'x'")
    assert formats.decide("auto", "int8", refused)[0] == ("onnx",)


def test_a_format_that_was_asked_for_and_cannot_be_made_is_an_error(refused):
    with pytest.raises(ParameterError, match=r"export.formats.*KeyError: 'x'; set `export.formats: auto`"):
        formats.decide(["onnx"], "int4", refused)
    assert formats.decide(["safetensors"], "int4", refused)[0] == ("safetensors",)


def test_a_model_without_a_miniature_ships_as_safetensors_unless_onnx_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "try_onnx", lambda model: formats.OnnxTrial({"untried": "no model"}))
    assert formats.decide("auto", "int4", tmp_path) == (("safetensors",), "not onnx: no model")
    assert formats.decide(["onnx"], "int4", tmp_path)[0] == ("onnx",)


def test_a_trial_that_ends_early_keeps_no_model_from_training(tmp_path, cache):
    (tmp_path / "config.json").write_text("{}")  # no type of model
    found = formats.try_onnx(tmp_path)
    assert not found.is_tried
    assert "model_type" in found.refusal("int4")


def test_a_configuration_of_which_no_model_can_be_made_is_reported(tmp_path):
    model = directory(tmp_path / "model", "Llama")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"hidden_act": "unheard of"}))
    assert "cannot be made: KeyError" in trial.reasons(model)["untried"]


@pytest.mark.parametrize("family", ["Qwen3", "DeepseekV3", "Gemma3Text", "GptOss", "Falcon", "GPT2", "Qwen3Next", "Qwen3Moe"])
def test_a_miniature_of_a_large_model_is_small_and_has_every_kind_of_layer(tmp_path, family):
    config = getattr(transformers, f"{family}Config")()
    config.save_pretrained(tmp_path)
    small = next(miniature.of_directory(tmp_path))
    assert sum(weight.numel() for weight in small.parameters()) < 1e8
    assert set(getattr(small.config, "layer_types", None) or []) == set(getattr(config, "layer_types", None) or [])

"""The formats that a model can take, found out on a miniature of it."""

import json
import subprocess

import pytest
import transformers
from pydantic import ValidationError

from fineline.errors import InputError, ParameterError
from fineline.export import formats, miniature, onnx_trial, trial
from fineline.export.format import Needed, Refusal
from fineline.project import layout
from fineline.project.params import exporting
from fineline.project.params.exporting import Export
from tests.inference import families

SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def decide(model, wanted="auto", precision="int4"):
    return formats.decide(Export(formats=wanted, precision=precision), model, "lora")


def directory(place, name, **more):
    """A model directory without weights: only the configuration decides."""
    config = getattr(transformers, f"{name}Config")(**families.SHAPE | SIZES | more)
    config.architectures = [f"{name}ForCausalLM"]
    config.save_pretrained(place)
    families.tokenizer().save_pretrained(place)
    return place


def test_a_model_that_the_builder_takes_ships_as_onnx_and_is_tried_once(tmp_path, cache, monkeypatch):
    model = directory(tmp_path / "model", "Llama")
    found = formats.forecast(model, Export(), "lora")
    assert found["onnx"] == {"possible": True, "reason": None, "instead": None}
    assert found["safetensors"]["possible"]

    def not_again(*_, **__):
        raise AssertionError

    monkeypatch.setattr(subprocess, "run", not_again)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))  # as a merge writes it
    assert decide(model) == (("onnx",), "the ONNX builder takes this family")
    assert decide(model, ["safetensors", "onnx"], "int8")[0] == ("safetensors", "onnx")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("GPTNeoX", "NotImplementedError: The gpt_neox model is not currently supported"),
        ("Phi3", "KeyError: 'multi_cache'"),
    ],
)
def test_a_family_that_the_builder_fails_on_has_the_reason(tmp_path, name, reason):
    found = onnx_trial.OnnxTrial(trial.reasons(directory(tmp_path / "model", name)))
    assert found.refusal("int4").startswith(reason)
    assert found.is_tried


@pytest.fixture
def refused(tmp_path, monkeypatch):
    found = onnx_trial.OnnxTrial({"fp32": None, "int4": "KeyError: 'x'", "int8": None})
    monkeypatch.setattr(onnx_trial, "try_onnx", lambda model: found)
    return tmp_path


def test_without_onnx_the_merged_model_ships(refused):
    assert decide(refused) == (("safetensors",), "not onnx: the ONNX builder cannot convert this model: KeyError: 'x'")
    assert decide(refused, "auto", "int8")[0] == ("onnx",)


def test_a_format_that_was_asked_for_and_cannot_be_made_is_an_error(refused):
    with pytest.raises(ParameterError, match=r"export.formats.*KeyError: 'x'; set `export.formats: auto`"):
        decide(refused, ["onnx"])
    assert decide(refused, ["safetensors"])[0] == ("safetensors",)


def test_a_model_without_a_miniature_ships_as_safetensors_unless_onnx_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_trial, "try_onnx", lambda model: onnx_trial.OnnxTrial({"untried": "no model"}))
    assert decide(tmp_path) == (("safetensors",), "not onnx: no model")
    assert decide(tmp_path, ["onnx"])[0] == ("onnx",)


def test_a_trial_that_ends_early_keeps_no_model_from_training(tmp_path, cache):
    (tmp_path / "config.json").write_text("{}")  # no type of model
    found = onnx_trial.try_onnx(tmp_path)
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


def test_every_accepted_format_has_its_code_and_no_two_share_a_form():
    assert list(formats.FORMATS) == exporting.FORMATS
    forms = [form for one in formats.FORMATS.values() for form in one.forms]
    assert len(set(forms)) == len(forms)
    for one in formats.FORMATS.values():
        assert one.released in one.forms
        assert {*one.exact, *one.checks} <= {*one.forms}
        assert "merged" in one.made_from
        assert all(layout.FORM.fullmatch(form) for form in one.forms)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["gguff"], "unknown format 'gguff'"),
        (["onx"], "did you mean 'onnx'"),
        (["onnx", "onnx"], "onnx is listed twice"),
        ([], "at least 1 item"),
        ("onnx", "formats"),
    ],
)
def test_a_list_of_formats_that_makes_no_sense_is_refused(wanted, words):
    with pytest.raises(ValidationError, match=words):
        Export(formats=wanted)


def test_a_format_whose_package_is_missing_says_what_to_install(refused, monkeypatch):
    monkeypatch.setattr(type(formats.FORMATS["safetensors"]), "needs", (Needed("no.such", "no-such", "fineline[such]"),))
    with pytest.raises(
        ParameterError, match=r"safetensors cannot be made: no-such is not installed; .*`pip install 'fineline\[such\]'`"
    ):
        decide(refused, ["safetensors"])
    assert formats.forecast(refused, Export(), None)["safetensors"] == {
        "possible": False,
        "reason": "no-such is not installed",
        "instead": "install with `pip install 'fineline[such]'`",
    }


def test_a_format_can_refuse_a_method_and_says_what_to_do_instead(refused, monkeypatch):
    def refusal(self, model, settings, method):
        return Refusal("a prefix is not a weight", "name `onnx`") if method == "prefix" else None

    monkeypatch.setattr(type(formats.FORMATS["safetensors"]), "refusal", refusal)
    sentence = "safetensors: not possible: a prefix is not a weight; name `onnx`"
    assert sentence in formats.lines(formats.forecast(refused, Export(precision="int8"), "prefix"))
    assert sentence not in formats.lines(formats.forecast(refused, Export(precision="int8"), "lora"))
    with pytest.raises(ParameterError, match=r"safetensors cannot be made: a prefix is not a weight; name `onnx`"):
        formats.decide(Export(formats=["onnx", "safetensors"], precision="int8"), refused, "prefix")


def test_a_form_that_no_format_has_is_refused():
    assert formats.of_form("fp32").name == "onnx"
    with pytest.raises(InputError, match="did you mean 'quantized'"):
        formats.of_form("quantised")

"""Weights that are not what index and configuration promise."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fineline.errors import InputError
from fineline.models import architecture, integrity
from tests import zoo


@pytest.fixture
def model(tiny_base, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


@pytest.fixture
def shards(tmp_path) -> Path:
    """A model in several files with an index."""
    zoo.build("llama").save_pretrained(tmp_path / "shards", max_shard_size="60KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 2
    return tmp_path / "shards"


def change(model: Path, **changes) -> dict[str, torch.Tensor]:
    """Write the weights with some tensors replaced, or removed where the value is None."""
    weights = load_file(model / "model.safetensors")
    for name, tensor in changes.items():
        if tensor is None:
            del weights[name]
        else:
            weights[name] = tensor
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    return weights


def configure(model: Path, **changes) -> None:
    content = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(content | changes))


def test_a_whole_model_has_no_notices(model, shards):
    assert integrity.check_tensors(model) == []
    assert integrity.check_tensors(shards) == []


def test_a_missing_file_of_the_index_is_named(shards):
    sorted(shards.glob("model-*.safetensors"))[-1].unlink()
    with pytest.raises(InputError, match=r"index\.json: lists model-0000\d-of-0000\d\.safetensors, which is missing"):
        integrity.check_tensors(shards)


def test_a_cut_file_is_refused(shards):
    file = sorted(shards.glob("model-*.safetensors"))[0]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        integrity.check_tensors(shards)


def test_a_tensor_of_the_index_that_no_file_contains_is_named(shards):
    file = sorted(shards.glob("model-*.safetensors"))[0]
    weights = load_file(file)
    lost = sorted(weights)[0]
    del weights[lost]
    save_file(weights or {"other": torch.zeros(1)}, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"lists {lost}, which no file contains"):
        integrity.check_tensors(shards)


@pytest.mark.parametrize("lost", ["model.norm.weight", "model.layers.1.mlp.down_proj.weight"])
def test_a_missing_tensor_is_named(model, lost):
    change(model, **{lost: None})
    with pytest.raises(InputError, match=f"lack 1 of the tensors that config.json promises: {lost}"):
        integrity.check_tensors(model)


def test_a_missing_embedding_of_tied_weights_is_named(model):
    change(model, **{"model.embed_tokens.weight": None})
    with pytest.raises(InputError, match="embed_tokens"):
        integrity.check_tensors(model)


def test_a_configuration_that_promises_more_layers_is_refused(model):
    configure(model, num_hidden_layers=3)
    with pytest.raises(InputError, match=r"lack 9 of the tensors .*layers\.2"):
        integrity.check_tensors(model)


def test_a_tensor_of_another_shape_is_refused_with_both(model):
    configure(model, intermediate_size=96)
    with pytest.raises(InputError, match=r"has shape \(\d+, \d+\), and config.json expects \(\d+, \d+\)"):
        integrity.check_tensors(model)


def test_tensors_that_are_not_used_are_a_notice(model):
    change(model, **{"mtp.layers.0.weight": torch.zeros(2, 2)})
    (notice,) = integrity.check_tensors(model)
    assert notice == "1 tensors are not part of LlamaForCausalLM and are not used: mtp.layers.0.weight"


def test_a_tied_head_may_be_stored_twice_if_it_is_equal(model):
    embedding = load_file(model / "model.safetensors")["model.embed_tokens.weight"]
    change(model, **{"lm_head.weight": embedding.clone()})
    assert integrity.check_tensors(model) == []
    change(model, **{"lm_head.weight": embedding + 1})
    with pytest.raises(InputError, match=r"ties lm_head\.weight to model\.embed_tokens\.weight"):
        integrity.check_tensors(model)
    configure(model, tie_word_embeddings=False)
    assert integrity.check_tensors(model) == []


def test_a_tensor_that_two_files_contain_is_refused(shards):
    first, second = sorted(shards.glob("model-*.safetensors"))[:2]
    save_file(load_file(first) | load_file(second), second, metadata={"format": "pt"})
    with pytest.raises(InputError, match="is stored twice"):
        integrity.check_tensors(shards)


@pytest.mark.parametrize(
    ("model_type", "kind"), [("qwen3_moe", "causal"), ("gpt_oss", "causal"), ("gpt2", "causal"), ("llava", "image-text")]
)
def test_names_are_compared_after_the_renamings_of_the_loader(model_type, kind, tmp_path):
    model = zoo.save(model_type, kind, tmp_path / "model")
    assert integrity.check_tensors(model) == []
    weights = load_file(model / "model.safetensors")
    lost = next(name for name in sorted(weights) if "layers.1" in name or "h.1." in name)
    change(model, **{lost: None})
    with pytest.raises(InputError):
        integrity.check_tensors(model)


def test_the_class_that_the_configuration_names_is_taken(tmp_path):
    zoo.tiny_config("qwen3_5").save_pretrained(tmp_path)
    for name in ("Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"):
        configure(tmp_path, architectures=[name])
        assert architecture.model_class(tmp_path).__name__ == name


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"model_type": "internlm"}, r"no model type 'internlm'; use a model .*did you mean 'internlm3'"),
        ({"model_type": "foo", "auto_map": {}}, r"no model type 'foo'; its own code \(auto_map\) is never run"),
        (
            {"model_type": "foo", "architectures": ["Qwen3ForCausalLM"]},
            "transformers has Qwen3ForCausalLM as model type 'qwen3'",
        ),
        ({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}, "T5ForConditionalGeneration does not generate"),
        ({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]}, "does not generate text from text"),
        ({"model_type": "llama", "num_attention_heads": "many"}, "cannot use this configuration of model type 'llama'"),
    ],
)
def test_a_class_that_fineline_cannot_load_is_refused(tmp_path, values, complaint):
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=complaint):
        architecture.model_class(tmp_path)

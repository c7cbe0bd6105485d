"""Merged checkpoints of all families load in plain transformers and answer as base and adapter do."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from fineline import adapters
from fineline.adapters.methods import METHODS
from fineline.merge import weights
from fineline.models import classes, loading
from fineline.project.params.training import Train
from tests import zoo

TOKENS = torch.tensor([list(range(5, 40))])
AUTO = {"causal": AutoModelForCausalLM, "image-text": AutoModelForImageTextToText}


def tensors(directory):
    return {name: tensor for file in sorted(directory.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def merged(base, place, **keys):
    """Merge an adapter with random weights, and return the directory with the logits that are expected of it."""
    train = Train.model_validate({"method": "lora"} | keys)
    quantization = train.quantization if METHODS[train.method].quantized else None
    torch.manual_seed(0)
    model = adapters.attach(loading.base_model(base, quantization=quantization, precision="fp32"), train, base)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape)
    adapters.save(model, place / "adapter")
    model = adapters.load(loading.base_model(base, quantization=quantization, precision="fp32"), place / "adapter")
    (place / "merged").mkdir()
    weights.write(base, model, place / "merged", METHODS[train.method], "fp32")
    return place / "merged", logits(weights.reference(model).get_base_model())


def logits(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).logits.float()


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize(
    ("family", "kind", "keys"),
    [
        ("gemma3", "causal", {}),
        ("qwen2_5_vl", "image-text", {}),
        ("llava", "image-text", {}),
        ("mixtral", "causal", {"targets": "all"}),
        ("gpt_oss", "causal", {"targets": "all"}),
        ("qwen3_5_moe", "causal", {"targets": "experts"}),
        ("deepseek_v3", "causal", {"targets": "all"}),
        ("mamba2", "causal", {}),
        ("gpt2", "causal", {}),
    ],
)
def test_a_merged_model_is_base_plus_adapter(tmp_path, family, kind, keys, method):
    base = zoo.save(family, kind, tmp_path / "base")
    directory, expected = merged(base, tmp_path, method=method, **keys)
    reloaded = AUTO[kind].from_pretrained(directory, dtype=torch.float32, local_files_only=True).eval()
    plain = logits(loading.base_model(base, precision="fp32"))
    found = logits(reloaded)
    assert (found - expected).abs().max() < 1e-4 * (expected - plain).abs().max().clamp(min=1)
    assert (expected - plain).abs().max() > 1e-2
    before, after = tensors(base), tensors(directory)
    assert before.keys() == after.keys()
    assert {name: tensor.shape for name, tensor in before.items()} == {name: tensor.shape for name, tensor in after.items()}
    for tower in classes.towers(reloaded):
        names = [name for name in before if tower.removeprefix("model.") in name]
        assert names
        assert all(torch.equal(before[name], after[name]) for name in names)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_head_that_is_stored_again_is_written_like_the_embedding_that_it_is_tied_to(tiny_base, tmp_path, method):
    base = tmp_path / "base"
    base.mkdir()
    for file in tiny_base.iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    stored = load_file(base / "model.safetensors")
    save_file(
        stored | {"lm_head.weight": stored["model.embed_tokens.weight"].clone()}, base / "model.safetensors", {"format": "pt"}
    )
    directory, expected = merged(base, tmp_path, method=method)
    written = tensors(directory)
    assert torch.equal(written["lm_head.weight"], written["model.embed_tokens.weight"])
    assert torch.equal(written["lm_head.weight"], stored["model.embed_tokens.weight"].float()) == (method == "lora")
    reloaded = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True).eval()
    torch.testing.assert_close(logits(reloaded), expected, rtol=0, atol=1e-4)


def test_full_fine_tuning_of_a_model_with_towers_leaves_them_frozen(tmp_path):
    base = zoo.save("llava", "image-text", tmp_path / "base")
    directory, expected = merged(base, tmp_path, method="full")
    before, after = tensors(base), tensors(directory)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if "vision" in name or "projector" in name} <= same
    assert len(same) < len(before)
    reloaded = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32, local_files_only=True).eval()
    torch.testing.assert_close(logits(reloaded), expected, rtol=0, atol=1e-4)

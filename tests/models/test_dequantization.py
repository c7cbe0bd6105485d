"""Quantized checkpoints become bf16 once, or are refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from fineline.errors import InputError
from fineline.models import bases, dequantization, integrity
from fineline.project.params.sources import Base
from tests import zoo

IDS = torch.tensor([[1, 40, 50, 60, 70, 80]])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return zoo.save("llama", "causal", tmp_path_factory.mktemp("plain") / "model")


def configured(plain, tmp_path, quantization: dict):
    """A copy of the plain model whose configuration describes a quantization."""
    model = shutil.copytree(plain, tmp_path / "quantized")
    content = json.loads((model / "config.json").read_text()) | {"quantization_config": quantization}
    (model / "config.json").write_text(json.dumps(content))
    return model


@pytest.mark.parametrize("how", [{"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, {"load_in_8bit": True}])
def test_bitsandbytes_weights_keep_their_numbers(plain, tmp_path, how):
    packed = AutoModelForCausalLM.from_pretrained(
        plain, dtype=torch.bfloat16, quantization_config=BitsAndBytesConfig(**how), device_map={"": "cpu"}
    )
    model = shutil.copytree(plain, tmp_path / "packed")
    packed.save_pretrained(model)
    into = tmp_path / "into"
    into.mkdir()
    changes = bases.fetch(Base(owner="o", license="l", path=str(model)), into, tmp_path)
    assert changes["dequantized"]["quant_method"] == "bitsandbytes"
    assert "quantization_config" not in (into / "config.json").read_text()
    assert {tensor.dtype for tensor in load_file(into / "model.safetensors").values()} == {torch.bfloat16}
    read = AutoModelForCausalLM.from_pretrained(into, dtype=torch.bfloat16)
    with torch.no_grad():
        expected, found = packed(IDS).logits.float(), read(IDS).logits.float()
    assert (expected - found).abs().max() < 0.03 * expected.abs().max()


def test_block_scaled_fp8_weights_are_multiplied_by_their_scales(plain, tmp_path):
    about = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128], "fmt": "e4m3"}
    model = configured(plain, tmp_path, about)
    original, stored = load_file(model / "model.safetensors"), {}
    for name, weight in original.items():
        stored[name] = weight
        if "_proj" in name:
            scale = weight.abs().max() / 448
            stored[name] = (weight / scale).to(torch.float8_e4m3fn)
            stored[name.replace("weight", "weight_scale_inv")] = scale.reshape(1, 1)
    save_file(stored, model / "model.safetensors", metadata={"format": "pt"})
    assert dequantization.dequantize(model) == {"dequantized": about}
    assert integrity.check_tensors(model) == []
    found = load_file(model / "model.safetensors")
    assert found.keys() == original.keys()
    for name, weight in original.items():
        assert (found[name].float() - weight).abs().max() < 0.04 * weight.abs().max()


def test_mxfp4_experts_are_their_four_bit_values_times_their_scales(tmp_path):
    model = zoo.save("gpt_oss", "causal", tmp_path / "model")
    about = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"]}
    content = json.loads((model / "config.json").read_text()) | {"quantization_config": about}
    (model / "config.json").write_text(json.dumps(content))
    weights = load_file(model / "model.safetensors")
    draw = torch.Generator().manual_seed(0)
    blocks: dict[str, torch.Tensor] = {}
    for name in [name for name in weights if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, inputs, outputs = weights.pop(name).shape
        blocks[name] = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8, generator=draw)
        weights |= {f"{name}_blocks": blocks[name], f"{name}_scales": torch.full((experts, outputs, inputs // 32), 121).byte()}
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    assert dequantization.dequantize(model) == {"dequantized": about}
    assert integrity.check_tensors(model) == []
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    values = torch.cat([values, -values])  # E2M1 of OCP Microscaling Formats 1.0, table 5; the scale is 2 ** (121 - 127)
    found = load_file(model / "model.safetensors")
    for name, packed in blocks.items():
        pairs = torch.stack([packed & 15, packed >> 4], -1).flatten(2).long()  # (experts, outputs, inputs), low half first
        assert torch.equal(found[name].float(), (values[pairs] * 2.0**-6).transpose(1, 2))


def test_a_quantized_checkpoint_that_lacks_a_tensor_is_refused(plain, tmp_path):
    how = BitsAndBytesConfig(load_in_4bit=True)
    model = configured(plain, tmp_path, {})
    AutoModelForCausalLM.from_pretrained(plain, quantization_config=how, device_map={"": "cpu"}).save_pretrained(model)
    weights = load_file(model / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 of the tensors .*model\.norm\.weight"):
        dequantization.dequantize(model)


@pytest.mark.parametrize(
    ("about", "complaint"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, r"quantized \(gptq\), which cannot be dequantized here"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}, r"\(awq\), which cannot be dequantized"),
        ({"quant_method": "exl2", "bits": 4}, r"\(exl2\), which cannot be dequantized here: Unknown quantization type"),
        ({"bits": 4}, "an unnamed method"),
    ],
)
def test_what_cannot_be_dequantized_is_refused_with_the_model_to_take_instead(plain, tmp_path, about, complaint):
    model = configured(plain, tmp_path, about)
    (model / "README.md").write_text("---\nbase_model:\n- acme/plain\ntags: [gptq]\n---\n# A model\n")
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(InputError, match=complaint + r".*take the unquantized model \(acme/plain\)"):
        bases.fetch(Base(owner="o", license="l", path=str(model)), into, tmp_path)

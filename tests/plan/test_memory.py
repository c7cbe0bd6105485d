"""The memory forecast against published figures, and against what autograd saves."""

import weakref

import pytest

from fineline.adapters.methods import METHODS
from fineline.models.config import dtype
from fineline.plan.forecast import DENSE_SCORES, HEAD_CHUNK, PARTS, four_bit_bytes, memory_bytes, optimizer_bytes
from fineline.plan.workload import Workload
from fineline.project.params.training import Train

ONE = Workload(rows=1, tokens=1, learned=1, squares=1)
GIB = 2**30


def forecast(method, shape, step=ONE, *, recompute=False, dequantize=False, kind="cuda", precision="bf16", **train):
    block, modes = Train(**train), {"recompute": recompute, "dequantize": dequantize}
    return memory_bytes(method, shape, block, step, **modes, kind=kind, precision=precision)


def rows(count, length):
    return Workload(count, count * length, count * length // 2, count * length * length)


def test_four_bit_weights_of_a_published_model(llama_2_7b):
    assert four_bit_bytes(double=True) * 8 == pytest.approx(4.127, abs=0.001)
    assert four_bit_bytes(double=False) * 8 == 4.5
    assert forecast("qlora", llama_2_7b)["base"] / GIB == pytest.approx(3.60, abs=0.01)


def test_dequantized_weights_take_two_bytes(llama_2_7b):
    assert forecast("qlora", llama_2_7b, dequantize=True)["base"] == 2 * llama_2_7b.parameters
    assert forecast("lora", llama_2_7b)["base"] == 2 * llama_2_7b.parameters
    assert forecast("lora", llama_2_7b, precision="fp32")["base"] == 4 * llama_2_7b.parameters


def test_full_fine_tuning_takes_sixteen_bytes_a_parameter(llama_2_7b):
    sizes = forecast("full", llama_2_7b)
    assert sum(sizes[part] for part in ("base", "adapters", "gradients", "optimizer")) == 16 * llama_2_7b.parameters
    assert 100e9 < sizes["total"] < 125e9  # published: 100 to 120 GB


def test_qlora_of_a_published_model_at_batch_one(llama_2_7b):
    sizes = forecast("qlora", llama_2_7b, rows(1, 1024), recompute=True)
    assert 5e9 < sizes["total"] < 6.5e9  # published: 6 GB, 5 GB optimized


def test_a_65b_model_fits_on_one_48_gb_card(llama_65b):
    """Dettmers et al. 2023, arXiv 2305.14314: rank 64 on all layers, recomputation, batch 1 x 512."""
    sizes = forecast("qlora", llama_65b, rows(1, 512), recompute=True, rank=64, optimizer="paged-adamw-8bit")
    assert sizes["total"] < 48 * GIB


@pytest.mark.parametrize(
    ("optimizer", "per_number"), [("adamw", 8), ("paged-adamw", 8), ("adamw-8bit", 2), ("paged-adamw-8bit", 2)]
)
def test_optimizer_states(optimizer, per_number):
    assert optimizer_bytes(optimizer) == pytest.approx(per_number, rel=0.02)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "bitfit"])
def test_every_method_is_forecast_and_the_total_is_the_sum(llama_2_7b, method):
    sizes = forecast(method, llama_2_7b, rows(4, 512))
    assert list(sizes) == [*PARTS, "total"]
    assert sizes["total"] == sum(sizes[part] for part in PARTS)
    kept = forecast(method, llama_2_7b, rows(4, 512), recompute=True)
    assert kept["activations"] < sizes["activations"]
    assert {part for part in PARTS if kept[part] != sizes[part]} == {"activations"}


def test_logits_stop_growing_at_a_chunk_of_the_head(llama_2_7b):
    few, many, more = (
        forecast("lora", llama_2_7b, Workload(1, 4096, learned, 4096**2))["logits"] for learned in (1, 2000, 4000)
    )
    assert few < many
    assert more - many == 2000 * llama_2_7b.hidden * 4


def test_the_constants_are_those_of_the_training_step():
    from fineline.train import attention, loss

    assert loss.HEAD_CHUNK == HEAD_CHUNK
    assert attention._DENSE == DENSE_SCORES


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("method", ["lora", "dora", "vera", "ia3", "prompt", "prefix", "bottleneck", "full"])
def test_activations_are_those_that_autograd_saves(method, precision, tmp_path, monkeypatch):
    """Counted in a training step of a small Llama: what one block more adds."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from fineline.adapters import attach
    from fineline.models import shape
    from fineline.train import attention

    attention.register()
    monkeypatch.setattr(attention, "_DENSE", 0)  # scores are counted apart
    length, saved, shapes = 128, [], []
    for layers in (1, 2):
        config = LlamaConfig(
            vocab_size=64, hidden_size=256, intermediate_size=512, num_hidden_layers=layers, num_attention_heads=4
        )
        config.save_pretrained(tmp_path)
        shapes.append(shape.of_model(tmp_path))
        model = LlamaForCausalLM(config).to(dtype(precision))
        adapted = attach(model, Train(method=method, **cheap(method))).train()
        adapted.get_base_model().set_attn_implementation(attention.NAME)
        saved.append(saved_bytes(adapted, length, precision))
    expected = METHODS[method].saved(shapes[1], precision) * length
    if method == "full" and precision == "bf16":
        expected += sum(layer.weights for layer in shapes[1].linear) // 2 * 2  # copies in bf16
    if method == "prompt":
        expected += METHODS[method].saved(shapes[1], precision) * 4
    # the fast step's formula counts copies for rows of unequal length, of which there are none here
    assert saved[1] - saved[0] == pytest.approx(expected, rel=0.2 if method == "lora" else 0.06)


def cheap(method):
    if method in ("lora", "dora", "vera"):
        return {"rank": 2}
    return {"virtual_tokens": 4} if method in ("prompt", "prefix") else {}


class Kept:
    """A tensor that the backward pass needs; it goes when what was computed from it goes."""

    def __init__(self, tensor):
        self.tensor = tensor


def saved_bytes(model, length, precision):
    """Bytes that one forward pass keeps for the backward pass, weights apart."""
    import torch

    from fineline.chat.tokens import TokenizedRow
    from fineline.train.fused import fused
    from fineline.train.loss import completion_loss
    from fineline.train.rows import collate

    weights = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    alive = weakref.WeakSet()

    def keep(tensor):
        kept = Kept(tensor)
        alive.add(kept)
        return kept

    tokens = torch.randint(0, 64, (length + 1,)).tolist()
    batch = collate([TokenizedRow(tokens, tokens)])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor), fused(model):
        loss = completion_loss(model, batch, precision=precision)
    storages = {kept.tensor.untyped_storage().data_ptr(): kept.tensor.untyped_storage().nbytes() for kept in alive}
    assert loss.requires_grad
    return sum(size for place, size in storages.items() if place not in weights)

"""The forecast against published figures, and the choice as a truth table."""

import pytest

from pipelines.params.training import Train
from pipelines.plan import choice, memory

# Llama-2-7B: 32 blocks of q, k, v, o (4096 x 4096) and gate, up, down (11008 x 4096); embedding and head of 32000.
LLAMA_2_7B = memory.Shape(
    layers=32,
    hidden=4096,
    intermediate=11008,
    heads=32,
    vocabulary=32000,
    linear=((4096, 4096),) * 128 + ((11008, 4096),) * 64 + ((4096, 11008),) * 32,
    other=2 * 32000 * 4096 + 65 * 4096,
)


def test_parameters_of_a_published_model():
    assert LLAMA_2_7B.parameters == 6_738_415_616


def test_trained_parameters_of_a_published_adapter():
    assert memory.trained_parameters("lora", LLAMA_2_7B, Train(rank=16)) == 39_976_960  # all linear layers, rank 16
    assert memory.trained_parameters("full", LLAMA_2_7B, Train()) == LLAMA_2_7B.parameters


def test_nf4_weights_of_a_published_model():
    forecast = memory.forecast("qlora", LLAMA_2_7B, Train(rank=16), memory.Batch(1, 1, 1))
    assert forecast["base"] / 2**30 == pytest.approx(3.60, abs=0.01)


def test_full_fine_tuning_takes_sixteen_bytes_a_parameter():
    forecast = memory.forecast("full", LLAMA_2_7B, Train(), memory.Batch(1, 1, 1))
    fixed = sum(forecast[part] for part in ("base", "gradients", "optimizer"))
    assert fixed / LLAMA_2_7B.parameters == pytest.approx(16)


def test_the_total_is_the_sum_of_its_parts():
    forecast = memory.forecast("qlora", LLAMA_2_7B, Train(), memory.Batch(4, 512, 1000))
    assert forecast["total"] == sum(size for part, size in forecast.items() if part != "total")


def test_shapes_are_read_from_the_checkpoint(tiny_base):
    shape = memory.shape_of(tiny_base)
    assert (shape.layers, shape.hidden, shape.heads) == (2, 64, 4)
    assert len(shape.linear) == 2 * 7


@pytest.mark.parametrize(
    ("lora", "qlora", "recommended"), [(80, 40, "lora"), (91, 40, "qlora"), (91, 90, "qlora"), (91, 91, None), (90, 91, "lora")]
)
def test_the_choice(lora, qlora, recommended):
    method, reason = choice.recommend({"lora": lora, "qlora": qlora, "full": 1000}, memory=100)
    assert method == recommended
    assert reason.endswith(".")


def test_activations_are_those_that_autograd_saves(tiny_base):
    """Counted anew on the tiny model, as the constants were on a larger one."""
    import torch

    from pipelines import loading
    from pipelines.train import adapter, loss

    rows, length, learned = 4, 96, 8
    train = Train(rank=4, alpha=8)
    model = adapter.attach(loading.base_model(tiny_base, quantized=True, attention="eager"), train).train()
    input_ids = torch.randint(3, 300, (rows, length))
    labels = input_ids.clone()
    labels[:, :-learned] = -100
    held = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    saved: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        kept = loss.completion_loss(model, input_ids, labels)
    batch = memory.Batch(rows, length, rows * learned)
    expected = memory.forecast("qlora", memory.shape_of(tiny_base), train, batch, scores=True)
    assert sum(saved.values()) == pytest.approx(expected["activations"] + expected["logits"], rel=0.25)
    assert kept.requires_grad

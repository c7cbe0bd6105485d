"""The loss against PyTorch's own, and gradients through quantised layers."""

import pytest
import torch

from fineline import adapters
from fineline.models import loading
from fineline.models.config import dtype
from fineline.project.params.training import Train
from fineline.train import attention, rows
from fineline.train.fused import fused
from fineline.train.loss import HEAD_CHUNK, completion_loss, head_loss
from tests.train.test_rows import ROUNDING, made

attention.register()


@pytest.mark.parametrize("positions", [1, HEAD_CHUNK["cpu"], 2 * HEAD_CHUNK["cpu"] + 3])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_head_in_chunks_gives_cross_entropy_and_its_gradients(positions, biased, precision):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(positions, 32, generator=generator).to(dtype(precision)).requires_grad_()
    weight = torch.randn(500, 32, generator=generator).bfloat16().float().requires_grad_()
    bias = torch.randn(500, generator=generator).requires_grad_() if biased else None
    labels = torch.randint(0, 500, (positions,), generator=generator)
    inputs = [tensor for tensor in (hidden, weight, bias) if tensor is not None]
    logits = torch.nn.functional.linear(hidden.float(), weight, bias)
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    found = head_loss(hidden, weight, bias, labels, precision)
    loss, angle, _ = ROUNDING[precision]
    assert found.item() == pytest.approx(expected.item(), rel=loss)
    for one, other in zip(torch.autograd.grad(expected, inputs), torch.autograd.grad(found, inputs), strict=True):
        assert torch.nn.functional.cosine_similarity(one.float().flatten(), other.float().flatten(), dim=0) > 1 - min(
            angle, 1e-3
        )


def test_accumulated_micro_steps_weigh_as_one_batch(tiny_base):
    model = adapters.attach(loading.base_model(tiny_base, attention=attention.NAME), Train(method="lora"))
    packed = made(4)
    count = sum(row.learned for row in packed)
    parts = sum(completion_loss(model, rows.collate([row]), count).item() for row in packed)
    assert parts == pytest.approx(completion_loss(model, rows.collate(packed)).item(), rel=2e-3)


def gradients(model):
    model.train()
    model.zero_grad()
    completion_loss(model, rows.collate(made(4))).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("quick", [True, False])
def test_a_validation_pass_leaves_qlora_gradients_as_they_were(tiny_base, quick):
    """bitsandbytes repacks 4-bit weights in evaluation mode on some CPUs, and gradients then stop (see loading)."""
    torch.manual_seed(0)
    train = Train(method="qlora", rank=4, alpha=8)
    base = loading.base_model(tiny_base, quantization=train.quantization, attention=attention.NAME)
    model = adapters.attach(base, train)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)  # at zero, as it starts, nothing would reach lora_A
    with fused(model if quick else torch.nn.Identity()):
        before = gradients(model)
        model.eval()
        with torch.no_grad():
            completion_loss(model, rows.collate(made(4)))
        after = gradients(model)
    assert before.keys() == after.keys()
    assert all(gradient.abs().sum() > 0 for gradient in before.values())
    assert all(torch.equal(before[name], after[name]) for name in before)

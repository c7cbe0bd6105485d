"""The loss against the model's own, and gradients through quantised layers."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from pipelines import loading
from pipelines.errors import InputError
from pipelines.params.training import Train
from pipelines.tokens import IGNORED
from pipelines.train import adapter
from pipelines.train.loss import check_head, completion_loss


def batch():
    generator = torch.Generator().manual_seed(0)
    input_ids = torch.randint(3, 300, (3, 20), generator=generator)
    labels = input_ids.clone()
    labels[:, :8] = IGNORED
    labels[1, 15:] = IGNORED
    return input_ids, labels


def test_the_loss_is_that_of_the_model_itself(tiny_base):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.bfloat16)
    input_ids, labels = batch()
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(input_ids=input_ids, labels=labels).loss
    assert completion_loss(model, input_ids, labels).item() == pytest.approx(expected.item(), rel=2e-3)


def test_padding_behind_a_row_changes_nothing(tiny_base):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    input_ids, labels = batch()
    padded = torch.cat([input_ids, torch.zeros(3, 7, dtype=torch.long)], dim=1)
    ignored = torch.cat([labels, torch.full((3, 7), IGNORED)], dim=1)
    alone, behind = completion_loss(model, input_ids, labels), completion_loss(model, padded, ignored)
    assert alone.item() == pytest.approx(behind.item(), rel=1e-4)


def test_accumulated_micro_steps_weigh_as_one_batch(tiny_base):
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    input_ids, labels = batch()
    learned = (labels[:, 1:] != IGNORED).sum()
    parts = sum(completion_loss(model, input_ids[row : row + 1], labels[row : row + 1], learned) for row in range(3))
    assert parts.item() == pytest.approx(completion_loss(model, input_ids, labels).item(), rel=1e-4)


def gradients(model):
    input_ids, labels = batch()
    model.train()
    model.zero_grad()
    completion_loss(model, input_ids, labels).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


def test_a_validation_pass_leaves_qlora_gradients_as_they_were(tiny_base):
    """bitsandbytes repacks 4-bit weights in evaluation mode on some CPUs, and gradients then stop (see loading)."""
    torch.manual_seed(0)
    model = adapter.attach(loading.base_model(tiny_base, quantized=True), Train(rank=4, alpha=8))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)  # at zero, as it starts, nothing would reach lora_A
    before = gradients(model)
    model.eval()
    with torch.no_grad():
        completion_loss(model, *batch())
    after = gradients(model)
    assert before.keys() == after.keys()
    assert all(gradient.abs().sum() > 0 for gradient in before.values())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_only_the_adapter_is_trained_and_it_is_in_fp32(tiny_base):
    model = adapter.attach(loading.base_model(tiny_base, quantized=True), Train(rank=4, alpha=8))
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert all("lora_" in name and weight.dtype == torch.float32 for name, weight in trained.items())
    assert len(trained) == 2 * 7 * 2  # A and B, seven linear layers, two blocks


def test_a_model_that_scales_its_logits_is_refused(tiny_base):
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    model.config.final_logit_softcapping = 30.0
    with pytest.raises(InputError, match="final_logit_softcapping"):
        check_head(model)

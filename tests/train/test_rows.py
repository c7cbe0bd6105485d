"""Rows that stand flat learn what they would learn one by one."""

import pytest
import torch

from fineline import adapters
from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.models import loading
from fineline.project.params.training import Train
from fineline.train import attention, rows
from fineline.train.loss import completion_loss

attention.register()


def made(count, prompt=(), longest=40, seed=0):
    """Rows of random tokens behind an equal beginning, the second half of each learned."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        length = 6 + (number * 17) % (longest - 6)
        own = torch.randint(3, 300, (length,), generator=generator).tolist()
        ids = [*prompt, *own]
        masked = len(prompt) + length // 2
        made.append(TokenizedRow(ids, [IGNORED] * masked + ids[masked:]))
    return made


def model_of(base, method="lora", precision="bf16", **keys):
    torch.manual_seed(0)
    loaded = loading.base_model(base, attention=attention.NAME, precision=precision)
    model = adapters.attach(loaded, Train.model_validate({"method": method, **keys}))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)  # at zero, as it starts, nothing would reach lora_A
    return model.float().train() if method == "lora" else model.train()


def learned(model, batches, count, precision="bf16"):
    """Loss and gradients of micro-steps that weigh as one."""
    model.zero_grad()
    total = 0.0
    for batch in batches:
        loss = completion_loss(model, batch, count, precision=precision)
        loss.backward()
        total += loss.item()
    return total, {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


ROUNDING = {"bf16": (2e-3, 5e-3, 0.05), "fp32": (1e-5, 1e-6, 1e-3)}
"""How far losses may be apart, how far the angle of gradients from zero (1 - cosine), and their length; relative."""


def assert_equal(one, other, precision="bf16"):
    loss, angle, length = ROUNDING[precision]
    assert one[0] == pytest.approx(other[0], rel=loss)
    for name, gradient in one[1].items():
        likeness = torch.nn.functional.cosine_similarity(gradient.flatten(), other[1][name].flatten(), dim=0)
        assert likeness > 1 - angle, name
        assert gradient.norm() == pytest.approx(other[1][name].norm().item(), rel=length), name


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("prompt", [(), (5, 6, 7, 8, 9)])
@pytest.mark.parametrize("dense", [True, False])
def test_packed_rows_give_the_loss_and_gradients_of_single_ones(tiny_base, monkeypatch, prompt, dense, precision):
    monkeypatch.setattr(attention, "_DENSE", attention._DENSE if dense else 0)
    model, packed = model_of(tiny_base, precision=precision, rank=4, alpha=8), made(7, prompt)
    count = sum(row.learned for row in packed)
    together = learned(model, [rows.collate(packed)], count, precision)
    assert_equal(together, learned(model, [rows.collate([row]) for row in packed], count, precision), precision)


def test_the_loss_is_that_of_the_model_itself(tiny_base):
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    row = made(1, (5, 6, 7))[0]
    expected = plain(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])).loss.item()
    model = adapters.attach(loading.base_model(tiny_base, attention=attention.NAME), Train(method="lora"))
    others = made(4, (5, 6, 7), seed=1)
    together = completion_loss(model, rows.collate([row, *others]), 1) - completion_loss(model, rows.collate(others), 1)
    assert together.item() / row.learned == pytest.approx(expected, rel=5e-3)


def test_a_row_does_not_see_the_others(tiny_base):
    """Whatever stands in the other rows, the loss on this one is the same."""
    model, row = model_of(tiny_base, rank=4, alpha=8), made(1, (5, 6, 7))[0]
    losses = []
    for seed in (1, 2, 3):
        others = [TokenizedRow(other.input_ids, [IGNORED] * len(other.labels)) for other in made(5, (5, 6, 7), seed=seed)]
        losses.append(completion_loss(model, rows.collate([row, *others])).item())
    assert max(losses) - min(losses) < 2e-3


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("method", ["prompt", "p-tuning", "prefix"])
def test_virtual_tokens_stand_before_every_row(tiny_base, method, precision):
    model, packed = model_of(tiny_base, method, precision, virtual_tokens=4), made(5, (5, 6, 7))
    count = sum(row.learned for row in packed)
    together = learned(model, [rows.collate(packed, virtual=4)], count, precision)
    assert_equal(together, learned(model, [rows.collate([row], virtual=4) for row in packed], count, precision), precision)


def test_what_all_rows_begin_with_stands_once():
    packed = made(6, (5, 6, 7, 8))
    batch = rows.collate(packed)
    assert batch["shared"] == 4
    assert batch["input_ids"].shape[1] == 4 + sum(len(row.input_ids) - 1 - 4 for row in packed)
    assert sorted(batch["labels"].tolist()) == sorted(label for row in packed for label in row.labels if label != IGNORED)


def test_each_place_predicts_its_label():
    packed = made(6, (5, 6))
    batch = rows.collate(packed)
    ids = batch["input_ids"][0].tolist()
    pairs = {(ids[place], label) for place, label in zip(batch["places"].tolist(), batch["labels"].tolist(), strict=True)}
    expected = {
        (row.input_ids[place - 1], label) for row in packed for place, label in enumerate(row.labels) if label != IGNORED
    }
    assert pairs == expected


def test_equal_rows_keep_a_token_of_their_own():
    row = made(1)[0]
    batch = rows.collate([row, row])
    assert batch["shared"] == len(row.input_ids) - 2
    assert len(batch["labels"]) == 2 * row.learned


def test_rows_of_unlike_length_attend_in_groups():
    lengths = [100, 95, 30, 28, 3]
    packed = [
        TokenizedRow(list(range(number * 1000, number * 1000 + length)), [1] * length) for number, length in enumerate(lengths)
    ]
    assert rows.collate(packed)["shapes"] == [(2, 99), (2, 29), (1, 2)]

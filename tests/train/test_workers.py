"""Workers compute the gradient of a micro-step from its parts, and are not used where that would not pay or not hold."""

import threading

import pytest
import torch

from fineline import adapters
from fineline.models import loading
from fineline.project.params.training import Train
from fineline.train import attention, batches, workers
from fineline.train.fused import fused
from fineline.train.loss import completion_loss
from fineline.train.path import TrainingPath
from fineline.train.trainer import collate
from fineline.train.workers import Workers
from tests.train.test_loop import data, digest, train

attention.register()


@pytest.fixture
def two_threads():
    """A process that may use two threads, on any machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def config(**keys):
    return Train.model_validate({"method": "lora", "batch_size": 8} | keys)


def items(count=60):
    return batches.items(data(count)[0], None)


def long_items():
    return [[row for item in items() for row in item]] * 8


@pytest.mark.parametrize("method", ["lora", "qlora", "dora", "vera", "ia3", "bottleneck", "prefix"])
def test_the_gradient_of_the_parts_is_that_of_the_whole(tiny_base, two_threads, method):
    torch.manual_seed(0)
    keys = config(method=method)
    quantization = keys.quantization if method == "qlora" else None
    loaded = loading.base_model(tiny_base, quantization=quantization, attention=attention.NAME, precision="fp32")
    model = adapters.attach(loaded, keys, base=tiny_base).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    virtual = keys.virtual_tokens if method == "prefix" else 0

    def loss(part):
        return completion_loss(model, part, 40, precision="fp32")

    def gradients(by, parts):
        value = by.backward(loss, parts, weights)
        found = [None if weight.grad is None else weight.grad.clone() for weight in weights]
        model.zero_grad()
        return [value, *(gradient for gradient in found if gradient is not None)]

    path = TrainingPath("flat", "", virtual=virtual)
    whole = collate(items()[:8], path=path)["parts"]
    parts = collate(items()[:8], path=path, count=2)["parts"]
    with fused(model), workers.started(2) as several:
        expected, found = gradients(Workers(), whole), gradients(several, parts)
        again = gradients(several, parts)
        assert workers.agree(several, loss, whole[0], parts, weights)
        assert not workers.agree(several, loss, whole[0], parts[:1], weights)
        assert float(several.losses(loss, parts)) == pytest.approx(float(expected[0]), rel=1e-5)
    for one, other, repeated in zip(found, expected, again, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
        assert torch.equal(one, repeated)


def test_a_run_with_two_workers_learns_the_same_and_repeats_itself(tiny_base, tmp_path, two_threads, monkeypatch):
    keys = {"dropout": 0.0, "precision": "fp32"}
    plain = train(tiny_base, tmp_path / "plain", **keys)
    monkeypatch.setattr(workers, "_TOKENS", 8)
    first, second = (train(tiny_base, tmp_path / name, **keys) for name in ("one", "two"))
    assert (plain.metrics["workers"], first.metrics["workers"]) == (1, 2)
    assert first.metrics["validation_loss"] == pytest.approx(plain.metrics["validation_loss"], rel=1e-3)
    assert first.metrics["tokens"] == plain.metrics["tokens"]
    assert digest(first.model, tmp_path / "a") == digest(second.model, tmp_path / "b")
    assert torch.get_num_threads() == 2


def test_a_model_that_fails_the_trial_is_trained_without_workers(tiny_base, tmp_path, two_threads, monkeypatch, capsys):
    monkeypatch.setattr(workers, "_TOKENS", 8)
    monkeypatch.setattr(workers, "agree", lambda *_: False)
    assert train(tiny_base, tmp_path, dropout=0.0).metrics["workers"] == 1
    assert "not used" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "threads", "device", "expected"),
    [
        ({}, 2, "cpu", 2),
        ({}, 64, "cpu", 38),  # of eight packs with 4,920 tokens together
        ({}, 1, "cpu", 1),
        ({}, 2, "cuda", 1),
        ({"dropout": 0.1}, 2, "cpu", 1),
        ({"method": "full"}, 2, "cpu", 1),
    ],
)
def test_how_many_workers_a_run_has(keys, threads, device, expected):
    assert workers.planned(long_items(), config(**keys), threads, device) == expected


def test_short_rows_have_one_worker():
    assert workers.planned(items(), config(), 2, "cpu") == 1


def test_workers_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=60)

    def loss(_):
        meeting.wait()
        return torch.zeros(())

    with workers.started(2) as several:
        assert float(several.losses(loss, [{}, {}])) == 0

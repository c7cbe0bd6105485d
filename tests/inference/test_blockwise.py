"""A model that is computed in fp32 block by block."""

import pytest
import torch

from fineline import adapters
from fineline.inference import blockwise
from fineline.models import loading
from fineline.models.config import Quantization
from tests import zoo
from tests.adapters.cases import CASES, loaded_base
from tests.merge.conftest import bases, biased_base, moved

__all__ = ["bases", "biased_base"]

TOKENS = torch.tensor([list(range(5, 30))])


def logits(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "mixtral", "deepseek_v3"])
def test_the_numbers_are_those_of_the_model_in_fp32(tmp_path, family):
    base = zoo.save(family, "causal", tmp_path / "base")
    expected = logits(blockwise.in_fp32(loading.base_model(base), room=2**40))
    model = blockwise.in_fp32(loading.base_model(base), room=0)
    for _ in range(2):
        found = logits(model)
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)
    assert any(weight.dtype == torch.bfloat16 for weight in model.parameters())


@pytest.mark.parametrize("name", ["lora", "qlora", "qdora", "full", "bitfit"])
def test_with_an_adapter(tmp_path, bases, name):
    case = CASES[name]
    base = bases[case.base]
    adapters.save(moved(case, base), tmp_path / "adapter")
    models = [adapters.load(loaded_base(case, base), tmp_path / "adapter") for _ in range(2)]
    whole, by_block = (logits(blockwise.in_fp32(model, room=room)) for model, room in zip(models, (2**40, 0), strict=True))
    assert torch.equal(whole, by_block)


def test_only_files_without_changed_numbers_leave_memory(tmp_path):
    base = zoo.save("llama", "causal", tmp_path / "base")
    weight = loading.base_model(base, precision=None, place=torch.device("cpu")).lm_head.weight

    def leaves():
        return any(start <= weight.data_ptr() < end for start, end in blockwise._unchanged_files())

    assert leaves()
    with torch.no_grad():
        weight[0, 0] += 1
    assert not leaves()


def test_a_model_that_reads_the_type_of_a_weight_is_computed_as_a_whole(tmp_path):
    model = blockwise.in_fp32(loading.base_model(zoo.save("mamba2", "causal", tmp_path / "base")), room=0)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_layers_in_four_bits_stay_in_four_bits(tiny_base):
    model = loading.base_model(tiny_base, quantization=Quantization())
    packed = sum(1 for _ in loading.quantized_layers(model))
    model = blockwise.in_fp32(model, room=0)
    assert packed
    assert sum(isinstance(module, loading.Dequantized) for module in model.modules()) == packed

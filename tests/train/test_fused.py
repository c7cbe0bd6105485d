"""Fused layers compute what the plain ones compute."""

from importlib import import_module

import pytest
import torch

from fineline import adapters
from fineline.models import loading
from fineline.project.params.training import Train
from fineline.train import attention, rows
from fineline.train.fused import _computes_gated_mlp, _computes_rms_norm, fused
from tests.train.test_rows import assert_equal, learned, made

attention.register()


def model_of(base, method, precision="bf16", **keys):
    torch.manual_seed(0)
    train = Train.model_validate({"method": method, "rank": 4, "alpha": 8, **keys})
    quantization = train.quantization if method == "qlora" else None
    loaded = loading.base_model(base, quantization=quantization, attention=attention.NAME, precision=precision)
    model = adapters.attach(loaded, train, base=base)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return model.train()


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("method", ["lora", "qlora", "rslora"])
def test_loss_and_gradients_are_those_of_the_plain_layers(tiny_base, method, precision):
    """In fp32 whatever remains is the order of additions."""
    model, packed = model_of(tiny_base, method, precision), made(7, (5, 6, 7))
    count = sum(row.learned for row in packed)
    plain = learned(model, [rows.collate(packed)], count, precision)
    with fused(model) as layers:
        quick = learned(model, [rows.collate(packed)], count, precision)
    assert layers == 2 * (7 + 1 + 2) + 1  # two blocks of seven linear layers, an MLP and two norms; the last norm
    assert_equal(quick, plain, precision)


def test_an_mlp_and_a_norm_by_themselves_agree_to_rounding(tiny_base):
    from fineline.train import fused as module

    torch.manual_seed(0)
    model = model_of(tiny_base, "lora", "fp32").get_base_model()
    mlp, norm = model.model.layers[0].mlp, model.model.layers[0].input_layernorm
    x = torch.randn(1, 9, 64, requires_grad=True)
    weights = [weight for weight in mlp.parameters() if weight.requires_grad]
    plain = torch.autograd.grad(mlp(norm(x)).square().sum(), [x, *weights])
    with module.fused(model):
        quick = torch.autograd.grad(mlp(norm(x)).square().sum(), [x, *weights])
    for one, other in zip(plain, quick, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_biased_layer_keeps_its_bias():
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(
        torch.nn.Sequential(torch.nn.Linear(8, 12)), LoraConfig(r=2, target_modules=["0"], init_lora_weights=False)
    )
    x = torch.randn(5, 8)
    plain = model(x)
    with fused(model) as layers:
        torch.testing.assert_close(model(x), plain)
    assert layers == 1


@pytest.mark.parametrize(("method", "keys"), [("dora", {}), ("lora", {"dropout": 0.1})])
def test_what_has_no_fused_form_is_left_as_it_is(tiny_base, method, keys):
    with fused(model_of(tiny_base, method, **keys)) as layers:
        assert layers == 2 * 2 + 1  # norms only


def test_afterwards_the_layers_are_plain_again(tiny_base):
    model = model_of(tiny_base, "lora")
    with fused(model):
        pass
    assert not [module for module in model.modules() if "forward" in module.__dict__]


@pytest.mark.parametrize(
    ("family", "mlp", "norm"),
    [
        ("llama", True, True),
        ("qwen3", True, True),
        ("olmo2", True, False),  # the norm multiplies before it rounds
        ("gemma2", True, False),  # the norm adds one to its weight
        ("phi3", False, True),  # gate and up are one layer
        ("bamba", True, True),
    ],
)
def test_layers_are_fused_by_what_they_compute(family, mlp, norm):
    module = import_module(f"transformers.models.{family}.modeling_{family}")
    kinds = {name: kind for name, kind in vars(module).items() if isinstance(kind, type) and kind.__module__ == module.__name__}
    mlps = [_computes_gated_mlp(kind) for name, kind in kinds.items() if name.endswith("MLP")]
    norms = [_computes_rms_norm(kind) for name, kind in kinds.items() if name.endswith("RMSNorm")]
    assert (any(mlps), any(norms)) == (mlp, norm)


def test_a_norm_with_a_gate_is_not_fused():
    from transformers.models.bamba.modeling_bamba import BambaRMSNormGated

    assert not _computes_rms_norm(BambaRMSNormGated)

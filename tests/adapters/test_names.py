"""A saved adapter comes back whole, also where transformers renames the tensors of a family's checkpoints."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from fineline import adapters
from fineline.adapters.adapted import WEIGHTS
from fineline.errors import InputError
from fineline.models import loading
from fineline.project.params.training import Train
from tests import zoo


def saved(base, directory, method="lora", **keys):
    """Save a new adapter with random weights on a base, and return the model with it."""
    torch.manual_seed(0)
    train = Train.model_validate({"method": method, **keys})
    model = adapters.attach(loading.base_model(base, precision="fp32"), train, base)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.1)
    adapters.save(model, directory)
    return model


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        ("laguna", "causal"),
        ("inkling2_text", "causal"),
        ("deepseek_ocr2", "image-text"),
        ("qwen3_moe", "causal"),
        ("gemma3", "image-text"),
    ],
)
@pytest.mark.parametrize("targets", ["all-linear", "all"])
def test_every_tensor_of_a_saved_adapter_is_loaded(tmp_path, model_type, kind, targets):
    base = zoo.save(model_type, kind, tmp_path / "base")
    model = saved(base, tmp_path / "adapter", rank=2, targets=targets)
    loaded = adapters.load(loading.base_model(base, precision="fp32"), tmp_path / "adapter")
    found = dict(loaded.named_parameters())
    for name, weight in model.named_parameters():
        assert torch.equal(found[name], weight), name


def test_an_adapter_that_lacks_a_tensor_is_refused(tiny_base, tmp_path):
    saved(tiny_base, tmp_path, rank=2)
    tensors = load_file(tmp_path / WEIGHTS)
    lost = min(tensors)
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, tmp_path / WEIGHTS)
    with pytest.raises(InputError, match="missing or unexpected"):
        adapters.load(loading.base_model(tiny_base), tmp_path)

"""What a merged model is held against: the adapter beside the weights it was trained on, unpacked, in fp32."""

from typing import Any

import torch

from pipelines import loading


def unpack(model: Any) -> Any:
    """Replace every 4-bit layer of a model by a linear layer with the same weights in fp32, in place, and compute in fp32."""
    from bitsandbytes.functional import dequantize_4bit

    for name, packed in loading.quantized_layers(model).items():
        weight = dequantize_4bit(packed.weight.data, packed.weight.quant_state).float()
        layer = torch.nn.Linear(packed.in_features, packed.out_features, bias=packed.bias is not None, device=weight.device)
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        if packed.bias is not None:
            layer.bias = torch.nn.Parameter(packed.bias.float(), requires_grad=False)
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, layer)
    return torch.nn.Module.float(model).eval()  # transformers forbids .float() on a quantised model; it no longer is one

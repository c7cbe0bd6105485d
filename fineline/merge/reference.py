"""What a merged model is held against: the adapter beside the weights it was trained on, unpacked, in fp32."""

from typing import Any

import torch

from fineline.models import loading


def unpack(model: Any) -> Any:
    """Replace every 4-bit layer of a model by a linear layer with the same weights in fp32, in place, and compute in fp32."""
    loading.unpack(model, torch.float32)
    return torch.nn.Module.float(model).eval()  # transformers forbids .float() on a quantised model; it no longer is one

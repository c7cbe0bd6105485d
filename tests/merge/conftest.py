"""The small bases of the adapters' tests, and adapters that change their answers."""

import torch

from tests.adapters.cases import new
from tests.adapters.conftest import bases, biased_base, one_thread

__all__ = ["bases", "biased_base", "moved", "one_thread"]


def moved(case, base):
    """A base with an adapter that changes its answers."""
    model = new(case, base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn(weight.shape, generator=generator)
    return model

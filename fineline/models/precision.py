"""Number formats of a model: the precision of matrix products and weights, and quantization to four bits.

`fineline.hardware.device.native` gives the precision in which a machine is fastest.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["bf16", "fp32"]


class Quantization(BaseModel):
    """Four-bit storage of the base (Dettmers et al. 2023, arXiv 2305.14314, section 3): the block `train.quantization`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["nf4", "fp4"] = "nf4"
    """Four-bit type: `nf4` is optimal for normally distributed weights."""
    double: bool = True
    """Quantize the scales too, which saves 0.37 bits per weight."""


def dtype(precision: Precision) -> Any:
    """Return the torch.dtype of a precision."""
    import torch

    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(precision: Precision, kind: str) -> Any:
    """Return a context in which a model computes in this precision, for weights of any type.

    Args:
        kind: `cpu` or `cuda`.
    """
    import torch

    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")

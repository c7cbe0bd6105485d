"""Number formats of a model: the precision of matrix products and weights, and quantization to four bits.

Matrices are multiplied in bf16, but in fp32 on a processor without bf16 instructions: such a CPU emulates every bf16 product,
at 20 GFLOP/s instead of 180 in fp32 (two cores of a third-generation AMD EPYC). fp32 takes twice the memory and is never less
exact.
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


def native(kind: str) -> Precision:
    """Return the fastest precision of this machine.

    Args:
        kind: `cpu` or `cuda`. Accelerators always use bf16, even the few that cannot multiply it: their memory is small.
    """
    import torch

    if kind != "cpu":
        return "bf16"
    capabilities = torch.cpu.get_capabilities()  # avx512_bf16, amx_bf16; on ARM bf16
    return "bf16" if any(present is True and name.endswith("bf16") for name, present in capabilities.items()) else "fp32"


def dtype(precision: Precision) -> Any:
    """Return the torch.dtype of a precision."""
    import torch

    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(precision: Precision, kind: str) -> Any:
    """Return a context in which a model computes in this precision, whatever the type of its weights.

    Args:
        kind: `cpu` or `cuda`.
    """
    import torch

    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")

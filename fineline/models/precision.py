"""The floating-point format in which matrices are multiplied: bf16, but fp32 on a processor that has no instructions for it.

A CPU without bf16 instructions takes every bf16 product apart: 20 GFLOP/s where fp32 makes 180, measured on two cores of an AMD
EPYC of the third generation. fp32 takes twice the memory of bf16 and is never less exact.
"""

from typing import Any, Literal

Precision = Literal["bf16", "fp32"]


def native(kind: str) -> Precision:
    """What to compute in on this machine.

    Args:
        kind: `cpu` or `cuda`. Accelerators are given bf16, also those few that do not multiply it: they have little memory.
    """
    import torch

    if kind != "cpu":
        return "bf16"
    capabilities = torch.cpu.get_capabilities()  # avx512_bf16, amx_bf16; on ARM bf16
    return "bf16" if any(present is True and name.endswith("bf16") for name, present in capabilities.items()) else "fp32"


def dtype(precision: Precision) -> Any:
    """The type of PyTorch that a precision means."""
    import torch

    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(precision: Precision, kind: str) -> Any:
    """The context in which a model computes in this precision, whatever type its weights are kept in.

    Args:
        kind: `cpu` or `cuda`.
    """
    import torch

    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")

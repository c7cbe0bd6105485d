"""The machine that training would run on: this one, or one by name."""

import os
import platform
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from fineline.errors import InputError, did_you_mean
from fineline.hardware import machine
from fineline.hardware.accelerators import ACCELERATORS, Accelerator, reported_as

if TYPE_CHECKING:
    from fineline.models.config import Precision

_SECONDS = 0.3  # of matrix products in each precision, to measure the rates of a machine that is not in the table


@dataclass(frozen=True)
class Device:
    """A device that a model can be trained on: its memory and its speed."""

    kind: str
    """`cpu` or `cuda`."""
    name: str
    memory_bytes: int
    """Memory of the accelerator, or of the machine or its control group, whichever is less."""
    tflops: "dict[Precision, float]"
    """Peak rate of dense matrix products in 10^12 operations per second, by precision."""
    precision: "Precision" = "bf16"
    """Default precision of matrix products."""
    bandwidth: float | None = None
    """Memory bandwidth in 10^9 bytes per second; None if unknown."""
    watts: float | None = None
    """Power of the whole board; None if unknown."""
    note: str = ""
    """Remark for the user."""


def detect() -> Device:
    """Return the first accelerator that torch finds, otherwise the CPU. Unknown rates are measured, once per process."""
    import torch

    if not torch.cuda.is_available():
        return _processor()
    properties = torch.cuda.get_device_properties(0)
    known = reported_as(properties.name)
    if known is None:
        return Device("cuda", properties.name, properties.total_memory, _measured_tflops("cuda"))
    return _known(known, properties.name, properties.total_memory)


def named(name: str) -> Device:
    """Return a device of the table, or the CPU of this machine for `cpu`.

    Raises:
        InputError: The name is unknown; the message suggests the nearest.
    """
    if name == "cpu":
        return _processor()
    if name not in ACCELERATORS:
        raise InputError(f"--device: unknown device {name!r}{did_you_mean(name, ['cpu', *ACCELERATORS])}")
    known = ACCELERATORS[name]
    return _known(known, name, known.memory_gib * 2**30)


def native(kind: str) -> "Precision":
    """Return the precision in which this machine is fastest: bf16, but fp32 on a CPU without bf16 instructions.

    Such a CPU emulates every bf16 product: 20 GFLOP/s instead of 180 in fp32 (two cores of a third-generation AMD EPYC). fp32
    takes twice the memory and is never less exact.

    Args:
        kind: `cpu` or `cuda`. Accelerators always use bf16, even the few that cannot multiply it: their memory is small.
    """
    import torch

    if kind != "cpu":
        return "bf16"
    capabilities = torch.cpu.get_capabilities()  # avx512_bf16, amx_bf16; on ARM bf16
    return "bf16" if any(present is True and name.endswith("bf16") for name, present in capabilities.items()) else "fp32"


def _known(card: Accelerator, name: str, memory: int) -> Device:
    rates: dict[Precision, float] = {"bf16": card.bf16_tflops, "fp32": card.fp32_tflops}
    return Device("cuda", name, memory, rates, "bf16", card.bandwidth, card.watts, card.note)


def _processor() -> Device:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = native("cpu")
    note = "" if found == "bf16" else "no bf16 instructions: matrices are multiplied in fp32"
    name = f"{platform.machine()}, {cores} cores"
    return Device("cpu", name, machine.total(), _measured_tflops("cpu"), found, note=note)


@cache
def _measured_tflops(kind: str) -> "dict[Precision, float]":
    """Return the rate of the fastest of a few products of square matrices, in 10^12 operations per second (2 n^3 each)."""
    return {"bf16": _rate(kind, "bf16"), "fp32": _rate(kind, "fp32")}


def _rate(kind: str, precision: "Precision") -> float:
    import torch

    size = 1024 if kind == "cpu" else 8192
    matrix = torch.randn(size, size, device=kind).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    small = matrix[:64, :64].contiguous()
    fastest = float("inf")
    until = time.perf_counter() + _SECONDS
    with torch.inference_mode():
        torch.nn.functional.linear(small, small)  # the first product selects and compiles kernels
        while time.perf_counter() < until or fastest == float("inf"):
            started = time.perf_counter()
            torch.nn.functional.linear(matrix, matrix)
            if kind == "cuda":
                torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest / 1e12

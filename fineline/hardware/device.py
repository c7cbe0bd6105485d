"""The machine that training would run on: this one, or one by name."""

import os
import platform
import time
from dataclasses import dataclass
from functools import cache

from fineline.errors import InputError, did_you_mean
from fineline.hardware import machine
from fineline.hardware.accelerators import ACCELERATORS, Accelerator, reported_as
from fineline.models.precision import Precision, dtype, native

_SECONDS = 0.3  # of matrix products in each precision, to find the rates of a machine that is in no table


@dataclass(frozen=True)
class Device:
    """Where the model would lie, how much room there is, and how fast it computes."""

    kind: str
    """cpu or cuda."""
    name: str
    memory_bytes: int
    """Of the accelerator if there is one, else of the machine, or of its control group if that allows less."""
    tflops: dict[Precision, float]
    """Peak of dense matrix products in 10^12 operations a second, by what is multiplied."""
    precision: Precision = "bf16"
    """What to multiply on it unless told otherwise."""
    bandwidth: float | None = None
    """Of the memory, in 10^9 bytes a second; None where unknown."""
    watts: float | None = None
    """Power of the whole board; None where unknown."""
    note: str = ""
    """What to know about it."""


def detect() -> Device:
    """The first accelerator that torch sees, else the CPU. Rates of unknown machines are measured, once a process."""
    import torch

    if not torch.cuda.is_available():
        return _processor()
    properties = torch.cuda.get_device_properties(0)
    known = reported_as(properties.name)
    if known is None:
        return Device("cuda", properties.name, properties.total_memory, _measured_tflops("cuda"))
    return _known(known, properties.name, properties.total_memory)


def named(name: str) -> Device:
    """A device of the table, or `cpu` for this machine's.

    Raises:
        InputError: There is none of this name; the message gives the nearest.
    """
    if name == "cpu":
        return _processor()
    if name not in ACCELERATORS:
        raise InputError(f"--device: there is no device {name!r}{did_you_mean(name, ['cpu', *ACCELERATORS])}")
    known = ACCELERATORS[name]
    return _known(known, name, known.memory_gib * 2**30)


def _known(card: Accelerator, name: str, memory: int) -> Device:
    rates: dict[Precision, float] = {"bf16": card.bf16_tflops, "fp32": card.fp32_tflops}
    return Device("cuda", name, memory, rates, "bf16", card.bandwidth, card.watts, card.note)


def _processor() -> Device:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = native("cpu")
    note = "" if found == "bf16" else "no bf16 instructions: it multiplies fp32"
    name = f"{platform.machine()}, {cores} cores"
    return Device("cpu", name, machine.total(), _measured_tflops("cpu"), found, note=note)


@cache
def _measured_tflops(kind: str) -> dict[Precision, float]:
    """The fastest of a few products of square matrices, in 10^12 operations a second (2 n^3 each)."""
    return {"bf16": _rate(kind, "bf16"), "fp32": _rate(kind, "fp32")}


def _rate(kind: str, precision: Precision) -> float:
    import torch

    size = 1024 if kind == "cpu" else 8192
    matrix = torch.randn(size, size, device=kind).to(dtype(precision))
    small = matrix[:64, :64].contiguous()
    fastest = float("inf")
    until = time.perf_counter() + _SECONDS
    with torch.inference_mode():
        torch.nn.functional.linear(small, small)  # kernels are chosen and compiled at the first
        while time.perf_counter() < until or fastest == float("inf"):
            started = time.perf_counter()
            torch.nn.functional.linear(matrix, matrix)
            if kind == "cuda":
                torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest / 1e12

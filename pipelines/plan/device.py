"""The machine that training would run on: this one, or one by name."""

import os
import platform
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipelines.errors import InputError
from pipelines.params.project import did_you_mean
from pipelines.plan.accelerators import ACCELERATORS, reported_as

_CGROUPS = Path("/sys/fs/cgroup")
_SECONDS = 0.5  # of matrix products, to find the rate of a machine that is in no table


@dataclass(frozen=True)
class Device:
    """Where the model would lie, how much room there is, and how fast it computes."""

    kind: str
    """cpu or cuda."""
    name: str
    memory_bytes: int
    """Of the accelerator if there is one, else of the machine, or of its control group if that allows less."""
    bf16_tflops: float
    """Peak of dense bf16 matrix products in 10^12 operations a second."""
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
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return Device("cpu", f"{platform.machine()}, {cores} cores", _machine_memory(), _measured_tflops("cpu"))
    properties = torch.cuda.get_device_properties(0)
    known = reported_as(properties.name)
    if known is None:
        return Device("cuda", properties.name, properties.total_memory, _measured_tflops("cuda"))
    return Device("cuda", properties.name, properties.total_memory, known.bf16_tflops, known.bandwidth, known.watts, known.note)


def named(name: str) -> Device:
    """A device of the table, or `cpu` for this machine's.

    Raises:
        InputError: There is none of this name; the message gives the nearest.
    """
    if name == "cpu":
        return Device("cpu", f"{platform.machine()} CPU", _machine_memory(), _measured_tflops("cpu"))
    if name not in ACCELERATORS:
        raise InputError(f"--device: there is no device {name!r}{did_you_mean(name, ['cpu', *ACCELERATORS])}")
    known = ACCELERATORS[name]
    memory = known.memory_gib * 2**30
    return Device("cuda", name, memory, known.bf16_tflops, known.bandwidth, known.watts, known.note)


def _machine_memory() -> int:
    """Bytes of the machine, or of the control group (container) that this process is in, if that is less."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limits = [_CGROUPS / "memory" / "memory.limit_in_bytes"]  # version 1, inside a container
    membership = Path("/proc/self/cgroup")
    if membership.is_file():
        for line in membership.read_text().splitlines():
            if line.startswith("0::/"):  # version 2
                group = _CGROUPS / line.removeprefix("0::/")
                limits += [place / "memory.max" for place in (group, *group.parents) if place.is_relative_to(_CGROUPS)]
    for file in limits:
        if file.is_file() and (limit := file.read_text().strip()).isdigit():
            sizes.append(int(limit))
    return min(sizes)


@cache
def _measured_tflops(kind: str) -> float:
    """The fastest of a few bf16 products of square matrices, in 10^12 operations a second (2 n^3 each)."""
    import torch

    size = 1024 if kind == "cpu" else 8192
    matrix = torch.randn(size, size, device=kind, dtype=torch.bfloat16)
    fastest = float("inf")
    until = time.perf_counter() + _SECONDS
    with torch.inference_mode():
        while time.perf_counter() < until or fastest == float("inf"):
            started = time.perf_counter()
            matrix @ matrix
            if kind == "cuda":
                torch.cuda.synchronize()
            fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest / 1e12

"""Accelerators by name, with the figures of their vendors' datasheets.

Rates are dense bf16 tensor rates with fp32 accumulation, never the doubled ones "with sparsity", and plain fp32 rates.
Sources: NVIDIA's papers on the Ampere GA102, Ada, Hopper and RTX Blackwell architectures; the datasheets of T4, V100, A10, A40,
A100, L4, L40S, RTX 6000 Ada, H100, H200 and HGX B200; AMD's datasheets of MI300X and MI325X. NVIDIA publishes no tensor rate of
the RTX 3060 and 4060 Ti, and no datasheet of the A10G of AWS: their rate here is twice the fp32 rate, as it is on every other
GeForce of their generation.
"""

import re
from dataclasses import dataclass

_NO_BF16 = "no bf16 tensor cores: bf16 products run at the fp32 rate"


@dataclass(frozen=True)
class Accelerator:
    """An accelerator of the table."""

    name: str
    reported: str
    """Regular expression for the name that torch reports."""
    memory_gib: int
    bf16_tflops: float
    """Rate of bf16 products in 10^12 operations per second."""
    fp32_tflops: float
    """Rate of exact fp32 products, without tensor cores."""
    bandwidth: float
    """Memory bandwidth in 10^9 bytes per second."""
    watts: int
    """Power of the whole board."""
    note: str = ""


_TABLE = (
    Accelerator("rtx3060-12gb", r"RTX 3060$", 12, 25.5, 12.7, 360, 170),
    Accelerator("rtx3090", r"RTX 3090$", 24, 71, 35.6, 936, 350),
    Accelerator("rtx4060ti-16gb", r"RTX 4060 Ti$", 16, 44.1, 22.1, 288, 165),
    Accelerator("rtx4080", r"RTX 4080$", 16, 97.5, 48.7, 717, 320),
    Accelerator("rtx4090", r"RTX 4090$", 24, 165.2, 82.6, 1008, 450),
    Accelerator("rtx5090", r"RTX 5090$", 32, 209.5, 104.8, 1792, 575),
    Accelerator("rtx-a6000", r"RTX A6000$", 48, 154.8, 38.7, 768, 300),
    Accelerator("rtx6000-ada", r"RTX 6000 Ada", 48, 364.2, 91.1, 960, 300),
    Accelerator("t4", r"Tesla T4$", 16, 8.1, 8.1, 320, 70, _NO_BF16),
    Accelerator("v100-16gb", r"V100.*16GB", 16, 15.7, 15.7, 900, 300, _NO_BF16),
    Accelerator("v100-32gb", r"V100.*32GB", 32, 15.7, 15.7, 900, 300, _NO_BF16),
    Accelerator("a10", r"A10$", 24, 125, 31.2, 600, 150),
    Accelerator("a10g", r"A10G$", 24, 70, 35, 600, 300),
    Accelerator("a40", r"A40$", 48, 149.7, 37.4, 696, 300),
    Accelerator("a100-40gb", r"A100.*40GB", 40, 312, 19.5, 1555, 400),
    Accelerator("a100-80gb", r"A100.*80GB", 80, 312, 19.5, 2039, 400),
    Accelerator("l4", r"L4$", 24, 121, 30.3, 300, 72),
    Accelerator("l40s", r"L40S$", 48, 362, 91.6, 864, 350),
    Accelerator("h100-pcie", r"H100 PCIe", 80, 756, 51, 2000, 350),
    Accelerator("h100", r"H100 80GB HBM3", 80, 989, 67, 3350, 700),
    Accelerator("h200", r"H200$", 140, 989, 67, 4800, 700),
    Accelerator("b200", r"B200$", 180, 2250, 75, 7700, 1000),
    Accelerator("mi300x", r"MI300X", 192, 1307.4, 163.4, 5300, 750),
    Accelerator("mi325x", r"MI325X", 256, 1307.4, 163.4, 6000, 1000),
)

ACCELERATORS = {accelerator.name: accelerator for accelerator in _TABLE}


def reported_as(name: str) -> Accelerator | None:
    """Return the accelerator that torch reports under this name; None if it is not in the table."""
    return next((each for each in _TABLE if re.search(rf"\b{each.reported}", name)), None)

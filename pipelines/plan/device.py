"""The machine that training would run on."""

import os
import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """Where the model would lie and how much room there is."""

    kind: str
    """cpu or cuda."""
    name: str
    memory_bytes: int
    """Of the accelerator if there is one, else of the machine."""


def detect() -> Device:
    """The first accelerator that torch sees, else the CPU."""
    import torch

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Device("cuda", properties.name, properties.total_memory)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Device("cpu", f"{platform.machine()}, {os.cpu_count()} cores", memory)

"""The tensors of a base model as they lie in its directory."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open


def tensors(directory: Path, wanted: set[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and tensor of those wanted that are there, one in memory at a time, by file and name."""
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in sorted(wanted.intersection(stored.keys())):
                yield name, stored.get_tensor(name)

"""Read single tensors of a base model from its directory."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open

_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def tensors(directory: Path, wanted: set[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and tensor of the wanted tensors that exist, one in memory at a time, by file and name."""
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in sorted(wanted.intersection(stored.keys())):
                yield name, stored.get_tensor(name)


def types(directory: Path, wanted: set[str]) -> dict[str, torch.dtype]:
    """Return the floating-point types of the wanted tensors that exist, by name. Only the headers of the files are read."""
    found = {}
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in sorted(wanted.intersection(stored.keys())):
                if (kind := stored.get_slice(name).get_dtype()) in _TYPES:
                    found[name] = _TYPES[kind]
    return found

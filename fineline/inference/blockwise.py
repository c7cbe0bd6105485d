"""A model computed in fp32 whose weights stay in the type of their files: each block has fp32 weights only while it runs.

The numbers are those of the same model in fp32: a bf16 weight is exact in fp32. A whole model in fp32 takes four bytes for each
weight; here it is the largest block that does. On a CPU, bf16 weights are parts of mapped files, and leave memory again.
"""

import ctypes
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fineline.hardware import machine
from fineline.models import loading

_MAPS = Path("/proc/self/maps")
_SHARE = 0.25
"""Share of the free memory that a model in fp32 may take: two are compared, each in a process of its own."""


def in_fp32(model: Any, room: int | None = None) -> Any:
    """Return a model in evaluation mode that computes in fp32, in place.

    Args:
        room: Bytes that the weights may take, by default a share of the free memory. A model that takes more is computed block
            by block.
    """
    if room is None:
        room = int(_SHARE * (machine.free() or machine.total()))
    if _fp32_bytes(model) <= room:
        loading.dequantize(model, torch.float32)
        return nn.Module.float(model).eval()  # transformers forbids .float() on a quantized model, which it no longer is
    loading.dequantize(model, torch.float32, lazily=True)
    for module in _blocks(model):
        block = _Block(module)
        module.register_forward_pre_hook(block.enter)
        module.register_forward_hook(block.leave, always_call=True)
    return model.eval()


def _fp32_bytes(model: Any) -> int:
    packed = {id(layer.weight): layer.in_features * layer.out_features for layer in loading.quantized_layers(model).values()}
    return 4 * sum(packed.get(id(weight), weight.numel()) for weight in model.parameters())


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules that get fp32 weights as a whole: the entries of lists of modules, and what is next to those."""
    if isinstance(module, nn.ModuleList):
        yield from module.children()
        return
    if not any(isinstance(part, nn.ModuleList) for part in module.modules()):
        yield module
        return
    for own in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
        if own.is_floating_point():
            own.data = own.data.float()
    for child in module.children():
        yield from _blocks(child)


class _Block:
    """The weights of one module, in fp32 while it runs."""

    def __init__(self, module: nn.Module) -> None:
        self.weights = [
            weight for weight in module.parameters() if weight.is_floating_point() and weight.dtype != torch.float32
        ]
        self.kept: list[torch.Tensor] = []
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.data = buffer.data.float()

    def enter(self, *_: Any) -> None:
        """Give the weights their values in fp32."""
        if self.kept:  # a block that calls itself
            return
        for weight in self.weights:
            self.kept.append(weight.data)
            weight.data = weight.data.float()

    def leave(self, *_: Any) -> None:
        """Return to the weights of the files."""
        for weight, kept in zip(self.weights, self.kept, strict=False):
            weight.data = kept
            _release(kept)
        self.kept = []


def _release(tensor: torch.Tensor) -> None:
    """Let the operating system take back the memory of a tensor that is part of a mapped file, and can be read again."""
    if tensor.device.type != "cpu" or not _is_mapped(tensor):
        return
    start = tensor.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
    length = tensor.data_ptr() + tensor.nbytes - start
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


def _is_mapped(tensor: torch.Tensor) -> bool:
    """True if the numbers of a tensor are those of a safetensors file: a range of memory that is mapped to one."""
    if not _MAPS.is_file():
        return False
    first, last = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
    for line in _MAPS.read_text().splitlines():
        fields = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in fields[0].split("-"))
        if start <= first and last <= end:
            return len(fields) == 6 and fields[5].endswith(".safetensors")
    return False

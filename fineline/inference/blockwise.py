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

_MAPS = Path("/proc/self/smaps")
_SHARE = 0.25
"""Share of the free memory that a model in fp32 may take: two are compared, each in its own process."""


def in_fp32(model: Any, room: int | None = None) -> Any:
    """Return a model in evaluation mode that computes in fp32, in place.

    Args:
        room: Bytes that the weights may take, by default a share of the free memory. A model that takes more is computed block
            by block.
    """
    if room is None:
        room = int(_SHARE * (machine.free() or machine.total()))
    if _fp32_bytes(model) > room and _by_block(model):
        return model.eval()
    loading.dequantize(model, torch.float32)
    return nn.Module.float(model).eval()  # transformers forbids .float() on a quantized model, which it no longer is


def _by_block(model: Any) -> bool:
    """Let each block of a model run in fp32; return False if the forward pass depends on the type of weights."""
    files, hooks = _unchanged_files(), []
    loading.dequantize(model, torch.float32, lazily=True)
    for module in _blocks(model):
        block = _Block(module, files)
        hooks.append(module.register_forward_pre_hook(block.enter, with_kwargs=True))
        hooks.append(module.register_forward_hook(block.leave, always_call=True))
    try:
        with torch.no_grad():
            model.eval()(input_ids=torch.tensor([[1, 2]], device=next(model.parameters()).device))
    except (RuntimeError, _NotInFp32):  # torch's error for two types, and ours
        for hook in hooks:
            hook.remove()
        return False
    return True


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


class _NotInFp32(Exception):
    """A block was given numbers that were rounded to the type of a weight."""


class _Block:
    """The weights of one module, in fp32 while it runs."""

    def __init__(self, module: nn.Module, files: "_Ranges") -> None:
        self.weights = [
            weight for weight in module.parameters() if weight.is_floating_point() and weight.dtype != torch.float32
        ]
        self.kept: list[torch.Tensor] = []
        self.files = files
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.data = buffer.data.float()

    def enter(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Give the weights their values in fp32."""
        for given in (*args, *kwargs.values()):
            if isinstance(given, torch.Tensor) and given.is_floating_point() and given.dtype.itemsize < torch.float32.itemsize:
                raise _NotInFp32
        if self.kept:  # a block that calls itself
            return
        for weight in self.weights:
            self.kept.append(weight.data)
            weight.data = weight.data.float()

    def leave(self, *_: Any) -> None:
        """Return to the weights of the files."""
        for weight, kept in zip(self.weights, self.kept, strict=False):
            weight.data = kept
            _release(kept, self.files)
        self.kept = []


_Ranges = list[tuple[int, int]]
"""Ranges of addresses: first, and after the last."""


def _release(tensor: torch.Tensor, files: _Ranges) -> None:
    """Let the operating system take back the memory of a tensor that is part of a file, and can be read again."""
    first, last = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
    if tensor.device.type == "cpu" and any(start <= first and last <= end for start, end in files):
        page = first // mmap.PAGESIZE * mmap.PAGESIZE
        ctypes.CDLL(None).madvise(ctypes.c_void_p(page), ctypes.c_size_t(last - page), mmap.MADV_DONTNEED)


def _unchanged_files() -> _Ranges:
    """Return the ranges of memory that are mapped to safetensors files in which no number was changed.

    Numbers that are written to a mapped file stay in memory only: full fine-tuning puts its weights there.
    """
    if not _MAPS.is_file():  # not Linux: nothing leaves memory
        return []
    found, mapped = [], None
    for line in _MAPS.read_text().splitlines():
        fields = line.split(maxsplit=5)
        if "-" in fields[0]:
            start, end = (int(part, 16) for part in fields[0].split("-"))
            mapped = (start, end) if len(fields) == 6 and fields[5].endswith(".safetensors") else None
        elif fields[0] == "Anonymous:" and mapped is not None and fields[1] == "0":
            found.append(mapped)
    return found

"""Memory of a running training: what was used at the peak, and what to say when it ran out."""

import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from fineline.adapters.methods import METHODS
from fineline.errors import FinelineError
from fineline.hardware import machine
from fineline.project.params.training import Train

_CPU_ALLOCATOR = ("can't allocate memory", "not enough memory")  # what torch says; it has no exception of its own for it


def peak() -> int:
    """Highest memory use of this process so far in bytes: of the accelerator, kernels and libraries on it included, if any."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        context = max(0, total - free - torch.cuda.memory_reserved())
        return torch.cuda.max_memory_reserved() + context
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def free() -> int | None:
    """Bytes that could be had now: of the accelerator if there is one, else of the machine; None where it does not say."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else machine.free()


def shortage(config: Train, predicted: Mapping[str, int], available: int | None) -> str | None:
    """A warning if less is free than will be needed; a machine that runs out of memory may kill a process without a word.

    Args:
        predicted: Bytes by component, as `plan` forecast them. The context is there already, libraries being loaded.
    """
    needed = predicted.get("total", 0) - predicted.get("context", 0)
    if available is None or needed <= available:
        return None
    largest = _largest(predicted)
    return (
        f"{needed / 2**30:.1f} GiB more memory are forecast and {available / 2**30:.1f} GiB are free: the run may be"
        f" killed. The largest part is {largest} ({predicted[largest] / 2**30:.1f} GiB): {_remedy(largest, config)}"
    )


@contextmanager
def explained(config: Train, predicted: Mapping[str, int] | None = None) -> Iterator[None]:
    """Within the context, running out of memory becomes a `FinelineError` that says what to change."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise FinelineError(out_of_memory(config, predicted or {})) from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _CPU_ALLOCATOR):
            raise
        raise FinelineError(out_of_memory(config, predicted or {})) from error


def out_of_memory(config: Train, predicted: Mapping[str, int]) -> str:
    """The largest component of the forecast, and the settings that would make it smaller.

    Args:
        predicted: Bytes by component, as `plan` forecast them.
    """
    largest = _largest(predicted)
    size = f" ({predicted[largest] / 2**30:.1f} GiB of {predicted['total'] / 2**30:.1f} forecast)" if predicted else ""
    return f"out of memory. The largest part is {largest}{size}: {_remedy(largest, config)}"


def _largest(predicted: Mapping[str, int]) -> str:
    parts = {part: size for part, size in predicted.items() if part not in ("total", "context")}
    return max(parts, key=lambda part: parts[part], default="activations")


def _remedy(part: str, config: Train) -> str:
    smaller = f"`train.batch_size: {max(1, config.batch_size // 2)}` with `train.accumulation: {config.accumulation * 2}`"
    match part:
        case "base" if METHODS[config.method].quantized and config.dequantize:
            return "set `train.dequantize: false`"
        case "base" if not METHODS[config.method].quantized:
            return "take `train.method: qlora`, which holds the base in four bits"
        case "base":
            return "take a smaller base model"
        case "optimizer":
            return "take `train.optimizer: paged-adamw-8bit`, a lower `train.rank` or another method"
        case "adapters" | "gradients":
            return "lower `train.rank` or take a method that trains less"
        case _ if not config.recompute:
            return f"set `train.recompute: true`, or {smaller}"
        case _:
            return f"set {smaller}, or a lower `curate.max_tokens`"

"""Memory of a training run: the peak, warnings, and the message when it runs out."""

import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from fineline.adapters.methods import METHODS
from fineline.errors import FinelineError
from fineline.hardware import machine
from fineline.project.params.training import Train

_CPU_ALLOCATOR = ("can't allocate memory", "not enough memory")  # in torch's messages; torch has no exception class for it


def peak() -> int:
    """Return the peak memory of this process in bytes: on the accelerator, if any, including kernels and libraries on it."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        context = max(0, total - free - torch.cuda.memory_reserved())
        return torch.cuda.max_memory_reserved() + context
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def free() -> int | None:
    """Return the available bytes: of the accelerator if there is one, else of the machine; None if that is not known."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else machine.free()


def shortage(config: Train, predicted: Mapping[str, int], available: int | None) -> str | None:
    """Return a warning if less memory is available than the run needs: the system may kill a process that runs out of it.

    Args:
        predicted: Forecast of `plan`, bytes by component. The context is in use already, as the libraries are loaded.
        available: Bytes; None if that is not known.
    """
    needed = predicted.get("total", 0) - predicted.get("context", 0)
    if available is None or needed <= available:
        return None
    largest = _largest(predicted)
    return (
        f"the forecast needs {needed / 2**30:.1f} GiB more memory and {available / 2**30:.1f} GiB are free: the run may be"
        f" killed. The largest part is {largest} ({predicted[largest] / 2**30:.1f} GiB): {_remedy(largest, config)}"
    )


@contextmanager
def explained(config: Train, predicted: Mapping[str, int] | None = None) -> Iterator[None]:
    """Within the context, running out of memory raises a `FinelineError` that names a remedy."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise FinelineError(out_of_memory(config, predicted or {})) from error
    except RuntimeError as error:
        if not any(sign in str(error) for sign in _CPU_ALLOCATOR):
            raise
        raise FinelineError(out_of_memory(config, predicted or {})) from error


def out_of_memory(config: Train, predicted: Mapping[str, int]) -> str:
    """Return a message with the largest component of the forecast and the settings that reduce it.

    Args:
        predicted: Forecast of `plan`, bytes by component.
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
            return "use `train.method: qlora`, which keeps the base in four bits"
        case "base":
            return "use a smaller base model"
        case "optimizer":
            return "use `train.optimizer: paged-adamw-8bit`, a lower `train.rank` or another method"
        case "adapters" | "gradients":
            return "lower `train.rank` or use a method that trains fewer parameters"
        case _ if not config.recompute:
            return f"set `train.recompute: true`, or {smaller}"
        case _:
            return f"set {smaller}, or a lower `curate.max_tokens`"

"""Parts of a micro-step, each computed by one thread on an equal share of the cores.

Threads that share every matrix product wait for each other after each one: small products end at different times, and a core
that another process takes for a moment holds up all of them, thousands of times in a step. Workers meet once in a micro-step.
Their losses and gradients are added in the order of the parts, so that the sum does not depend on which one finishes first.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from fineline.chat.tokens import TokenizedRow
from fineline.project.params.training import Train
from fineline.train import batches

Part = dict[str, Any]
"""Some of the rows of a micro-step, collated by the path of the training."""

_TOKENS = 128  # of a part, at least: below that, reading the weights takes longer than multiplying by them
_DIFFERENT = 0.01  # relative difference of two gradients, more than rounding explains


class Workers:
    """Threads with an equal share of the cores.

    Args:
        count: Number of threads; one computes in the thread of the caller.
        cores: Cores of each.
    """

    def __init__(self, count: int = 1, cores: int = 1) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, "train", torch.set_num_threads, (cores,)) if count > 1 else None

    def losses(self, loss: Callable[[Part], torch.Tensor], parts: Sequence[Part]) -> torch.Tensor:
        """Return the sum of the losses of the parts, without gradients."""
        return _total([value for value, _ in self._each(lambda part: (loss(part), None), parts, gradients=False)])

    def backward(
        self, loss: Callable[[Part], torch.Tensor], parts: Sequence[Part], weights: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Add the gradients of the sum of the losses to `weights`, and return the sum."""
        if len(parts) == 1:
            value = loss(parts[0])
            value.backward()
            return value.detach()

        def run(part: Part) -> tuple[torch.Tensor, Any]:
            value = loss(part)
            return value.detach(), torch.autograd.grad(value, weights, allow_unused=True)

        values, gradients = zip(*self._each(run, parts, gradients=True), strict=True)
        for weight, *found in zip(weights, *gradients, strict=True):
            for gradient in found:
                if gradient is None:
                    continue
                if weight.grad is None:  # never the gradient itself: a fused optimizer needs the strides of the weight
                    weight.grad = torch.zeros_like(weight)
                weight.grad += gradient
        return _total(values)

    def _each(self, run: Callable[[Part], Any], parts: Sequence[Part], *, gradients: bool) -> list[Any]:
        def call(part: Part) -> Any:
            with torch.set_grad_enabled(gradients):
                return run(part)

        return list(map(call, parts) if self._pool is None or len(parts) == 1 else self._pool.map(call, parts))

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _total(values: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(values)).sum() if len(values) > 1 else values[0]


def planned(items: Sequence[batches.Item], config: Train, threads: int, device: str) -> int:
    """Return the number of workers for a run: one if the parts would be too small or would draw random numbers.

    Args:
        threads: Threads that the process may use.
        device: `cpu` or `cuda`; an accelerator computes a micro-step as a whole.
    """
    if device != "cpu" or config.dropout or config.method == "full" or not items:
        return 1  # a full fine-tuning would have the gradients of all weights in memory once per worker
    mean = config.batch_size / len(items)
    tokens = sum(map(batches.size, items)) * mean
    rows = sum(map(len, items)) * mean
    return max(1, min(threads, int(tokens // _TOKENS), int(rows)))


def split(rows: Sequence[TokenizedRow], count: int) -> list[list[TokenizedRow]]:
    """Return rows in at most `count` parts of similar size, each with similar lengths."""
    ordered = sorted(rows, key=lambda row: -len(row.input_ids))
    return [ordered[first::count] for first in range(min(count, len(ordered)))]


@contextmanager
def started(count: int) -> Iterator[Workers]:
    """Within the context, the threads of this process are divided among `count` workers."""
    before = torch.get_num_threads()
    if count == 1:
        yield Workers()
        return
    cores = max(1, before // count)
    workers = Workers(count, cores)
    torch.set_num_threads(cores)  # MKL has one setting for all threads
    try:
        yield workers
    finally:
        workers.close()
        torch.set_num_threads(before)


def agree(
    workers: Workers, loss: Callable[[Part], torch.Tensor], whole: Part, parts: Sequence[Part], weights: Sequence[torch.Tensor]
) -> bool:
    """Return True if the workers compute the gradient of the whole from its parts. Gradients of `weights` are cleared."""

    def gradient(by: Workers, given: Sequence[Part]) -> torch.Tensor:
        by.backward(loss, given, weights)
        found = torch.cat([weight.grad.float().flatten() for weight in weights if weight.grad is not None])
        for weight in weights:
            weight.grad = None
        return found

    expected, found = gradient(Workers(), [whole]), gradient(workers, parts)
    return bool(torch.linalg.vector_norm(found - expected) <= _DIFFERENT * torch.linalg.vector_norm(expected))

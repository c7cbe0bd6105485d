"""A trial of training paths, on a few rows with the model that will be trained.

The reference is the forward pass of the model, one row at a time, without padding, and the cross entropy of its logits. A
faster path is taken where it gives the same losses and the same gradients. A model that the trial cannot run, or whose tokens
see those that follow them, is refused before it is trained.

Rounding in bf16 can hide a difference. Models that are small enough are tried in fp32, and of all models two things are tested
exactly: that a row's loss does not depend on another row, and that logits are the output of the head.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch

from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.errors import InputError
from fineline.models.config import Precision, autocast
from fineline.train import plain
from fineline.train.path import TrainingPath

_ROWS, _TOKENS, _SHARED = 3, 48, 3
"""Rows of a trial, tokens of the longest, and tokens that all rows begin with."""
_NUMBERS = 1 << 24
"""Gradients that are compared: those of the smallest trained weights, up to this many numbers."""
_WIDENED = 1 << 31
"""Parameters of the largest model that is tried in fp32; it takes twice the memory meanwhile."""
_LOSS = {"fp32": 1e-4, "bf16": 0.01}
_GRADIENT = {"fp32": 1e-4, "bf16": 0.06}
"""Relative differences that rounding explains: of the loss, and of the norm of the gradient."""
_ROUNDED = 2**-8
"""The same of a gradient that passes through bf16 in fp32 too, because the method rounds what it trains."""
_SAME = 1e-6
"""Relative difference of two losses that should be the same number."""
Leak = Literal["tokens", "length"]
"""The property of the following tokens that the logits of a token depend on."""
_LEAK: dict[Leak, dict[Precision, float]] = {"tokens": {"fp32": 1e-4, "bf16": 0.02}, "length": {"fp32": 1e-4, "bf16": 0.2}}
"""Relative difference of logits that rounding explains. Other lengths are rounded otherwise, and may reach other experts."""
_NOT_CAUSAL: dict[Leak, str] = {
    "tokens": "the logits of a token depend on the tokens after it, so the model would learn to copy; it is not a causal"
    " language model, or is not configured as one (such as by `is_decoder` in config.json)",
    "length": "the logits of a token depend on the number of tokens after it, so an answer could not be generated as it was"
    " learned",
}


def can_be_widened(model: Any) -> bool:
    """True if the model is small, and no weight is in fewer bits than bf16."""
    weights = list(model.parameters())
    return sum(weight.numel() for weight in weights) <= _WIDENED and all(weight.is_floating_point() for weight in weights)


@contextmanager
def widened(model: Any) -> Iterator[None]:
    """Within the context, all weights are in fp32. Those in bf16 are the same bits afterwards."""
    narrow = [*model.parameters(), *model.buffers()]
    kinds = [tensor.dtype for tensor in narrow]
    for tensor, kind in zip(narrow, kinds, strict=True):
        if kind in (torch.bfloat16, torch.float16):
            tensor.data = tensor.data.float()
    try:
        yield
    finally:
        for tensor, kind in zip(narrow, kinds, strict=True):
            if tensor.dtype != kind:
                tensor.data = tensor.data.to(kind)


class Trial:
    """A model with a few rows, whose loss and gradient are known."""

    def __init__(self, model: Any, given: list[TokenizedRow], precision: Precision) -> None:
        self.model = model
        self.given = given
        self.precision = precision
        self.kind = model.get_base_model().config.model_type
        self.device = next(model.parameters()).device
        self.weights = _compared(model)
        self.tolerance = max(_GRADIENT[precision], _ROUNDED if getattr(model, "rounds", False) else 0)
        self.expected: tuple[float, torch.Tensor] = (0.0, torch.empty(0))
        self.head_is_last = False
        self.zeros: tuple[str, ...] = ()

    def check(self) -> None:
        """Compute the loss and the gradient of each row alone. Raises `InputError` as `choose` does."""
        try:
            first = torch.tensor([self.given[-1].input_ids], device=self.device)
            self.zeros = plain.text_arguments(self.model, first, self.precision)
            alone = TrainingPath("plain", "", "alone", "logits", fused=False, zeros=self.zeros)
            self.expected = self._run(alone)
            leak = self._leak()
            self.head_is_last = plain.head_is_last(self.model, first, self.precision, self.zeros)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except InputError:
            raise
        except Exception as error:  # any error here would occur in the first step too
            if leak := self._leak_of_unusual():
                raise InputError(f"{self.kind}: {_NOT_CAUSAL[leak]}") from error
            raise InputError(f"train.method: a {self.kind} model cannot be trained this way: {_short(error)}") from error
        value, gradient = self.expected
        if not torch.isfinite(torch.tensor(value)):
            raise InputError(
                f"{self.kind}: the loss of the base is {value} before any training, in {self.precision}; its weights are"
                " damaged, or the model needs `train.precision: fp32`"
            )
        if not torch.isfinite(gradient).all():
            raise InputError(
                f"{self.kind}: the loss is {value:.4f} and its gradient is not finite, in {self.precision}; set"
                " `train.precision: fp32`"
            )
        if not gradient.any():
            raise InputError(f"train: no gradient reaches what is trained on this {self.kind} model; use other `train.targets`")
        if leak:
            raise InputError(f"{self.kind}: {_NOT_CAUSAL[leak]}")

    def difference(self, path: TrainingPath, reach: int = 0) -> str:
        """Return how a path differs from the rows alone; empty if it does not.

        Args:
            reach: Tokens of the longest row of the data, which attention windows are compared with.
        """
        try:
            if path.head == "chunks" and not self.head_is_last:
                return "the model changes the output of its head"
            if path.name == "flat":
                self._dropout(path, reach)
                if not self._rows_apart(path):
                    return "a row changes with the row before it"
            value, gradient = self._run(path, reach)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # it does not run on this model, for any reason
            return _short(error)
        expected, known = self.expected
        if not abs(value - expected) <= _LOSS[self.precision] * abs(expected):
            return f"the loss is {value:.4f} instead of {expected:.4f}"
        distance = torch.linalg.vector_norm(gradient - known) / torch.linalg.vector_norm(known)
        if not distance <= self.tolerance:
            return f"the gradient differs by {distance.item():.1%}"
        return ""

    def _run(self, path: TrainingPath, reach: int = 0) -> tuple[float, torch.Tensor]:
        """Return the mean loss and the gradient of the compared weights."""
        self.model.eval()
        part = _on(path.collate(self.given), self.device)
        if reach:
            part["reach"] = max(reach, part["reach"])
        with path.ready(self.model):
            value = path.loss(self.model, part, None, self.precision)
            gradients = torch.autograd.grad(value, self.weights, allow_unused=True)
        flat = [
            torch.zeros(weight.numel(), device=self.device) if gradient is None else gradient.float().flatten()
            for weight, gradient in zip(self.weights, gradients, strict=True)
        ]
        return value.item(), torch.cat(flat)

    @torch.no_grad()
    def _dropout(self, path: TrainingPath, reach: int) -> None:
        """Run a row in training mode, in which attention may refuse what evaluation leaves out."""
        part = _on(path.collate(self.given[:1]), self.device)
        part["reach"] = max(reach, part["reach"])
        self.model.train()
        with path.ready(self.model):
            path.loss(self.model, part, None, self.precision)

    @torch.no_grad()
    def _rows_apart(self, path: TrainingPath) -> bool:
        """True if the loss of a row is the same number when the end of the row before it is another one."""
        first, second, *_ = self.given
        ids, tail = first.input_ids, len(first.input_ids) // 2
        changed = ids[:tail] + [ids[0] if token != ids[0] else ids[1] for token in ids[tail:]]
        unlearned = [IGNORED] * len(ids)
        values = []
        self.model.eval()
        for before in (ids, changed):
            part = _on(path.collate([TokenizedRow(before, unlearned), second]), self.device)
            with path.ready(self.model):
                values.append(path.loss(self.model, part, 1, self.precision).item())
        return abs(values[0] - values[1]) <= _SAME * abs(values[0])

    @torch.no_grad()
    def _leak(self) -> Leak | None:
        """Return which property of the tokens that follow a token changes its logits; None if none does."""
        causal = self.model.get_base_model()
        row = max(self.given, key=lambda row: len(row.input_ids)).input_ids
        half = len(row) // 2
        if half < 1:
            return None
        self.model.eval()
        found = []
        for tokens in (row, row[:half] + row[half:][::-1], row[:half]):
            ids = torch.tensor([tokens], device=self.device)
            given, _ = plain.inputs(self.model, causal, {"input_ids": ids}, self.zeros, adapted=False)
            with autocast(self.precision, self.device.type):
                found.append(causal(**given).logits[0, :half].float())
        # of another length only the first token, which sees itself: a selection among more tokens breaks ties in another way
        compared: dict[Leak, tuple[torch.Tensor, torch.Tensor]] = {
            "tokens": (found[0], found[1]),
            "length": (found[0][:1], found[2][:1]),
        }
        for leak, (one, other) in compared.items():
            if not torch.linalg.vector_norm(one - other) <= _LEAK[leak][self.precision] * torch.linalg.vector_norm(one):
                return leak
        return None

    def _leak_of_unusual(self) -> Leak | None:
        """Return `_leak` of a model that has just failed; None if it fails in that too.

        A model that is not causal often has further requirements, which fail first and are not the cause.
        """
        try:
            return self._leak()
        except Exception:
            return None


def _compared(model: Any) -> list[torch.Tensor]:
    """Return the smallest trained weights, which every layer has, up to a number of gradients."""
    trained = sorted((weight for weight in model.parameters() if weight.requires_grad), key=lambda weight: weight.numel())
    chosen: list[torch.Tensor] = []
    numbers = 0
    for weight in trained:
        numbers += weight.numel()
        if chosen and numbers > _NUMBERS:
            break
        chosen.append(weight)
    return chosen


def sample(given: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    """Return a few rows of different lengths, of which every token is learned, cut to a few tokens.

    They begin alike, as rows of any micro-step may. A model that takes rows apart by their positions computes them right only
    if they do not.
    """
    longest = sorted(given, key=lambda row: -len(row.input_ids))[:_ROWS]
    longest += longest[:1] * (_ROWS - len(longest))
    cut = [row.input_ids[: max(2, _TOKENS * (_ROWS - line) // _ROWS - line)] for line, row in enumerate(longest)]
    beginning = cut[0][:_SHARED]
    alike = [beginning[: len(ids) - 2] + ids[len(beginning[: len(ids) - 2]) :] for ids in cut]
    return [TokenizedRow(ids, ids) for ids in alike]


def _on(part: Any, device: torch.device) -> Any:
    """Return the tensors of a part on a device."""
    if isinstance(part, torch.Tensor):
        return part.to(device)
    if isinstance(part, dict):
        return {name: _on(value, device) for name, value in part.items()}
    return [_on(value, device) for value in part] if isinstance(part, list) else part


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__

"""The conversion of a trained adapter into a canonical one: exact if it is of low rank, else as near as needed.

What was measured is what was written: a new process loads the files and computes the probe rows, and their next-token
distributions are compared with those of the trained model in fp32, on the base in the form that was trained on.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fineline import adapters
from fineline.adapters import methods
from fineline.adapters.adapted import CONFIG
from fineline.adapters.factors import Factors
from fineline.adapters.targets import endings
from fineline.errors import FinelineError, InputError
from fineline.export import canonical, tokenizer
from fineline.export.trained import TrainedAdapter
from fineline.inference import probe
from fineline.inference.fidelity import Fidelity, fidelity
from fineline.models import loading

LARGEST_KL = 1e-6
"""Of an exact conversion, in nats: only the order of additions differs."""
LARGEST_APPROXIMATE_KL = 1e-3
"""Of an approximate conversion, in nats: the limit of a merged model too."""

FreshLogits = Callable[[Path, Sequence[Sequence[int]], probe.Loading], Generator[np.ndarray, None, None]]


@dataclass(frozen=True)
class Converted:
    """A canonical adapter that was written, and how near it is to the trained one."""

    rank: int
    exact: bool
    """True if the trained adapter is of low rank itself."""
    agreement: Fidelity
    """Agreement with the trained model on the base that was trained on."""


def build(
    source: TrainedAdapter, into: Path, tokens: Sequence[Sequence[int]], logits: FreshLogits = probe.fresh_logits
) -> Converted:
    """Write the canonical form of an adapter into an empty directory.

    Args:
        tokens: Token ids of the probe rows.
        logits: Yields the logits of each row, of the files in a directory.

    Raises:
        InputError: The adapter has no canonical form, or none of an accepted rank that is near enough.
        FinelineError: The written adapter does not compute what the trained one computes.
    """
    method = methods.method_of(source.trained_with)
    if refused := canonical.refusal(method):
        raise InputError("; ".join(refused))
    canonical.check(json.loads((source.adapter / CONFIG).read_text(encoding="utf-8")))
    comparison = _Comparison(source, into, tokens, logits)
    exact = canonical.exact_factors(comparison.model, method)
    factors = exact or canonical.nearest_factors(comparison.model, method)
    targets = endings(set(factors), {name for name, _ in comparison.plain_modules()} - set(factors))
    name, revision = source.named

    def write(chosen: Mapping[str, Factors]) -> Fidelity:
        canonical.write(chosen, name, revision, targets, into)
        return comparison.agreement()

    if exact:
        rank, agreement = canonical.rank_of(exact), write(exact)
        if not agreement.mean_kl <= LARGEST_KL:
            raise FinelineError(
                f"the canonical adapter does not compute what the trained one computes: mean KL {agreement.mean_kl:.1e}"
                f" (at most {LARGEST_KL})"
            )
    else:
        rank, agreement = _smallest(factors, write, method.name)
    if not source.repository or source.base_origin.get("changes"):  # no repository has this tokenizer
        tokenizer.write(source.base, into)
    return Converted(rank, exact is not None, agreement)


def _smallest(
    factors: Mapping[str, Factors], write: Callable[[Mapping[str, Factors]], Fidelity], method: str
) -> tuple[int, Fidelity]:
    """Write the adapter of the smallest accepted rank that is near enough, found by bisection; return rank and agreement.

    Raises:
        InputError: None is.
    """
    largest = canonical.accepted_rank(max(layer.rank for layer in factors.values())) or canonical.RANKS[-1]
    ranks = [rank for rank in canonical.RANKS if rank <= largest]
    low, high, last = 0, len(ranks) - 1, len(ranks) - 1
    found = write(canonical.cut(factors, largest))
    if not found.mean_kl <= LARGEST_APPROXIMATE_KL:
        raise InputError(
            f"no LoRA adapter of an accepted rank computes what this {method} adapter computes: at rank {largest}, mean KL is"
            f" {found.mean_kl:.1e} (at most {LARGEST_APPROXIMATE_KL}); export the merged model (safetensors)"
        )
    while low < high:
        last = (low + high) // 2
        measured = write(canonical.cut(factors, ranks[last]))
        if measured.mean_kl <= LARGEST_APPROXIMATE_KL:
            high, found = last, measured
        else:
            low = last + 1
    return ranks[high], found if last == high else write(canonical.cut(factors, ranks[high]))


class _Comparison:
    """The trained model, and the adapter in a directory that is compared with it."""

    def __init__(self, source: TrainedAdapter, written: Path, tokens: Sequence[Sequence[int]], logits: FreshLogits) -> None:
        self.source, self.written, self.tokens, self.logits = source, written, tokens, logits
        self.quantization = methods.quantization_of(source.trained_with)
        self.precision = methods.precision_of(source.trained_with)
        model = loading.base_model(source.base, quantization=self.quantization, precision=self.precision)
        self.model = adapters.load(model, source.adapter)
        self._is_whole = False

    def plain_modules(self) -> list[tuple[str, torch.nn.Module]]:
        """Return the modules of the base by the names that they have without an adapter."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        causal = self.model.get_base_model()
        layers = tuple(f"{name}." for name, module in causal.named_modules() if isinstance(module, BaseTunerLayer))
        return [(name, module) for name, module in causal.named_modules() if not name.startswith(layers or ("\0",))]

    def agreement(self) -> Fidelity:
        """Return the agreement of the written adapter with the trained model, on the base that was trained on."""
        if not self._is_whole:
            loading.dequantize(self.model, torch.float32)
            torch.nn.Module.float(self.model).eval()
            self._is_whole = True
        how = probe.Loading(self.precision, self.quantization, self.written)
        with closing(self.logits(self.source.base, self.tokens, how)) as fresh:
            return fidelity(probe.torch_logits(self.model, self.tokens), fresh)

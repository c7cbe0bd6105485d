"""Prompt learning: trained virtual tokens before the prompt, as keys and values (prefix tuning) or as embeddings.

The modules that apply them are in `fineline.adapters.virtual`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods.method import Batches, PeftMethod, SavedBytes

if TYPE_CHECKING:
    from fineline.models.shape import Shape
    from fineline.project.params.training import Train

_KEYS = frozenset({"virtual_tokens"})
_NOT_MERGEABLE = "virtual tokens precede the prompt, and no weight of the base could contain them"
_NOT_SERVABLE = "only PEFT itself applies it"


@dataclass(frozen=True)
class PromptLearning(PeftMethod):
    """Virtual tokens. An adapter is loaded as a model whose callers do not see them."""

    def load(self, model: Any, directory: Path, config: dict[str, Any]) -> Any:
        """Return a `VirtualTokens` model."""
        from fineline.adapters.adapted import tensors_of
        from fineline.adapters.virtual import VirtualTokens

        return VirtualTokens.restored(model, config, tensors_of(directory))


@dataclass(frozen=True)
class Prefix(PromptLearning):
    """Prefix tuning: keys and values of each layer are trained."""

    peft_types = ("PREFIX_TUNING",)
    saved_bytes = SavedBytes(bf16=(8.8, 6, 4.3), fp32=(17.5, 12, 8.5))

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return a `PrefixTuningConfig`."""
        from peft import PrefixTuningConfig

        return PrefixTuningConfig(num_virtual_tokens=train.virtual_tokens, **self.task)

    def initialize(self, adapted: Any, train: "Train", base: Path, batches: Batches | None) -> None:
        """Start at the keys and values of real tokens (Li and Liang 2021, arXiv 2101.00190, section 7.4)."""
        from fineline.adapters.virtual import start_at_real_tokens

        start_at_real_tokens(adapted)

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """Keys and values of each layer."""
        return train.virtual_tokens * shape.layers * 2 * shape.kv_heads * shape.head_dim


@dataclass(frozen=True)
class Prompt(PromptLearning):
    """Prompt tuning: embeddings are trained, starting at words of the vocabulary (arXiv 2104.08691, section 3.2)."""

    peft_types = ("PROMPT_TUNING",)
    saved_bytes = SavedBytes(bf16=(8.3, 6, 8), fp32=(16.6, 12, 16))
    adds_embeddings = True

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return a `PromptTuningConfig`."""
        from peft import PromptTuningConfig

        start: Any = "SAMPLE_VOCAB"
        return PromptTuningConfig(num_virtual_tokens=train.virtual_tokens, prompt_tuning_init=start, **self.task)

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """Embeddings."""
        return train.virtual_tokens * shape.hidden


@dataclass(frozen=True)
class PTuning(Prompt):
    """P-tuning: embeddings and an MLP that they pass through are trained."""

    peft_types = ("P_TUNING",)

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return a `PromptEncoderConfig`."""
        from peft import PromptEncoderConfig

        return PromptEncoderConfig(num_virtual_tokens=train.virtual_tokens, **self.task)

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """Embeddings, and an MLP of three layers of the hidden size."""
        return super().trained_parameters(shape, train) + 3 * shape.hidden * (shape.hidden + 1)


PREFIX = Prefix("prefix", "Li and Liang 2021, arXiv 2101.00190", _KEYS, _NOT_MERGEABLE, _NOT_SERVABLE)
PROMPT = Prompt("prompt", "Lester et al. 2021, arXiv 2104.08691", _KEYS, _NOT_MERGEABLE, _NOT_SERVABLE)
P_TUNING = PTuning("p-tuning", "Liu et al. 2021, arXiv 2103.10385", _KEYS, _NOT_MERGEABLE, _NOT_SERVABLE)

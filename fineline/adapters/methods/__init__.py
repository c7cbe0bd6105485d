"""The registry of fine-tuning methods: one entry per value of `train.method`, one file per family of methods.

Parameters are checked and plans are made without PyTorch, so nothing here imports torch, transformers or peft before an entry
attaches, loads or merges an adapter. `docs/training.md` shows the methods with measured figures, and a test compares its table
with the registry.
"""

from collections.abc import Mapping
from typing import Any

from fineline.adapters.methods import bitfit, bottleneck, dora, full, ia3, lora, prompt_learning, vera
from fineline.adapters.methods.method import Method
from fineline.models.config import Precision, Quantization

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        lora.LORA,
        lora.QLORA,
        dora.DORA,
        dora.QDORA,
        lora.RSLORA,
        vera.VERA,
        ia3.IA3,
        prompt_learning.PREFIX,
        prompt_learning.PROMPT,
        prompt_learning.P_TUNING,
        bottleneck.BOTTLENECK,
        bitfit.BITFIT,
        full.FULL,
    )
}

SELECTABLE = frozenset().union(*(method.uses for method in METHODS.values()))
"""Keys of the `train:` block that some methods read and others do not."""

__all__ = ["METHODS", "SELECTABLE", "Method"]


def method_of(parameters: Mapping[str, Any]) -> Method:
    """Return the method that an adapter was trained with."""
    return METHODS[parameters["method"]]


def quantization_of(parameters: Mapping[str, Any]) -> Quantization | None:
    """Return how the base was quantized while the adapter was trained; None if it was not."""
    if not method_of(parameters).quantized:
        return None
    return Quantization.model_validate(parameters.get("quantization", {}))


def precision_of(parameters: Mapping[str, Any]) -> Precision:
    """Return the precision that the adapter was trained in, in which it is evaluated and merged too.

    Adapters without a recorded precision are older than the choice, and were trained in bf16.
    """
    found: Precision = parameters.get("precision", "bf16")
    return found

"""The registry of fine-tuning methods: one entry per value of `train.method`, one file per family of methods.

Parameters are checked and plans are made without PyTorch, so nothing here imports torch, transformers or peft before an entry
attaches, loads or merges an adapter. `docs/training.md` shows the methods with measured figures, and a test compares its table
with the registry.
"""

from fineline.adapters.methods import bitfit, bottleneck, dora, full, ia3, lora, prompt_learning, vera
from fineline.adapters.methods.method import Method

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

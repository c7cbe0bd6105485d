"""The methods of fine-tuning: which keys of a `train:` block each one reads, and what can be done with its result.

`docs/training.md` shows this table with measured figures; `tests/adapters/test_method_table.py` holds the two together.
"""

from dataclasses import dataclass

_LORA = frozenset({"rank", "alpha", "dropout", "targets"})
_QUANTIZED = frozenset({"quantization", "dequantize"})
_PROMPT = frozenset({"virtual_tokens"})


@dataclass(frozen=True)
class Method:
    """One value of `train.method`."""

    name: str
    source: str
    """Where it was published."""
    uses: frozenset[str]
    """Keys of the `train:` block that this method reads beyond those that all methods read."""
    not_mergeable: str = ""
    """Why the result cannot be folded into the base weights, and so not be exported; empty if it can."""
    not_servable: str = ""
    """Why no serving stack applies the result beside a shared base; empty if the usual ones do."""

    @property
    def quantized(self) -> bool:
        """Whether the base is held in four bits while the adapter is trained."""
        return "quantization" in self.uses

    @property
    def mergeable(self) -> bool:
        """Whether `merge` can fold the result into the base weights."""
        return not self.not_mergeable

    @property
    def prompt_learning(self) -> bool:
        """Whether only virtual tokens before the prompt are trained."""
        return "virtual_tokens" in self.uses


_VIRTUAL = "virtual tokens stand before the prompt; there is no weight of the base to fold them into"

METHODS = {
    method.name: method
    for method in (
        Method("lora", "Hu et al. 2021, arXiv 2106.09685", _LORA | {"initialization"}),
        Method("qlora", "Dettmers et al. 2023, arXiv 2305.14314", _LORA | _QUANTIZED | {"initialization"}),
        Method(
            "dora",
            "Liu et al. 2024, arXiv 2402.09353",
            _LORA,
            not_servable="vLLM and llama.cpp refuse DoRA adapters; merge it",
        ),
        Method(
            "qdora",
            "Liu et al. 2024, arXiv 2402.09353, on a base in four bits",
            _LORA | _QUANTIZED,
            not_servable="vLLM and llama.cpp refuse DoRA adapters; merge it",
        ),
        Method("rslora", "Kalajdzievski 2023, arXiv 2312.03732", _LORA | {"initialization"}),
        Method(
            "vera",
            "Kopiczko et al. 2023, arXiv 2310.11454",
            frozenset({"rank", "dropout", "targets"}),
            not_servable="vLLM and llama.cpp apply LoRA matrices only; merge it",
        ),
        Method(
            "ia3",
            "Liu et al. 2022, arXiv 2205.05638",
            frozenset(),
            not_servable="vLLM and llama.cpp apply LoRA matrices only; merge it",
        ),
        Method("prefix", "Li and Liang 2021, arXiv 2101.00190", _PROMPT, _VIRTUAL, "only PEFT itself applies it"),
        Method("prompt", "Lester et al. 2021, arXiv 2104.08691", _PROMPT, _VIRTUAL, "only PEFT itself applies it"),
        Method("p-tuning", "Liu et al. 2021, arXiv 2103.10385", _PROMPT, _VIRTUAL, "only PEFT itself applies it"),
        Method(
            "bottleneck",
            "Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247",
            frozenset({"bottleneck"}),
            "its layers have a nonlinearity, so no weight of the base can take their place",
            "only fineline applies it",
        ),
        Method(
            "bitfit",
            "Ben Zaken et al. 2021, arXiv 2106.10199",
            frozenset(),
            not_servable="vLLM and llama.cpp apply LoRA matrices only; merge it",
        ),
        Method("full", "all weights", frozenset(), not_servable="it is a whole model of its own"),
    )
}

SELECTABLE = frozenset().union(*(method.uses for method in METHODS.values()))
"""Keys that some methods read and others do not."""

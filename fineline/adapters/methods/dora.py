"""DoRA: LoRA matrices change the direction of each row of a weight, and a trained magnitude sets its length.

Liu et al. 2024, arXiv 2402.09353. QDoRA trains the same on a base in four bits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods.lora import KEYS, QUANTIZED_KEYS, LowRank
from fineline.adapters.methods.method import SavedBytes, selected_layers

if TYPE_CHECKING:
    import torch

    from fineline.models.config import Precision
    from fineline.models.shape import Shape
    from fineline.project.params.training import Train

_FP32_BYTES = 4
_NOT_SERVABLE = "vLLM and llama.cpp refuse DoRA adapters; merge it"


@dataclass(frozen=True)
class Dora(LowRank):
    """DoRA with or without a quantized base. Merged: m * V / |V| by row, with V = W + scaling * B A (equation 5)."""

    saved_bytes = SavedBytes(bf16=(33.3, 16.6, 12.5), fp32=(48.8, 32.4, 24.4))

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return a `LoraConfig` with magnitudes."""
        return self.lora_configuration(model, train, train.rank, float(train.alpha), use_dora=True)

    def merge(self, layer: Any, weight: "torch.Tensor") -> "torch.Tensor":
        """Return the merged weight of a layer."""
        (name,) = layer.active_adapters
        moved = super().merge(layer, weight)
        magnitude = layer.lora_magnitude_vector[name].weight.float().cpu()
        return (magnitude / moved.norm(dim=1))[:, None] * moved

    def factors(self, model: Any) -> None:
        """Return None: the magnitudes rescale every row of the weight, which is a change of full rank."""

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """LoRA's matrices, and a magnitude per output."""
        return super().trained_parameters(shape, train) + sum(layer.rows for layer in selected_layers(shape, train))

    def working_bytes(self, shape: "Shape", precision: "Precision") -> int:
        """W, B A and their sum, for the norm of the rows."""
        return max(layer.weights for layer in shape.linear) * 3 * _FP32_BYTES


DORA = Dora("dora", "Liu et al. 2024, arXiv 2402.09353", KEYS, not_servable=_NOT_SERVABLE)
QDORA = Dora(
    "qdora", "Liu et al. 2024, arXiv 2402.09353, on a base in four bits", KEYS | QUANTIZED_KEYS, not_servable=_NOT_SERVABLE
)

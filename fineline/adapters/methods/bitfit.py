"""BitFit: only bias terms are trained (Ben Zaken et al. 2021, arXiv 2106.10199).

The module is in `fineline.adapters.native`.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods.method import ONLY_LORA, Batches, Merge, Method, SavedBytes, needed

if TYPE_CHECKING:
    import torch

    from fineline.models.shape import Shape
    from fineline.project.params.training import Train


@dataclass(frozen=True)
class BiasTerms(Method):
    """BitFit. Merged: b + distance, rounded to bf16 as it was during training."""

    peft_types = ("BITFIT",)
    saved_bytes = SavedBytes(bf16=(8.1, 6, 4), fp32=(16.1, 12, 8))

    def attach(self, model: Any, train: "Train", base: Path, batches: Batches | None) -> Any:
        """Return a `BitFit`."""
        from fineline.adapters.native import BitFit

        return BitFit(model)

    def load(self, model: Any, directory: Path, config: dict[str, Any]) -> Any:
        """Return a `BitFit`."""
        from fineline.adapters.adapted import tensors_of
        from fineline.adapters.native import BitFit

        return BitFit.restored(model, config, tensors_of(directory))

    def merges(self, model: Any) -> dict[str, Merge]:
        """Return the merge of every bias."""
        return {name: partial(_merge, shift.distance.data.float().cpu()) for name, shift in model.shifts.items()}

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """All bias terms."""
        return needed(shape.biases, self.name, "bias terms")

    def added_parameters(self, shape: "Shape", train: "Train") -> int:
        """0: the distances of the biases are negligible."""
        return 0


def _merge(distance: "torch.Tensor", bias: "torch.Tensor") -> "torch.Tensor":
    import torch

    return (bias + distance).to(torch.bfloat16).float()


BITFIT = BiasTerms(
    "bitfit",
    "Ben Zaken et al. 2021, arXiv 2106.10199",
    not_servable=ONLY_LORA,
    not_low_rank="it changes biases, to which no matrices can be added",
)

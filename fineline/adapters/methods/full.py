"""Full fine-tuning: all weights of the base are trained and saved. The module is in `fineline.adapters.native`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods.method import Batches, Merge, Method, SavedBytes

if TYPE_CHECKING:
    import torch

    from fineline.models.config import Precision
    from fineline.models.shape import Shape
    from fineline.project.params.training import Train

_BF16_BYTES = 2


@dataclass(frozen=True)
class AllWeights(Method):
    """Full fine-tuning. Merged: the trained weights themselves."""

    peft_types = ("FULL",)
    saved_bytes = SavedBytes(bf16=(30.1, 8, 4), fp32=(32.1, 16, 8))
    trains_base = True

    def attach(self, model: Any, train: "Train", base: Path, batches: Batches | None) -> Any:
        """Return a `Full`."""
        from fineline.adapters.native import Full

        return Full.new(model, base)

    def load(self, model: Any, directory: Path, config: dict[str, Any]) -> Any:
        """Return a `Full`."""
        from fineline.adapters.adapted import tensors_of
        from fineline.adapters.native import Full

        return Full.restored(model, config, tensors_of(directory))

    def merges(self, model: Any) -> dict[str, Merge]:
        """Return the trained weight in place of every weight."""
        return {name: partial(_replace, weight.data) for name, weight in model.weights().items()}

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """All parameters, except of parts that process images or sound."""
        return shape.parameters - shape.frozen

    def added_parameters(self, shape: "Shape", train: "Train") -> int:
        """None: the base itself is trained."""
        return 0

    def working_bytes(self, shape: "Shape", precision: "Precision") -> int:
        """The bf16 copies that autocast makes of the fp32 weights."""
        return shape.linear_weights * _BF16_BYTES if precision == "bf16" else 0


def _replace(trained: "torch.Tensor", _: "torch.Tensor") -> "torch.Tensor":
    return trained.float().cpu()


FULL = AllWeights(
    "full",
    "all weights",
    not_servable="it is a complete model, not an addition to a shared base",
    not_low_rank="it changes embeddings and norms too, to which no matrices can be added",
)

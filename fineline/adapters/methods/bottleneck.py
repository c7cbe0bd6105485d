"""Bottleneck adapters: small trained layers with a nonlinearity between those of the base.

Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247. The layers are in `fineline.adapters.native`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fineline.adapters.methods.method import Batches, Method, SavedBytes, adaptable_layers

if TYPE_CHECKING:
    from fineline.models.shape import Shape
    from fineline.project.params.training import Train


class Bottleneck(BaseModel):
    """Size and placement of bottleneck adapters: the block `train.bottleneck`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Annotated[int, Field(ge=1)] = 64
    """Number of channels between the two linear layers."""
    placement: Literal["houlsby", "pfeiffer"] = "pfeiffer"
    """`houlsby`: after attention and after the MLP. `pfeiffer`: after the MLP only, with half the parameters."""


@dataclass(frozen=True)
class BottleneckAdapters(Method):
    """Bottleneck adapters in every block."""

    peft_types = ("BOTTLENECK",)
    saved_bytes = SavedBytes(bf16=(15, 6, 4), fp32=(21.9, 12, 8))

    def attach(self, model: Any, train: "Train", base: Path, batches: Batches | None) -> Any:
        """Return a `WithBottlenecks`."""
        from fineline.adapters.native import WithBottlenecks

        return WithBottlenecks(model, train.bottleneck)

    def load(self, model: Any, directory: Path, config: dict[str, Any]) -> Any:
        """Return a `WithBottlenecks`."""
        from fineline.adapters.adapted import tensors_of
        from fineline.adapters.native import WithBottlenecks

        return WithBottlenecks.restored(model, config, tensors_of(directory))

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """Down and up projections with biases, once or twice per block."""
        adaptable_layers(shape)
        places = shape.layers * (2 if train.bottleneck.placement == "houlsby" else 1)
        size = train.bottleneck.size
        return places * (2 * size * shape.hidden + size + shape.hidden)

    def added_flops(self, shape: "Shape", train: "Train", tokens: int) -> float:
        """Six per trained weight and token."""
        return 6 * self.trained_parameters(shape, train) * tokens


BOTTLENECK = BottleneckAdapters(
    "bottleneck",
    "Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247",
    frozenset({"bottleneck"}),
    "its layers have a nonlinearity, so no weight of the base can replace them",
    "only fineline applies it",
)

"""VeRA: trained vectors between random matrices that all layers share (Kopiczko et al. 2023, arXiv 2310.11454)."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods.lora import stored_transposed
from fineline.adapters.methods.method import ONLY_LORA, Merge, PeftMethod, SavedBytes, layers_of, selected_layers
from fineline.errors import ParameterError

if TYPE_CHECKING:
    import torch

    from fineline.adapters.factors import Factors
    from fineline.models.shape import Shape
    from fineline.project.params.training import Train


@dataclass(frozen=True)
class Vera(PeftMethod):
    """VeRA. Merged: W + diag(b) B diag(d) A (equation 2), with A and B cut to the size of the weight."""

    peft_types = ("VERA",)
    saved_bytes = SavedBytes(bf16=(14.7, 10.2, 8.2), fp32=(28.2, 20, 16))

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return a `VeraConfig`."""
        from peft import VeraConfig

        from fineline.adapters.targets import resolve, resolve_parameters

        if resolve_parameters(model, train.targets):
            raise ParameterError("train.targets", "vera cannot be applied to the weights of experts; use lora, or all-linear")
        # The projections are saved with the vectors: what a seed produces depends on PyTorch's version.
        return VeraConfig(
            r=train.rank,
            target_modules=resolve(model, train.targets),
            vera_dropout=train.dropout,
            projection_prng_key=train.seed,
            save_projection=True,
            **self.task,
        )

    def merges(self, model: Any) -> dict[str, Merge]:
        """Return the merge of every adapted weight."""
        from peft.tuners.vera import VeraLayer

        return {f"{name}.weight": partial(_merge, layer) for name, layer in layers_of(model, VeraLayer).items()}

    def factors(self, model: Any) -> "dict[str, Factors]":
        """Return diag(d) A and diag(b) B, cut to the sizes of each layer."""
        from peft.tuners.vera import VeraLayer

        return {name: _factors(layer) for name, layer in layers_of(model, VeraLayer).items()}

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """d: (rank), b: (out), for each layer."""
        return sum(train.rank + layer.rows for layer in selected_layers(shape, train))

    def added_parameters(self, shape: "Shape", train: "Train") -> int:
        """The trained vectors and the shared projections, as large as the largest layer needs."""
        layers = selected_layers(shape, train)
        projections = train.rank * (max(layer.rows for layer in layers) + max(layer.columns for layer in layers))
        return self.trained_parameters(shape, train) + projections

    def added_flops(self, shape: "Shape", train: "Train", tokens: int) -> float:
        """Four per weight of the projections and token: they are frozen, so their own gradients are not computed."""
        return 4 * train.rank * sum(layer.rows + layer.columns for layer in selected_layers(shape, train)) * tokens


def _merge(layer: Any, weight: "torch.Tensor") -> "torch.Tensor":
    if stored_transposed(layer):
        return _merged(layer, weight.T).T
    return _merged(layer, weight)


def _merged(layer: Any, weight: "torch.Tensor") -> "torch.Tensor":
    factors = _factors(layer)
    return weight + factors.b @ factors.a


def _factors(layer: Any) -> "Factors":
    from fineline.adapters.factors import Factors

    (name,) = layer.active_adapters
    a, b = layer.vera_A[name][:, : layer.in_features].float().cpu(), layer.vera_B[name][: layer.out_features].float().cpu()
    scale_a, scale_b = layer.vera_lambda_d[name].float().cpu(), layer.vera_lambda_b[name].float().cpu()
    return Factors(scale_a[:, None] * a, scale_b[:, None] * b)


VERA = Vera("vera", "Kopiczko et al. 2023, arXiv 2310.11454", frozenset({"rank", "dropout", "targets"}), not_servable=ONLY_LORA)

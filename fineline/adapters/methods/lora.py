"""LoRA: a trained low-rank matrix B A is added to each weight (Hu et al. 2021, arXiv 2106.09685).

QLoRA trains the same matrices on a base in four bits. rsLoRA scales them by alpha / sqrt(rank) instead of alpha / rank.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fineline.adapters.methods.method import (
    Batches,
    Merge,
    PeftMethod,
    SavedBytes,
    layers_of,
    selected_experts,
    selected_layers,
)
from fineline.errors import ParameterError

if TYPE_CHECKING:
    import torch

    from fineline.adapters.factors import Factors
    from fineline.models.config import Precision
    from fineline.models.shape import Shape
    from fineline.project.params.training import Train

KEYS = frozenset({"rank", "alpha", "dropout", "targets"})
QUANTIZED_KEYS = frozenset({"quantization", "dequantize"})
_NUMBER_BYTES = {"bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class LowRank(PeftMethod):
    """LoRA matrices on linear layers, in any variant.

    Merged: W + scaling * B A (arXiv 2106.09685, section 4.1).
    """

    peft_types = ("LORA",)

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return a `LoraConfig`."""
        return self.lora_configuration(model, train, train.rank, float(train.alpha))

    def lora_configuration(self, model: Any, train: "Train", rank: int, alpha: float, **variant: Any) -> Any:
        """Return a `LoraConfig` with this rank and alpha.

        Args:
            variant: Further arguments of `LoraConfig`, such as `use_dora=True`.
        """
        from peft import LoraConfig

        from fineline.adapters.targets import resolve, resolve_parameters

        parameters = resolve_parameters(model, train.targets)
        if parameters and (train.dropout or variant.get("use_dora")):
            raise ParameterError(
                "train.targets",
                f"{self.name} cannot be applied to the weights of experts with dropout or magnitudes; set `train.dropout: 0`"
                " and use lora, or use `targets: all-linear`",
            )

        return LoraConfig(
            r=rank,
            lora_alpha=int(alpha) if alpha.is_integer() else alpha,  # type: ignore[arg-type]
            lora_dropout=train.dropout,
            target_modules=resolve(model, train.targets) or None,
            target_parameters=parameters or None,
            **variant,
            **self.task,
        )

    def merges(self, model: Any) -> dict[str, Merge]:
        """Return the merge of every adapted weight."""
        from peft.tuners.lora import LoraLayer, ParamWrapper

        found: dict[str, Merge] = {}
        for name, layer in layers_of(model, LoraLayer).items():
            if isinstance(layer, ParamWrapper):
                found[f"{name.replace('.base_layer', '')}.{layer.parameter_name}"] = partial(_merge_parameter, layer)
            else:
                found[f"{name}.weight"] = partial(self._merge_stored, layer)
        return found

    def factors(self, model: Any) -> "dict[str, Factors] | None":
        """Return A, and B with the scaling. Matrices on the weights of experts are not among them."""
        from peft.tuners.lora import LoraLayer, ParamWrapper

        from fineline.adapters.factors import scaled

        found = {}
        for name, layer in layers_of(model, LoraLayer).items():
            if not isinstance(layer, ParamWrapper):
                (adapter,) = layer.active_adapters
                a, b = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
                found[name] = scaled(a, b, layer.scaling[adapter])
        return found

    def _merge_stored(self, layer: Any, weight: "torch.Tensor") -> "torch.Tensor":
        """Return the merged weight of a layer in the orientation of the given one: Conv1D has (in, out)."""
        transposed = stored_transposed(layer)
        merged = self.merge(layer, weight.T if transposed else weight)
        return merged.T if transposed else merged

    def merge(self, layer: Any, weight: "torch.Tensor") -> "torch.Tensor":
        """Return the merged weight (out, in) of a layer."""
        (name,) = layer.active_adapters
        a, b = (matrices[name].weight.float().cpu() for matrices in (layer.lora_A, layer.lora_B))
        return weight + layer.scaling[name] * (b @ a)

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """A: (rank, in), B: (out, rank), of each layer and of each expert."""
        layers = sum(train.rank * (layer.rows + layer.columns) for layer in selected_layers(shape, train))
        return layers + sum(train.rank * part.count * (part.rows + part.columns) for part in selected_experts(shape, train))

    def added_flops(self, shape: "Shape", train: "Train", tokens: int) -> float:
        """Six per trained weight and token."""
        return 6 * self.trained_parameters(shape, train) * tokens


def stored_transposed(layer: Any) -> bool:
    """True if the checkpoint has the weight of an adapted layer as (in, out)."""
    from fineline.models.loading import is_transposed

    return bool(getattr(layer, "fan_in_fan_out", False)) or is_transposed(layer.get_base_layer())


def _merge_parameter(layer: Any, weight: "torch.Tensor") -> "torch.Tensor":
    """Return the merged weights of experts: each one plus scaling * B A of the rows of A and columns of B that belong to it."""
    import torch

    (name,) = layer.active_adapters
    a, b = (matrices[name].weight.float().cpu() for matrices in (layer.lora_A, layer.lora_B))
    a = a.reshape(layer.num_experts, -1, a.shape[1])
    b = b.reshape(len(b), -1, layer.num_experts)
    order = "oqe,eqi->eoi" if layer._did_swap_in_out_features else "oqe,eqi->eio"
    return weight + (layer.scaling[name] * torch.einsum(order, b, a)).reshape(weight.shape)


@dataclass(frozen=True)
class Lora(LowRank):
    """LoRA, QLoRA and rsLoRA, which have a fused training step (`fineline.train.fused`) and a choice of initializations."""

    root: bool = False
    """True if the scaling is alpha / sqrt(rank) instead of alpha / rank (rsLoRA)."""

    saved_bytes = SavedBytes(bf16=(24.7, 8.2, 4.2), fp32=(24.2, 16, 8))

    def configuration(self, model: Any, train: "Train") -> Any:
        """Return a `LoraConfig`, with twice the rank for PiSSA."""
        rank, alpha = train.rank, float(train.alpha)
        if train.initialization == "pissa":
            from fineline.adapters.initialization import doubled

            rank, alpha = doubled(rank, alpha, root=self.root)
        return self.lora_configuration(model, train, rank, alpha, use_rslora=self.root)

    def initialize(self, adapted: Any, train: "Train", base: Path, batches: Batches | None) -> None:
        """Set A and B as `train.initialization` says."""
        from fineline.adapters import initialization

        if train.initialization == "pissa":
            initialization.pissa(adapted)
        elif train.initialization == "loftq":
            initialization.loftq(adapted, base)
        elif train.initialization == "eva":
            if batches is None:
                raise ParameterError("train.initialization", "eva needs training rows: it reads the inputs of the layers")
            from fineline.adapters.initialization import eva

            eva(adapted, batches)

    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """A: (rank, in), B: (out, rank); PiSSA's frozen half has gradients too."""
        return super().trained_parameters(shape, train) * (2 if train.initialization == "pissa" else 1)

    def saved(self, shape: "Shape", precision: "Precision") -> int:
        """Return the bytes that the fused step saves on a Llama-like model, and those of PEFT's layers on others."""
        if not shape.gated:
            return super().saved(shape, precision)
        norm_inputs = 2 * shape.hidden
        layer_inputs = 2 * shape.hidden  # q, k and v share one, gate and up another; that of down is recomputed
        attention = (3 * shape.heads + 3 * shape.kv_heads) * shape.head_dim  # q, k, v, by rows, and the output
        mlp = 2 * shape.intermediate  # gate and up
        return _NUMBER_BYTES[precision] * (norm_inputs + layer_inputs + attention + mlp)


LORA = Lora("lora", "Hu et al. 2021, arXiv 2106.09685", KEYS | {"initialization"})
QLORA = Lora("qlora", "Dettmers et al. 2023, arXiv 2305.14314", KEYS | QUANTIZED_KEYS | {"initialization"})
RSLORA = Lora("rslora", "Kalajdzievski 2023, arXiv 2312.03732", KEYS | {"initialization"}, root=True)

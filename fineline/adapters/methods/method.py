"""The interface of a fine-tuning method: what attaching, planning, loading and merging its adapters need to know."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from fineline.errors import InputError, ParameterError

if TYPE_CHECKING:
    import torch

    from fineline.adapters.factors import Factors
    from fineline.models.config import Precision
    from fineline.models.shape import Experts, Linear, Shape
    from fineline.project.params.training import Train

Batches = Iterable[dict[str, Any]]
"""First micro-steps: `input_ids` (rows, tokens), and `attention_mask` of that shape where rows are padded."""
Merge = Callable[["torch.Tensor"], "torch.Tensor"]
"""A weight or bias of the base, in fp32 on the CPU -> the merged one, in fp32."""
ATTENTION = ("attn", "attention")
"""How names of attention modules end."""
ONLY_LORA = "vLLM and llama.cpp apply LoRA matrices only; merge it"


class SavedBytes(NamedTuple):
    """Bytes saved for the backward pass per token and block, for each hidden feature, MLP feature and key feature.

    Counted in the training step of Llamas of three shapes with torch.autograd.graph.saved_tensors_hooks; a test counts them
    again. In fp32, autocast makes no copies.
    """

    bf16: tuple[float, float, float]
    fp32: tuple[float, float, float]


@dataclass(frozen=True)
class Method(ABC):
    """One value of `train.method`."""

    name: str
    source: str
    """Paper that the method comes from."""
    uses: frozenset[str] = frozenset()
    """Keys of the `train:` block that this method reads, in addition to those that all methods read."""
    not_mergeable: str = ""
    """Why the adapter cannot be merged into the base, and so cannot be exported; empty if it can."""
    not_servable: str = ""
    """Why no serving stack applies the adapter next to a shared base; empty if the usual ones do."""
    not_low_rank: str = ""
    """Why no LoRA adapter computes what this adapter computes; empty if one does, exactly or nearly."""

    peft_types: ClassVar[tuple[str, ...]]
    """Values of `peft_type` in adapter_config.json."""
    saved_bytes: ClassVar[SavedBytes]
    trains_base: ClassVar[bool] = False
    """True if all weights of the base are trained, and so are kept in fp32."""
    adds_embeddings: ClassVar[bool] = False
    """True if virtual tokens pass through all layers, as the tokens of a row do."""

    @property
    def quantized(self) -> bool:
        """True if the base is kept in four bits during training."""
        return "quantization" in self.uses

    @property
    def mergeable(self) -> bool:
        """True if the adapter can be merged into the weights of its base."""
        return not self.not_mergeable

    @property
    def prompt_learning(self) -> bool:
        """True if only virtual tokens before the prompt are trained."""
        return "virtual_tokens" in self.uses

    @abstractmethod
    def attach(self, model: Any, train: "Train", base: Path, batches: Batches | None) -> Any:
        """Return a frozen model with the trainable part of this method; see `fineline.adapters.attach`."""

    @abstractmethod
    def load(self, model: Any, directory: Path, config: dict[str, Any]) -> Any:
        """Return a model with the adapter from a directory.

        Args:
            config: Content of adapter_config.json.

        Raises:
            InputError: The adapter does not fit the model.
        """

    def merges(self, model: Any) -> dict[str, Merge]:
        """Return, by tensor name in the checkpoint of the base, the function that merges the adapter into that tensor.

        Args:
            model: Model with a loaded adapter of this method.

        Raises:
            InputError: Adapters of this method cannot be merged.
        """
        raise InputError(f"a {self.name} adapter cannot be merged: {self.not_mergeable}")

    def factors(self, model: Any) -> "dict[str, Factors] | None":
        """Return, by layer, the low-rank matrices that the adapter adds to weights (out, in); None if it adds others.

        Args:
            model: Model with a loaded adapter of this method.
        """
        return None

    @abstractmethod
    def trained_parameters(self, shape: "Shape", train: "Train") -> int:
        """Return how many numbers are trained on a model of this shape.

        Raises:
            InputError: The model has nothing that the method trains.
        """

    def added_parameters(self, shape: "Shape", train: "Train") -> int:
        """Return how many fp32 numbers the method keeps in addition to the base."""
        return self.trained_parameters(shape, train)

    def saved(self, shape: "Shape", precision: "Precision") -> int:
        """Return the bytes saved for the backward pass per token and block, without attention weights."""
        hidden, intermediate, key = getattr(self.saved_bytes, precision)
        return round(hidden * shape.hidden + intermediate * shape.intermediate + key * shape.kv_heads * shape.head_dim)

    def working_bytes(self, shape: "Shape", precision: "Precision") -> int:
        """Return the bytes of temporary copies of weights that the method makes in a training step."""
        return 0

    def added_flops(self, shape: "Shape", train: "Train", tokens: int) -> float:
        """Return the floating-point operations of the added part in a training step, forward and backward.

        A trained weight takes two per token forward and four backward. Parts whose work is negligible count as 0.
        """
        return 0


def needed(count: int, method: str, parts: str) -> int:
    """Return `count`.

    Raises:
        InputError: It is 0: the base has none of the parts that the method trains.
    """
    if count == 0:
        raise ParameterError("train.method", f"{method} trains {parts}, and this base has none; use lora")
    return count


@dataclass(frozen=True)
class PeftMethod(Method):
    """A method that is attached by a configuration of PEFT."""

    task: ClassVar[dict[str, Any]] = {"task_type": "CAUSAL_LM"}

    @abstractmethod
    def configuration(self, model: Any, train: "Train") -> Any:
        """Return PEFT's configuration of this method for a model.

        Raises:
            InputError: The model has no layers that the method can be attached to.
        """

    def initialize(self, adapted: Any, train: "Train", base: Path, batches: Batches | None) -> None:
        """Set the initial values of the trainable part where PEFT's own are not used."""

    def attach(self, model: Any, train: "Train", base: Path, batches: Batches | None) -> Any:
        """Return a `PeftModel`."""
        from peft import get_peft_model

        from fineline.models.loading import without_recomputing

        kind = model.config.model_type
        try:
            with without_recomputing(model):  # PEFT's prefix tuning does not allow recomputation; the training loop does
                adapted = get_peft_model(model, self.configuration(model, train))
            self.initialize(adapted, train, base, batches)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "memory" in str(error):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ParameterError("train.method", f"{self.name} cannot be used with a {kind} model: {reason}") from error
        return adapted

    def load(self, model: Any, directory: Path, config: dict[str, Any]) -> Any:
        """Return a `PeftModel` with every tensor of the adapter.

        PEFT renames tensors by the conversions that transformers applies to checkpoints, and drops those that then have no
        place: of some families a part of the adapter, of others all of it. So tensors are set here by the names that they were
        saved with.
        """
        from peft import PeftModel
        from peft.utils.save_and_load import get_peft_model_state_dict

        from fineline.adapters.adapted import check_names, tensors_of

        if saved := config.get("modules_to_save"):
            raise InputError(
                f"{directory}: the adapter has whole copies of {', '.join(saved)} (`modules_to_save`), which fineline does not"
                " train; merge it once, when its base is fetched: name the base in `onto`, and the adapter in `hub` or `path`"
            )
        adapted = PeftModel.from_pretrained(model, directory, is_trainable=False, local_files_only=True)
        own, tensors = get_peft_model_state_dict(adapted, save_embedding_layers=False), tensors_of(directory)
        check_names(set(tensors), set(own))
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        return adapted


def layers_of(model: Any, kind: type) -> dict[str, Any]:
    """Return the layers of a PEFT class in the base of an adapted model, by name and in order."""
    return {name: layer for name, layer in model.get_base_model().named_modules() if isinstance(layer, kind)}


def adaptable_layers(shape: "Shape") -> "tuple[Linear, ...]":
    """Return the linear layers that an adapter can be attached to.

    Raises:
        InputError: There are none.
    """
    found = tuple(layer for layer in shape.linear if layer.adaptable)
    if not found:
        raise InputError(
            f"train.method: the layers of a {shape.model_type} model cannot be adapted (they are not torch.nn.Linear); use"
            " prompt, prefix, p-tuning or full, or another base"
        )
    return found


def selected_layers(shape: "Shape", train: "Train") -> "tuple[Linear, ...]":
    """Return the linear layers that `train.targets` selects.

    Raises:
        InputError: It selects none.
    """
    experts = selected_experts(shape, train)
    layers = tuple(layer for layer in shape.linear if layer.adaptable) if experts else adaptable_layers(shape)
    plain = tuple(layer for layer in layers if not layer.router)
    if isinstance(train.targets, list):
        found = tuple(layer for layer in layers if f".{layer.name}".endswith(tuple(f".{end}" for end in train.targets)))
    elif train.targets == "attention":
        found = tuple(layer for layer in plain if in_attention(layer))
    elif train.targets == "experts":
        found = tuple(layer for layer in plain if "experts" in layer.name.split("."))
    else:
        found = plain
    if not found and not experts:
        kinds = sorted({layer.kind for layer in layers})
        raise InputError(
            f"train.targets: no linear layer of the base matches {train.targets}; its layers are {', '.join(kinds)}"
        )
    return found


def selected_experts(shape: "Shape", train: "Train") -> "tuple[Experts, ...]":
    """Return the parameters with weights of experts that `train.targets` selects."""
    if isinstance(train.targets, list):
        return tuple(part for part in shape.experts if f".{part.name}".endswith(tuple(f".{end}" for end in train.targets)))
    return shape.experts if train.targets in ("experts", "all") else ()


def in_attention(layer: "Linear") -> bool:
    """True if a layer is directly in an attention module."""
    return layer.name.rpartition(".")[0].rpartition(".")[2].lower().endswith(ATTENTION)

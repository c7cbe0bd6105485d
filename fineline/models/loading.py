"""Load models for training, merging and evaluation, and read their weights: all of them use the same numbers."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from fineline.errors import InputError
from fineline.models.config import Precision, Quantization, dtype

# Nothing is downloaded here: stages read directories that `base@B` created.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# On a CPU, oneDNN caches a compiled kernel of 1.4 MB for every shape of a product, 1024 of them by default: rows of varying
# length would fill gigabytes. It reads this variable at the first product.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)

_STORED_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def device() -> torch.device:
    """Return the accelerator if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def base_model(
    directory: Path,
    *,
    quantization: Quantization | None = None,
    attention: str = "sdpa",
    precision: Precision | None = "bf16",
    place: torch.device | None = None,
) -> Any:
    """Return a base model, in full precision or in four bits (QLoRA, arXiv 2305.14314).

    Args:
        attention: Name of the attention implementation in transformers.
        precision: Type of weights that are not in four bits, and of computation with those that are. None keeps the type of the
            files (fp32 if there are several): on a CPU, weights are then read when they are used, and take no memory before.
        place: By default the accelerator, if there is one.

    Raises:
        InputError: transformers cannot load it.
    """
    from transformers import AutoConfig
    from transformers.utils import logging as transformers_logging

    from fineline.models import classes

    transformers_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        kind = classes.model_class(config)
        model = kind.from_pretrained(
            directory,
            dtype=_exact_type(directory) if precision is None else dtype(precision),
            quantization_config=packing(config, quantization, precision or "bf16") if quantization is not None else None,
            attn_implementation=attention,
            device_map={"": place or device()},
            local_files_only=True,
            trust_remote_code=False,
        )
    except ValueError as error:
        if attention != "eager" and "attn_implementation" in str(error):  # the class has one implementation only
            return base_model(directory, quantization=quantization, attention="eager", precision=precision, place=place)
        raise InputError(f"{directory}: transformers cannot load this model: {error}") from error
    except KeyError as error:
        raise InputError(f"{directory}: transformers cannot load this model: {error} is missing") from error
    keep_gradients_flowing(model)
    if quantization is not None:
        _release_file(model)
    return model


def _exact_type(directory: Path) -> torch.dtype:
    """Return a type in which every weight of a model directory is exact: that of its files if they have one."""
    found = set()
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            found |= {stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118 (not a mapping)
    (kind, *others) = sorted(found & _STORED_TYPES.keys()) or ["F32"]
    return torch.float32 if others else _STORED_TYPES[kind]


def packing(config: Any, quantization: Quantization, precision: Precision) -> Any:
    """Return how transformers quantizes the base of this configuration: a `BitsAndBytesConfig`."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.type,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=dtype(precision),
        llm_int8_skip_modules=_in_full(config) or None,
    )


def _in_full(config: Any) -> list[str]:
    """Return the modules of a model that stay in full precision next to a language model in four bits: towers and head."""
    from fineline.models import classes

    model = classes.skeleton(config)
    found = classes.towers(model)
    head = model.get_output_embeddings()
    return found + [name for name, module in model.named_modules() if found and module is head]


def _release_file(model: torch.nn.Module) -> None:
    """Copy the weights that are not quantized: on a CPU they are views of the mapped file, and keep it in memory."""
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and parameter.dtype.is_floating_point:
            parameter.data = parameter.data.clone()


def keep_gradients_flowing(model: torch.nn.Module) -> None:
    """Switch off bitsandbytes' weight repacking on AVX512-BF16 CPUs.

    In evaluation mode, its 4-bit layers repack their weight in place, and the kernel for the packed form has no gradient: after
    the first validation pass, nothing below such a layer would be trained, without any error (bitsandbytes 0.50.2).
    """
    for module in quantized_layers(model).values():
        module.support_avx512bf16_for_cpu = False


def quantized_layers(model: torch.nn.Module) -> dict[str, Any]:
    """Return the 4-bit linear layers of a model by name."""
    import bitsandbytes

    return {name: module for name, module in model.named_modules() if isinstance(module, bitsandbytes.nn.Linear4bit)}


def is_transposed(layer: Any) -> bool:
    """True if the checkpoint has the weight of a layer as (in, out): transformers' Conv1D, of which a 4-bit layer was made."""
    from transformers.pytorch_utils import Conv1D

    return issubclass(getattr(layer, "source_cls", torch.nn.Linear), Conv1D)


def weight_of(layer: Any) -> torch.Tensor:
    """Return a copy of the weight (out, in) of a linear layer in fp32, dequantized if it is in four bits."""
    weight: torch.Tensor = layer.weight.data
    state = getattr(layer.weight, "quant_state", None)
    if state is not None:
        from bitsandbytes.functional import dequantize_4bit

        weight = dequantize_4bit(weight, state)
    return weight.to(torch.float32, copy=True)


class Dequantized(torch.nn.Module):
    """A linear layer with the weights of a 4-bit layer, which are dequantized whenever they are used.

    Args:
        packed: The 4-bit layer.
        kind: Type of the weights.
    """

    def __init__(self, packed: Any, kind: torch.dtype) -> None:
        super().__init__()
        self.packed, self.kind = [packed], kind  # in a list: its parameters are not weights of this layer
        self.in_features, self.out_features = packed.in_features, packed.out_features
        self.bias = None if packed.bias is None else torch.nn.Parameter(packed.bias.to(kind), requires_grad=False)

    @property
    def weight(self) -> torch.Tensor:
        """The weight (out, in)."""
        return weight_of(self.packed[0]).to(self.kind)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        return torch.nn.functional.linear(x, self.weight, self.bias)


def dequantize(model: torch.nn.Module, kind: torch.dtype, *, lazily: bool = False) -> None:
    """Replace every 4-bit layer of a model with a linear layer that has the same weights in type `kind`, in place.

    Args:
        lazily: Keep the weights in four bits, and dequantize them whenever a layer is used.
    """
    for name, packed in quantized_layers(model).items():
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, Dequantized(packed, kind) if lazily else _linear(packed, kind))


def _linear(packed: Any, kind: torch.dtype) -> torch.nn.Linear:
    layer = torch.nn.Linear(1, 1, bias=packed.bias is not None, device="meta")
    layer.in_features, layer.out_features = packed.in_features, packed.out_features
    layer.weight = torch.nn.Parameter(weight_of(packed).to(kind), requires_grad=False)
    if packed.bias is not None:
        layer.bias = torch.nn.Parameter(packed.bias.to(kind), requires_grad=False)
    return layer


def stored_tensors(directory: Path, wanted: set[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield name and tensor of the wanted tensors in a model directory, one in memory at a time, by file and name."""
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in sorted(wanted.intersection(stored.keys())):
                yield name, stored.get_tensor(name)


def stored_types(directory: Path, wanted: set[str]) -> dict[str, torch.dtype]:
    """Return the floating-point types of the wanted tensors in a model directory. Only the headers of the files are read."""
    found = {}
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in sorted(wanted.intersection(stored.keys())):
                if (kind := stored.get_slice(name).get_dtype()) in _STORED_TYPES:
                    found[name] = _STORED_TYPES[kind]
    return found


@contextmanager
def plain(model: Any) -> Iterator[None]:
    """Within the context, a causal language model takes padded rows, applies no dropout, and computes no gradient."""
    kernel, training = model.config._attn_implementation, model.training
    if kernel not in ("sdpa", "eager"):  # one that takes rows in another form
        model.config._attn_implementation = "sdpa"
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.config._attn_implementation = kernel
        model.train(training)


@contextmanager
def without_recomputing(model: torch.nn.Module) -> Iterator[None]:
    """Within the context, no block of a model is marked for recomputation in the backward pass."""
    marked = [module for module in model.modules() if getattr(module, "gradient_checkpointing", False)]
    for module in marked:
        module.gradient_checkpointing = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in marked:
            module.gradient_checkpointing = True  # type: ignore[assignment]

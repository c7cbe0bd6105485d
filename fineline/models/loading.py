"""Loading models for training, merging and judging: one place, so that all of them see the same numbers."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.models.precision import Precision, dtype
from fineline.project.params.training import Quantization

# Nothing here is ever fetched: stages read directories that `base@B` has made.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# On a CPU, oneDNN keeps a compiled kernel of 1.4 MB for every new shape of a product, 1024 of them unless told otherwise:
# rows of varying length would fill gigabytes. It reads this at the first product.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def quantization_of(parameters: Mapping[str, Any]) -> Quantization | None:
    """How the base of an adapter was held while it was trained.

    Args:
        parameters: What the adapter's artifact records: its `train:` block, with the method that was taken.
    """
    if not METHODS[parameters["method"]].quantized:
        return None
    return Quantization.model_validate(parameters.get("quantization", {}))


def precision_of(parameters: Mapping[str, Any]) -> Precision:
    """The precision that an adapter was trained in: what its base is kept and judged in.

    Args:
        parameters: What the adapter's artifact records; those that say nothing are older than the choice, and in bf16.
    """
    found: Precision = parameters.get("precision", "bf16")
    return found


def base_model(
    directory: Path, *, quantization: Quantization | None = None, attention: str = "sdpa", precision: Precision = "bf16"
) -> Any:
    """A base model, whole or in four bits (QLoRA, arXiv 2305.14314).

    Args:
        attention: The attention implementation, by its name in transformers.
        precision: What weights that are not in four bits are kept in, and four-bit ones are unpacked to.

    Raises:
        InputError: transformers cannot load it.
    """
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    packing = None
    if quantization is not None:
        packing = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization.type,
            bnb_4bit_use_double_quant=quantization.double,
            bnb_4bit_compute_dtype=dtype(precision),
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype(precision),
            quantization_config=packing,
            attn_implementation=attention,
            device_map={"": device()},
            local_files_only=True,
            trust_remote_code=False,
        )
    except ValueError as error:
        raise InputError(f"{directory}: transformers cannot load this model as it is needed here: {error}") from error
    keep_gradients_flowing(model)
    if quantization is not None:
        _let_go_of_file(model)
    return model


def _let_go_of_file(model: torch.nn.Module) -> None:
    """Copy what was not quantised: on a CPU it is a view of the mapped file, and would keep all of that in memory."""
    for parameter in model.parameters():
        if parameter.device.type == "cpu" and parameter.dtype.is_floating_point:
            parameter.data = parameter.data.clone()


def keep_gradients_flowing(model: torch.nn.Module) -> None:
    """Switch off bitsandbytes' weight repacking on AVX512-BF16 CPUs.

    In evaluation mode its 4-bit layers repack their weight in place, and the kernel for the packed form has no gradient:
    after the first validation pass nothing below such a layer would be trained, with no error (bitsandbytes 0.50.2).
    """
    for module in quantized_layers(model).values():
        module.support_avx512bf16_for_cpu = False


def quantized_layers(model: torch.nn.Module) -> dict[str, Any]:
    """The 4-bit linear layers of a model by name."""
    import bitsandbytes

    return {name: module for name, module in model.named_modules() if isinstance(module, bitsandbytes.nn.Linear4bit)}


def weight_of(layer: Any) -> torch.Tensor:
    """(out, in): a copy of the weight of a linear layer in fp32, unpacked if it is held in four bits."""
    weight: torch.Tensor = layer.weight.data
    state = getattr(layer.weight, "quant_state", None)
    if state is not None:
        from bitsandbytes.functional import dequantize_4bit

        weight = dequantize_4bit(weight, state)
    return weight.to(torch.float32, copy=True)


def unpack(model: torch.nn.Module, kind: torch.dtype) -> None:
    """Replace every 4-bit layer of a model by a linear layer with the same weights in type `kind`, in place."""
    for name, packed in quantized_layers(model).items():
        weight = weight_of(packed).to(kind)
        layer = torch.nn.Linear(1, 1, bias=packed.bias is not None, device="meta")
        layer.in_features, layer.out_features = packed.in_features, packed.out_features
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
        if packed.bias is not None:
            layer.bias = torch.nn.Parameter(packed.bias.to(kind), requires_grad=False)
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, layer)


def with_adapter(model: Any, adapter: Path) -> Any:
    """A base model with a trained adapter on it, for judging: nothing is trainable (see `adapters.load`)."""
    from fineline import adapters

    return adapters.load(model, adapter)

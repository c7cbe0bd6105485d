"""The weights of a base as they are in four bits, computed one at a time: the quantized model is not loaded as a whole."""

from pathlib import Path
from typing import Any

import torch

from fineline.models import classes, loading
from fineline.models.config import Precision, Quantization, dtype
from fineline.models.quiet import quiet


def layers(directory: Path, quantization: Quantization, precision: Precision) -> dict[str, Any]:
    """Return the layers that are in four bits when a base is loaded in that way, by name, without their weights."""
    from transformers import AutoConfig
    from transformers.quantizers import AutoHfQuantizer

    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    model = classes.skeleton(config)
    with quiet(), torch.device("meta"):
        quantizer = AutoHfQuantizer.from_config(loading.packing(config, quantization, precision), pre_quantized=False)
        quantizer.preprocess_model(model=model, dtype=dtype(precision), device_map={"": "cpu"})
    return loading.quantized_layers(model)


def dequantized(weight: torch.Tensor, layer: Any, quantization: Quantization, precision: Precision) -> torch.Tensor:
    """Return a weight after quantization and dequantization, in fp32 on the CPU, as `loading.weight_of` reads it from a model.

    Args:
        weight: In the orientation of the checkpoint.
        layer: Its layer, of `layers`.
        precision: The type that the weights of the model had when it was quantized.
    """
    import bitsandbytes

    transposed = loading.is_transposed(layer)
    given = weight.to(dtype(precision))
    plain: Any = bitsandbytes.nn.Params4bit(
        given.T if transposed else given,
        requires_grad=False,
        quant_type=quantization.type,
        compress_statistics=quantization.double,
    )
    packed = plain.to(loading.device())  # quantizes it
    found = bitsandbytes.functional.dequantize_4bit(packed.data, packed.quant_state).float().cpu()
    return found.T.contiguous() if transposed else found

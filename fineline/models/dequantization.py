"""Quantized checkpoints: the weights are dequantized to bf16 once, by the quantizer of transformers that wrote their format."""

from pathlib import Path
from typing import Any

from fineline.errors import InputError
from fineline.models import architecture, config, integrity, rewriting
from fineline.models.quiet import quiet


def dequantize(directory: Path, card: str = "") -> dict[str, Any] | None:
    """Replace the quantized weights of a model directory by bf16, in place; nothing happens if they are not quantized.

    The numbers are those of the quantized model: what was lost by quantization stays lost.

    Args:
        card: Name of the repository of the unquantized model, for the message, if it is known.

    Returns:
        The quantization that config.json described, for the record; None if the weights are not quantized.

    Raises:
        InputError: transformers cannot dequantize this format here.
    """
    described = _described(directory)
    if described is None:
        return None
    method = _method(described)
    instead = f"the unquantized model{f' ({card})' if card else ''}"
    try:
        model, info = _loaded(directory, described)
    except Exception as error:  # quantizers raise errors of their own packages
        needs = "needs a package that is not installed" if isinstance(error, ImportError) else "cannot be dequantized here"
        raise InputError(
            f"{directory / 'config.json'}: the weights are quantized ({method}), which {needs}: {_line(error)}; take {instead}"
        ) from error
    integrity.check_report(directory, info)
    rewriting.write(_plain(model, directory), directory)
    return {"dequantized": described}


def _described(directory: Path) -> dict[str, Any] | None:
    content = config.read(directory)
    parts = [content, *(part for part in content.values() if isinstance(part, dict))]
    for part in parts:
        if part.get("quantization_config"):
            return dict(part["quantization_config"])
    return None


def _method(described: dict[str, Any]) -> str:
    if described.get("quant_method"):
        return str(described["quant_method"])
    return "bitsandbytes" if described.get("load_in_4bit") or described.get("load_in_8bit") else "an unnamed method"


def _loaded(directory: Path, described: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the model with plain bf16 weights, and the loader's report."""
    import torch
    from transformers.quantizers.auto import AutoQuantizationConfig

    with quiet():
        how = AutoQuantizationConfig.from_dict(dict(described))
        while_loading = hasattr(how, "dequantize")
        if while_loading:
            how.dequantize = True
        elif "_dequantize" not in vars(_quantizer(how)):
            raise ValueError("transformers has no code that does it")
        settings = architecture.configuration(directory)
        settings.quantization_config = how.to_dict() | ({"dequantize": True} if while_loading else {})
        model, info = architecture.model_class(directory).from_pretrained(
            directory,
            config=settings,
            dtype=torch.bfloat16,
            device_map={"": "cpu"},
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        if not while_loading:
            model.dequantize(dtype=torch.bfloat16)
    return model, info


def _quantizer(how: Any) -> type:
    """Return the quantizer of transformers for a format, without the packages that it needs."""
    from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING

    key = getattr(how.quant_method, "value", how.quant_method)
    if key not in AUTO_QUANTIZER_MAPPING:
        key += "_8bit" if how.load_in_8bit else "_4bit"
    return AUTO_QUANTIZER_MAPPING[key]


def _plain(model: Any, directory: Path) -> Any:
    """Return a dequantized model without the traces of its quantization."""
    import torch

    for one in (model.config, model.config.get_text_config()):
        if hasattr(one, "quantization_config"):
            del one.quantization_config
    for name, weight in model.named_parameters():
        if not weight.dtype.is_floating_point or weight.dtype.itemsize < torch.bfloat16.itemsize:
            raise InputError(
                f"{directory}: {name} is still quantized ({weight.dtype}) after dequantization; take the full model"
            )
    return model.to(torch.bfloat16)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

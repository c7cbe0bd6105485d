"""Merged weights: what the adapter was trained on, with the adapter folded in.

A QLoRA adapter was trained on NF4 weights, so it is folded into those same weights unpacked (dequantised), not to the original
ones: measured on a toy model, KL 4e-6 instead of 5e-4. The result is computed in fp32 and rounded once, to what the base was
kept in while the adapter was trained. Weights that were unpacked to fp32 are no bf16 numbers: rounded, they chose another token
at 2.5% of positions (SmolLM2-135M, mean KL 1e-4).
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fineline.artifacts import RECORD
from fineline.errors import FinelineError
from fineline.merge import folding
from fineline.models import loading
from fineline.models.precision import Precision, dtype


def trained_on(model: Any) -> dict[str, torch.Tensor]:
    """Weight name -> unpacked fp32 weight of every layer that is held in four bits."""
    return {
        f"{name.removesuffix('.base_layer')}.weight": loading.weight_of(layer).cpu()
        for name, layer in loading.quantized_layers(model.get_base_model()).items()
    }


def write(base: Path, model: Any, into: Path, precision: Precision) -> None:
    """Write the merged model beside the base's own configuration and tokenizer, tensor by tensor.

    Args:
        precision: What the model was trained in, and all weights are written in.

    Raises:
        FinelineError: The adapter changes a weight that the checkpoint does not have.
    """
    write_others(base, into, precision)
    for name, tensors in folded(base, model, precision):
        save_file(dict(tensors), into / name, metadata={"format": "pt"})


def write_others(base: Path, into: Path, precision: Precision) -> None:
    """All that stands beside the weights: the base's own files, with a configuration that fits."""
    for file in base.iterdir():
        if file.suffix != ".safetensors" and file.name != RECORD:
            shutil.copyfile(file, into / file.name)
    _mend_configuration(into, precision)


def folded(base: Path, model: Any, precision: Precision) -> Iterator[tuple[str, Iterator[tuple[str, torch.Tensor]]]]:
    """Each file of weights of the base with its tensors, the adapter folded in. One file has to be read before the next.

    Args:
        model: The base with the adapter, as it was trained.

    Raises:
        FinelineError: The adapter changes a weight that the checkpoint does not have.
    """
    folds, unpacked = folding.folds(model), trained_on(model)
    for file in sorted(base.glob("*.safetensors")):
        yield file.name, _folded(file, folds, unpacked, dtype(precision))
    if folds or unpacked:
        missing = ", ".join(sorted({*folds, *unpacked})[:3])
        raise FinelineError(f"{base}: the checkpoint has no tensor named {missing}; its layer names differ from the model's")


def _folded(
    file: Path, folds: dict[str, folding.Fold], unpacked: dict[str, torch.Tensor], kind: torch.dtype
) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of one file; what is used of the folds and the unpacked weights is taken out."""
    with safe_open(file, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118 (safe_open is no mapping)
            original = tensors.get_tensor(name)
            weight = unpacked.pop(name, None)
            fold = folds.pop(name, None)
            if weight is None and fold is None:
                yield name, original.to(kind) if original.is_floating_point() else original
                continue
            weight = original.float() if weight is None else weight
            yield name, (weight if fold is None else fold(weight)).to(kind)


def _mend_configuration(model: Path, precision: Precision) -> None:
    """The type of the weights, and what older readers look for: a top-level rope_theta, the chat template in the tokenizer."""
    file = model / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
    config.pop("torch_dtype", None)
    config["dtype"] = str(dtype(precision)).removeprefix("torch.")
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        config.setdefault("rope_theta", rope["rope_theta"])
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    template = model / "chat_template.jinja"
    if template.is_file():
        file = model / "tokenizer_config.json"
        tokenizer = json.loads(file.read_text(encoding="utf-8"))
        tokenizer["chat_template"] = template.read_text(encoding="utf-8")
        file.write_text(json.dumps(tokenizer, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

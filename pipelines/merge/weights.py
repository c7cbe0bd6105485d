"""Merged weights: what the adapter was trained on, with the adapter folded in.

A QLoRA adapter was trained on NF4 weights, so it is folded into those same weights unpacked (dequantised), not to the original
ones: measured on a toy model, KL 4e-6 instead of 5e-4. The result is computed in fp32 and rounded once, to bf16.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipelines import loading
from pipelines.artifacts import RECORD
from pipelines.errors import FinelineError
from pipelines.merge import folding


def trained_on(model: Any) -> dict[str, torch.Tensor]:
    """Weight name -> unpacked fp32 weight of every layer that is held in four bits."""
    return {
        f"{name.removesuffix('.base_layer')}.weight": loading.weight_of(layer).cpu()
        for name, layer in loading.quantized_layers(model.get_base_model()).items()
    }


def write(base: Path, model: Any, into: Path) -> None:
    """Write the merged model beside the base's own configuration and tokenizer, tensor by tensor.

    Raises:
        FinelineError: The adapter changes a weight that the checkpoint does not have.
    """
    for file in base.iterdir():
        if file.suffix != ".safetensors" and file.name != RECORD:
            shutil.copyfile(file, into / file.name)
    _mend_configuration(into)
    folds, unpacked = folding.folds(model), trained_on(model)
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            merged = {}
            for name in tensors.keys():  # noqa: SIM118 (safe_open is no mapping)
                original = tensors.get_tensor(name)
                weight = unpacked.pop(name, None)
                fold = folds.pop(name, None)
                if weight is None and fold is None:
                    merged[name] = original
                    continue
                weight = original.float() if weight is None else weight
                merged[name] = (weight if fold is None else fold(weight)).to(torch.bfloat16)
            save_file(merged, into / file.name, metadata={"format": "pt"})
    if folds or unpacked:
        missing = ", ".join(sorted({*folds, *unpacked})[:3])
        raise FinelineError(f"{base}: the checkpoint has no tensor named {missing}; its layer names differ from the model's")


def _mend_configuration(model: Path) -> None:
    """What older readers of a checkpoint look for: a top-level rope_theta, and the chat template with the tokenizer."""
    file = model / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("quantization_config", None)
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

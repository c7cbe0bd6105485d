"""An adapter as GGUF, which llama.cpp applies to its base: the matrices A and B of LoRA, with the rows of B as in the base.

llama.cpp scales each product by `adapter.lora.alpha` over its own rank. The scaling of the adapter is folded into B, so that
rank-stabilized scaling and patterns of ranks and alphas are kept.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from fineline.export.gguf import architectures, tensors
from fineline.export.gguf.tensors import Checkpoint
from fineline.export.gguf.unsupported import Unsupported, Values

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_MATRIX = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight$")
_OTHER_LORA = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "modules_to_save",
    "lora_bias",
    "fan_in_fan_out",
)
"""Settings of PEFT with which an adapter is more than A and B on linear layers."""


def refusal(adapter: Path, values: Values) -> str | None:
    """Return why an adapter cannot be a GGUF file; None if it can.

    Args:
        adapter: Directory in PEFT's layout.
        values: Configuration of the text model of its base.

    Raises:
        InputError: A file is missing or broken.
    """
    try:
        _pairs(adapter, values)
    except Unsupported as error:
        return str(error)
    return None


def write(adapter: Path, values: Values, file: Path, described: Mapping[str, str]) -> None:
    """Write an adapter.

    Raises:
        Unsupported: See `refusal`.
    """
    pairs = _pairs(adapter, values)
    settings = _settings(adapter)
    matrices = Checkpoint(adapter)
    family = architectures.family(values)
    alpha = max(matrices.shapes[first][0] for first, _ in pairs.values())
    writer = gguf.GGUFWriter(file, family.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    for key, text in described.items():
        writer.add_string(key, text)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(alpha))
    for target, (first, second) in pairs.items():
        down, up = matrices.read(first), matrices.read(second)
        rank, module = down.shape[0], _MATRIX.fullmatch(first)["module"]  # type: ignore[index]
        if turned := tensors.permutation(family, values, f"{module}.weight"):
            up = up[turned]
        writer.add_tensor(f"{target}.lora_a", np.ascontiguousarray(down))
        writer.add_tensor(f"{target}.lora_b", np.ascontiguousarray(up * np.float32(scaling(settings, module) * rank / alpha)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def scaling(settings: Mapping[str, Any], module: str) -> float:
    """Return by what PEFT multiplies the product of B and A of a module."""
    rank = _pattern(settings.get("rank_pattern"), module, settings["r"])
    alpha = _pattern(settings.get("alpha_pattern"), module, settings["lora_alpha"])
    return float(alpha / np.sqrt(rank) if settings.get("use_rslora") else alpha / rank)


def _pattern(patterns: Mapping[str, float] | None, module: str, default: float) -> float:
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _settings(adapter: Path) -> dict[str, Any]:
    from fineline.models import config

    return config.read(adapter, CONFIG)


def _pairs(adapter: Path, values: Values) -> dict[str, tuple[str, str]]:
    """Return tensor of GGUF -> names of A and B.

    Raises:
        Unsupported: The adapter has no such form.
    """
    settings = _settings(adapter)
    if settings.get("peft_type") != "LORA":
        kind = settings.get("peft_type") or "this method"
        raise Unsupported(f"an adapter of {kind} has no matrices A and B; export the merged model instead")
    others = [key for key in _OTHER_LORA if settings.get(key)]
    if settings.get("bias", "none") != "none":
        others.append("bias")
    if others:
        raise Unsupported(f"llama.cpp cannot apply {', '.join(others)} of adapter_config.json; export the merged model instead")
    names = tensors.name_map(architectures.family(values), values)
    sides: dict[str, dict[str, str]] = {}
    for name in sorted(Checkpoint(adapter).shapes):
        match = _MATRIX.fullmatch(name)
        if match is None:
            raise Unsupported(f"its tensor {name} is neither A nor B of a linear layer; export the merged model instead")
        sides.setdefault(match["module"], {})[match["side"]] = name
    found = {}
    for module, own in sides.items():
        if set(own) != {"A", "B"}:
            raise Unsupported(f"{module} lacks A or B")
        if ".experts." in module or module.endswith("embed_tokens"):
            raise Unsupported(f"llama.cpp cannot apply an adapter of {module}; export the merged model instead")
        if module.endswith("lm_head") and values.get("tie_word_embeddings"):
            raise Unsupported("the head is tied to the embedding, so an adapter of it would change both")
        found[tensors.mapped(names, f"{module}.weight")] = (own["A"], own["B"])
    return found


def described(adapter: Path) -> dict[str, str]:
    """Return what the file says about an adapter: the name of its base."""
    base = json.loads((adapter / CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    return {"general.base_model.0.name": str(base)} if base else {}

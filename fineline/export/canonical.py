"""The canonical adapter: a LoRA adapter in PEFT's layout that PEFT, vLLM, SGLang and converters to GGUF all take.

Its alpha is its rank, so that nothing is lost where a reader ignores the kind of scaling. All layers have the same rank, one of
`RANKS`, and its configuration names no other variant. Its layers are named one by one or by endings, never `all-linear`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from fineline.adapters.adapted import CONFIG, WEIGHTS
from fineline.adapters.factors import Factors, compressed, nearest
from fineline.adapters.methods import Method
from fineline.errors import InputError
from fineline.models import loading

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM 0.32 has kernels and memory slots for (`MaxLoRARanks`), without 1, which older releases lack."""
_INSTEAD = "export the merged model (safetensors)"
_LEAVES_BASE = ("gaussian", "eva", "orthogonal")
"""Values of `init_lora_weights` with which PEFT changes no weight of the base when it loads an adapter."""


def refusal(method: Method) -> tuple[str, str] | None:
    """Return why adapters of a method have no canonical form, and what is possible instead; None if they may have one."""
    reason = method.not_mergeable or method.not_low_rank
    if not reason:
        return None
    instead = "serve it with PEFT or fineline, next to its base" if method.not_mergeable else _INSTEAD
    return f"no LoRA adapter computes what a {method.name} adapter computes: {reason}", instead


def check(config: Mapping[str, Any]) -> None:
    """Check that the configuration of an adapter asks for nothing that a canonical adapter cannot express.

    Args:
        config: Content of adapter_config.json.

    Raises:
        InputError: It does.
    """
    first = config.get("init_lora_weights", True)
    reasons = {
        "modules_to_save": "it contains whole modules ({}), which servers do not load",
        "trainable_token_indices": "it contains rows of the embedding ({}), which servers do not load",
        "alora_invocation_tokens": "it is applied after some tokens only ({})",
        "layer_replication": "it repeats layers of the base ({})",
        "target_parameters": "it changes parameters that contain the weights of all experts ({}), which servers split",
    }
    found = [reason.format(config[key]) for key, reason in reasons.items() if config.get(key)]
    if config.get("bias", "none") != "none" or config.get("lora_bias"):
        found.append("it changes biases, to which no matrices can be added")
    if isinstance(first, str) and first.lower() not in _LEAVES_BASE:
        found.append(f"init_lora_weights {first!r} changes weights of the base when PEFT loads the adapter")
    if found:
        raise InputError(f"{CONFIG}: the adapter has no canonical form: {'; '.join(found)}; {_INSTEAD}")


def accepted_rank(rank: int) -> int | None:
    """Return the smallest rank of `RANKS` that is not smaller; None if all are."""
    return next((accepted for accepted in RANKS if accepted >= rank), None)


def exact_factors(model: Any, method: Method) -> dict[str, Factors] | None:
    """Return the matrices that an adapter adds to the weights of the base, by layer, all of one accepted rank.

    Args:
        model: Model with the loaded adapter.

    Returns:
        None if the adapter is not of low rank, or of a larger rank than servers take.
    """
    found = method.factors(model)
    rank = accepted_rank(max(factors.rank for factors in found.values())) if found else None
    return {name: factors.padded(rank) for name, factors in found.items()} if found and rank else None


def nearest_factors(model: Any, method: Method) -> dict[str, Factors]:
    """Return the best approximation of each layer's change of weights, of the largest accepted rank or of full rank.

    Raises:
        InputError: The adapter changes something other than the weights of linear layers.
    """
    if found := method.factors(model):
        return {name: compressed(factors, RANKS[-1]) for name, factors in found.items()}
    return {name: nearest(change, RANKS[-1]) for name, change in weight_changes(model, method)}


@torch.no_grad()
def weight_changes(model: Any, method: Method) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the name of each adapted layer, and the change of its weight (out, in) in fp32.

    Raises:
        InputError: The adapter changes something other than the weights of linear layers.
    """
    from fineline.adapters.methods.lora import stored_transposed

    causal = model.get_base_model()
    for tensor, merge in method.merges(model).items():
        name, _, kind = tensor.rpartition(".")
        layer = causal.get_submodule(name) if kind == "weight" else None
        if layer is None or not hasattr(layer, "get_base_layer"):
            raise InputError(
                f"no LoRA adapter computes what this {method.name} adapter computes: it changes {tensor}, which is not the"
                f" weight of a linear layer; {_INSTEAD}"
            )
        base = layer.get_base_layer()
        weight = loading.weight_of(base).cpu()
        if loading.is_transposed(base) and isinstance(base, torch.nn.Linear):  # in four bits, weights are (out, in)
            weight = weight.T
        change = merge(weight) - weight
        yield name, change.T if stored_transposed(layer) else change


def cut(factors: Mapping[str, Factors], rank: int) -> dict[str, Factors]:
    """Return the first components of each layer, all of one rank."""
    return {name: layer.first(rank).padded(rank) for name, layer in factors.items()}


def rank_of(factors: Mapping[str, Factors]) -> int:
    """Return the rank of all layers."""
    (rank,) = {layer.rank for layer in factors.values()}
    return rank


def write(factors: Mapping[str, Factors], base: str, revision: str | None, targets: list[str], into: Path) -> None:
    """Write a canonical adapter into a directory: adapter_config.json and adapter_model.safetensors, in fp32.

    Args:
        factors: By the name of the layer in the base; all of one rank.
        base: The base model, by the name that servers compare.
        revision: Commit of the base in its repository.
        targets: Endings of the names of the layers.
    """
    rank = rank_of(factors)
    config = {
        "base_model_name_or_path": base,
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "revision": revision,
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    tensors = {}
    for name, layer in factors.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = layer.a.contiguous()
        tensors[f"base_model.model.{name}.lora_B.weight"] = layer.b.contiguous()
    save_file(tensors, into / WEIGHTS, metadata={"format": "pt"})
    (into / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")

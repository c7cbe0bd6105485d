"""The layers that a method adapts, found by the structure of the model instead of a list of model families."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from fineline.adapters.methods.method import ATTENTION
from fineline.errors import InputError, ParameterError, did_you_mean
from fineline.models.classes import expert_parameters, language_modules, linear_layers, not_adaptable, router_layers, sizes

__all__ = [
    "attention_layers",
    "biases",
    "blocks",
    "endings",
    "linear_layers",
    "rescaled_layers",
    "resolve",
    "resolve_parameters",
    "sublayers",
]


def resolve(model: Any, targets: str | list[str]) -> list[str]:
    """Return the sorted name endings of the layers that `train.targets` selects; empty if it selects parameters only.

    Raises:
        InputError: An ending matches no linear layer, or the model has no such layers.
    """
    layers = linear_layers(model)
    if isinstance(targets, list):
        return _named(model, targets)
    if targets == "experts":
        wanted = {name for name in layers if "experts" in name.split(".")}
        if not wanted and not expert_parameters(model):
            raise ParameterError("train.targets", f"a {model.config.model_type} model has no experts; use all-linear")
    else:
        wanted = set(attention_layers(model) if targets == "attention" else layers)
        if not layers and not (targets == "all" and expert_parameters(model)):
            raise InputError(
                f"train.method: the layers of a {model.config.model_type} model cannot be adapted (they are not"
                " torch.nn.Linear); use prompt, prefix, p-tuning or full, or another base"
            )
        if not wanted and targets != "all":
            raise InputError(
                f"train.targets: a {model.config.model_type} model has no layers for {targets!r}; name them, or use all-linear"
            )
    return endings(wanted, {name for name, _ in model.named_modules()} - wanted)


def _named(model: Any, targets: list[str]) -> list[str]:
    """Return the endings of a list that match linear layers; each must match a layer or a parameter of experts."""
    layers = linear_layers(model) | router_layers(model)
    parameters = expert_parameters(model)
    known = sorted({_last(name) for name in (*layers, *parameters)})
    found = set()
    for ending in targets:
        matched = {name for name in layers if _ends(name, ending)}
        if not matched and not any(_ends(name, ending) for name in parameters):
            if reason := not_adaptable(model, _last(ending)):
                raise ParameterError("train.targets", f"{ending} cannot be adapted: {reason}")
            raise ParameterError(
                "train.targets",
                f"no linear layer except the head has a name that ends in {ending!r}{did_you_mean(ending, known)}",
            )
        others = {name for name, _ in model.named_modules()} - matched
        exact = matched and any(_ends(name, ending) for name in others)
        found |= set(endings(matched, others)) if exact else {ending} if matched else set()
    return sorted(found)


def resolve_parameters(model: Any, targets: str | list[str]) -> list[str]:
    """Return the sorted names of the parameters with the weights of experts that `train.targets` selects."""
    parameters = expert_parameters(model)
    if isinstance(targets, list):
        parameters = {name: weight for name, weight in parameters.items() if any(_ends(name, ending) for ending in targets)}
    elif targets not in ("experts", "all"):
        return []
    return sorted({".".join(name.split(".")[-2:]) for name in parameters})


def attention_layers(model: Any) -> dict[str, Any]:
    """Return the linear layers directly in an attention module by name: queries, keys, values, output."""
    return {name: layer for name, layer in linear_layers(model).items() if _last(_owner(name)).lower().endswith(ATTENTION)}


def rescaled_layers(model: Any) -> tuple[list[str], list[str]]:
    """Return name endings of the layers that (IA)^3 rescales: all of them, and those whose input is rescaled.

    These are keys, values and the inner activations of the MLP (Liu et al. 2022, arXiv 2205.05638, section 3.3). PEFT's table
    has queries in place of keys for some families; with fewer key heads than query heads, that is a different method.

    Raises:
        InputError: The model has no such layers.
    """
    attention = attention_layers(model)
    both = {name for name in attention if _last(name).lower().startswith(("k", "v"))}
    down = {
        name
        for name, layer in linear_layers(model).items()
        if name not in attention and sizes(layer)[0] == _text(model).hidden_size != sizes(layer)[1]
    }
    if not both or not down:
        raise InputError(
            f"train.method: ia3 finds no separate key and value layers, or no MLP, in a {model.config.model_type} model;"
            " use lora"
        )
    others = {name for name, _ in model.named_modules()} - both - down
    return endings(both | down, others), endings(down, others | both)


def blocks(model: Any) -> list[nn.Module]:
    """Return the blocks of a decoder, from first to last.

    Raises:
        InputError: No list of modules is as long as the configuration says.
    """
    for module in model.get_decoder().children():
        if isinstance(module, nn.ModuleList) and len(module) == _text(model).num_hidden_layers:
            return list(module)
    raise ParameterError("train.method", f"no list of blocks was found in a {model.config.model_type} model")


def sublayers(block: nn.Module) -> tuple[str, str]:
    """Return the names of attention and of the MLP within a block.

    Raises:
        InputError: The block does not consist of one attention module and one MLP.
    """
    parents = [
        name for name, child in block.named_children() if any(isinstance(part, nn.Linear | Conv1D) for part in child.modules())
    ]
    attention = [name for name in parents if name.lower().endswith(ATTENTION)]
    rest = [name for name in parents if name not in attention]
    if len(attention) != 1 or len(rest) != 1:
        raise ParameterError(
            "train.method", f"a block with {', '.join(parents) or 'no linear layers'} is not supported; use lora"
        )
    return attention[0], rest[0]


def endings(wanted: set[str], others: set[str]) -> list[str]:
    """Return the shortest endings that match all wanted names and no other."""
    endings = set()
    for name in wanted:
        parts = name.split(".")
        endings.add(next((ending for ending in _suffixes(parts) if not any(_ends(other, ending) for other in others)), name))
    return sorted(endings)


def biases(model: Any) -> dict[str, nn.Module]:
    """Return the modules with a bias, by name."""
    return {
        name: module
        for name, module in language_modules(model, nn.Module).items()
        if isinstance(getattr(module, "bias", None), torch.nn.Parameter)
    }


def _suffixes(parts: list[str]) -> Iterator[str]:
    """Yield the endings of a name from short to long."""
    for first in range(len(parts) - 1, -1, -1):
        yield ".".join(parts[first:])


def _text(model: Any) -> Any:
    return model.config.get_text_config(decoder=True)


def _ends(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _owner(name: str) -> str:
    return name.rpartition(".")[0]

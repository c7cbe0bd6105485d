"""The names of weights in a checkpoint: transformers may load them under other names, fused with others, or one for two."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from fineline.models import classes

_PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.original$")
_WRAPPED = ".base_layer"
"""Ending that PEFT adds to the name of a layer that it adapts."""


def stored_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a model directory by name. Only the headers of the files are read."""
    found = {}
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118 (safe_open is not a mapping)
                found[name] = tuple(stored.get_slice(name).get_shape())
    return found


def weights(model: Any) -> dict[str, torch.Tensor]:
    """Return the parameters and saved buffers of a model, with those of an adapter, by the names that they have without one."""
    saved = model.state_dict(keep_vars=True)
    return {_PARAMETRIZED.sub(r"\1", name.replace(_WRAPPED, "")): tensor for name, tensor in saved.items()}


def saved_names(model: Any) -> list[str]:
    """Return the names of the tensors that a model has without an adapter, tied ones once."""
    base = classes.skeleton(model.config)
    seen: set[int] = set()
    found = []
    for name, tensor in base.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            found.append(name)
        seen.add(id(tensor))
    return found


def tied(model: Any) -> dict[str, set[str]]:
    """Return, for each parameter with several names, all of them by each one."""
    names: dict[int, set[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), set()).add(name.replace(_WRAPPED, ""))
    return {name: several for several in names.values() if len(several) > 1 for name in several}


def located(stored: Mapping[str, tuple[int, ...]], model: Any, changed: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    """Return where changed weights are in a checkpoint.

    Args:
        stored: Shapes of the checkpoint's tensors.
        changed: Names of weights in the model.

    Returns:
        Name in the checkpoint -> name in the model, for weights that are stored as they are, each under all of its names; and
        the weights that are stored in another form.
    """
    direct: dict[str, str] = {}
    others: set[str] = set()
    shared, converted = tied(model), _renamed(model)
    for name in changed:
        places = {place for place in shared.get(name, {name}) if place in stored}
        if (places and not converted) or (places and name in places and _unchanged(model, name, stored)):
            direct |= dict.fromkeys(places, name)
        else:
            others.add(name)
    return direct, others


def _renamed(model: Any) -> bool:
    """True if transformers converts checkpoints of this model when it loads them."""
    return bool(getattr(model, "_weight_conversions", None))


def _unchanged(model: Any, name: str, stored: Mapping[str, tuple[int, ...]]) -> bool:
    """True if a weight is saved under its name and in its shape."""
    shape = stored[name]
    found = in_checkpoint(model, {name: torch.empty(shape, device="meta")})
    return {key: tuple(tensor.shape) for key, tensor in found.items()} == {name: shape}


def in_checkpoint(model: Any, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights of a model in the form in which its checkpoint stores them, as `save_pretrained` would write them."""
    from transformers.core_model_loading import revert_weight_conversion

    return dict(revert_weight_conversion(model, dict(given)))

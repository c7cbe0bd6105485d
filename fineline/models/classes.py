"""The class that a model is loaded with, and its parts: the language model, the towers next to it, the experts within."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fineline.errors import InputError
from fineline.models.quiet import quiet


def model_class(config: Any) -> Any:
    """Return the class of transformers that loads a model: a causal language model, or one that also takes images.

    It is the class that the configuration names. A name that transformers does not have is that of custom code, which is never
    run; the class of the model type is taken instead.

    Raises:
        InputError: The configuration belongs to neither kind.
    """
    import transformers
    from transformers.models.auto import modeling_auto as auto

    mappings = (auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    own = [name for names in mappings for name in _named(names.get(config.model_type, ()))]
    stated = next(iter(getattr(config, "architectures", None) or ()), None)
    if stated in own or (stated and _is_mapped_class_of(stated, config, mappings)):
        return getattr(transformers, stated)
    if own and (stated is None or not hasattr(transformers, stated)):
        return getattr(transformers, own[0])
    raise InputError(
        f"{stated or config.model_type} does not generate text from text: transformers has it neither among its causal language"
        " models nor among those that also take images; a base model needs such a class, whose name ends in ForCausalLM or"
        " ForConditionalGeneration"
    )


def _is_mapped_class_of(name: str, config: Any, mappings: Sequence[Mapping[str, Any]]) -> bool:
    """True if a class is in a mapping and has this type of configuration, as the text half of some models does."""
    import transformers

    mapped = any(name in _named(entry) for names in mappings for entry in names.values())
    return mapped and getattr(transformers, name).config_class is type(config)


def _named(entry: Any) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry)


def skeleton(config: Any) -> Any:
    """Return a model on torch's meta device, where weights have sizes and no memory."""
    kind = model_class(config)
    if kind.config_class is not type(config):  # the text half of a model that also takes images
        config = config.get_text_config()
    with quiet(), torch.device("meta"):  # transformers warns about a model without weights
        return kind._from_config(config)


def language_prefix(model: Any) -> str:
    """Return the name of the part that processes text, with a dot at its end; empty if that is the whole model.

    A model that also takes images or sound has towers and projectors next to its language model.
    """
    decoder, embedding = model.get_decoder(), model.get_input_embeddings()
    whole = {id(part) for part in (model, getattr(model, "base_model", model))}
    if decoder is None or id(decoder) in whole or not any(module is embedding for module in decoder.modules()):
        return ""
    for name, module in model.named_modules():
        if module is decoder:
            return f"{name}." if _has_siblings(model, name) else ""
    return ""


def _has_siblings(model: Any, name: str) -> bool:
    """True if linear layers or convolutions are next to a part of a model, other than the head."""
    head = model.get_output_embeddings()
    kinds = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    return any(
        isinstance(module, kinds) and module is not head and not other.startswith(f"{name}.")
        for other, module in model.named_modules()
    )


def towers(model: Any) -> list[str]:
    """Return the names of the largest modules that are neither in the language part nor the head."""
    prefix = language_prefix(model)
    if not prefix:
        return []
    head = model.get_output_embeddings()
    found: list[str] = []

    def collect(name: str, module: torch.nn.Module) -> None:
        for child_name, child in module.named_children():
            path = f"{name}{child_name}"
            if child is head or f"{path}." == prefix:
                continue
            if prefix.startswith(f"{path}."):
                collect(f"{path}.", child)
            else:
                found.append(path)

    collect("", model)
    return found


def linear_layers(model: Any) -> dict[str, Any]:
    """Return the linear layers of the language part by name and in order, without the head and without routers of experts.

    They are of torch's Linear, transformers' Conv1D, or in four bits. Left out are classes that compute something else with
    their weight, layers that PEFT cannot adapt, see `not_adaptable`, and layers that share one weight: each would have another
    adapter, which no merge could separate.
    """
    from transformers.pytorch_utils import Conv1D

    head, routers = model.get_output_embeddings(), router_layers(model)
    layers = {
        name: layer
        for name, layer in language_modules(model, torch.nn.Linear | Conv1D).items()
        if layer is not head and name not in routers and (isinstance(layer, Conv1D) or _multiplies(layer))
    }
    owners = Counter(id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Linear | Conv1D))
    layers = {name: layer for name, layer in layers.items() if owners[id(layer.weight)] == 1}
    kinds = {name.rpartition(".")[2] for name in layers}
    refused = {kind for kind in kinds if not_adaptable(model, kind)}
    return {name: layer for name, layer in layers.items() if name.rpartition(".")[2] not in refused}


def not_adaptable(model: Any, kind: str) -> str:
    """Return why PEFT cannot adapt layers of a name, such as `out_proj`, in a model; empty if it can."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel
    from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

    config = LoraConfig(target_modules=[kind])
    try:
        LoraModel._check_target_module_compatiblity(None, config, model, kind)  # type: ignore[arg-type]
    except ValueError:
        return "kernels of this model read the weight without calling the layer"
    try:
        convert_peft_config_for_transformers(config, model, None)
    except ValueError:
        return _NAME_OF_EXPERTS
    return "" if kind in (config.target_modules or ()) else _NAME_OF_EXPERTS


_NAME_OF_EXPERTS = "PEFT takes the name for that of experts"


def sizes(layer: Any) -> tuple[int, int]:
    """Return the output and input features of a linear layer."""
    if isinstance(layer, torch.nn.Linear):
        return layer.out_features, layer.in_features
    return layer.weight.shape[1], layer.weight.shape[0]


def _multiplies(layer: torch.nn.Linear) -> bool:
    """True if a layer maps each vector of its input features to one of its output features, in any class."""
    if type(layer).forward is torch.nn.Linear.forward or type(layer).__module__.startswith("bitsandbytes."):
        return True
    vector = torch.zeros(1, 1, layer.in_features, dtype=layer.weight.dtype, device=layer.weight.device)
    try:
        with torch.no_grad():
            return tuple(layer(vector).shape) == (1, 1, layer.out_features)
    except (RuntimeError, ValueError, TypeError):
        return False


def language_modules(model: Any, kind: Any) -> dict[str, Any]:
    """Return the modules of a class in the language part and the head, by name and in order."""
    prefix, head = language_prefix(model), model.get_output_embeddings()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, kind) and (f"{name}.".startswith(prefix) or module is head)
    }


def router_layers(model: Any) -> dict[str, torch.nn.Linear]:
    """Return the linear layers that choose experts by name: as many outputs as experts, in the module with the experts.

    Gates of a shared expert, with one output, count as such.
    """
    counts = {}
    for name, weight in expert_parameters(model).items():
        counts[name.rpartition(".")[0].rpartition(".")[0]] = len(weight)
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == _EXPERTS and isinstance(module, torch.nn.ModuleList):
            counts[name.rpartition(".")[0]] = len(module)
    return {
        name: layer
        for name, layer in language_modules(model, torch.nn.Linear).items()
        for owner in (name.rpartition(".")[0], name.rpartition(".")[0].rpartition(".")[0])
        if owner in counts and layer.out_features in (1, counts[owner]) and _EXPERTS not in name.split(".")
    }


def expert_parameters(model: Any) -> dict[str, torch.nn.Parameter]:
    """Return the three-dimensional parameters that contain a matrix of every expert of a layer, by name and in order."""
    found = {}
    for name, module in language_modules(model, torch.nn.Module).items():
        if not type(module).__name__.lower().endswith(_EXPERTS) and name.rpartition(".")[2] != _EXPERTS:
            continue
        for own, weight in module.named_parameters(recurse=False):
            if weight.dim() == 3:
                found[f"{name}.{own}"] = weight
    return found


_EXPERTS = "experts"
"""How transformers names the module with all experts of a layer."""

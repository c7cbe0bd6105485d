"""Miniatures: a model with the configuration of another one, few layers and small matrices, and random weights."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_VOCABULARY = 256
_SMALL = {"intermediate_size": 64, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 64}
_SMALL |= {"intermediate_size_mlp": 64, "shared_intermediate_size": 64, "ffn_dim": 64, "n_inner": 64}
_HEADS, _GROUP = 2, 4  # key-value heads, and query heads of each
_EXPERTS = 8
_LARGEST = 300_000_000  # weights
_TOKENS = tuple(range(3, 11))


def of_directory(model: Path) -> Iterator[Any]:
    """Yield miniatures of the model in a directory, in fp32 and in evaluation mode. Only its configuration is read.

    The first one has few heads; the second one has the heads of the model, for a reader that refuses so few.

    Raises:
        ValueError: transformers cannot make one of this configuration; the message is its reason.
    """
    import torch
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False)
    reason: Exception | None = None
    made: set[bool] = set()
    for fewer_heads, config in _smaller(whole):
        if fewer_heads in made:
            continue
        try:
            with torch.device("meta"):
                size = _class_of(config).from_config(config).num_parameters()
            if size > _LARGEST:
                raise ValueError(f"{size:,} weights are too many for a trial")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                small = _class_of(config).from_config(config, dtype=torch.float32).eval()
            with torch.no_grad():
                for weight in small.parameters():  # some parts are left as memory was
                    weight.nan_to_num_()
                small(input_ids=torch.tensor([_TOKENS]))
        except Exception as error:  # of any kind: a size that does not fit the others
            reason = error
            continue
        made.add(fewer_heads)
        yield small
    if not made:
        raise ValueError(f"{type(reason).__name__}: {reason}")


def _class_of(config: Any) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    known = type(config) in AutoModelForCausalLM._model_mapping
    return AutoModelForCausalLM if known else AutoModelForImageTextToText


def _smaller(whole: Any) -> Iterator[tuple[bool, Any]]:
    """Yield smaller configurations, the smallest first, each after True if it has fewer heads."""
    for heads in (True, False):
        for layers in (True, False):
            config = copy.deepcopy(whole)
            text = config.get_text_config()
            groups = getattr(text, "n_group", None) or 1
            experts = max(_EXPERTS, getattr(text, "num_experts_per_tok", None) or 0, 2 * groups)
            _shrink(
                text, dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), groups * -(-experts // groups))
            )
            _shrink(text, {"vocab_size": _VOCABULARY, "vocab_size_per_layer_input": _VOCABULARY} | _SMALL)
            for key, value in text.to_dict().items():
                if key.endswith("token_id") and isinstance(value, int) and value >= _VOCABULARY:
                    setattr(text, key, _VOCABULARY - 1)
            if layers:
                _shrink_layers(text)
            if heads:
                _shrink_heads(text)
            if getattr(whole, "architectures", None):
                config.architectures = whole.architectures
            yield heads, config


def _shrink(config: Any, sizes: Mapping[str, int]) -> None:
    for key, size in sizes.items():
        value = getattr(config, key, None)
        if isinstance(value, int) and value > size:
            setattr(config, key, size)


def _shrink_layers(text: Any) -> None:
    """Keep the first layers, with at least one of each kind."""
    if not isinstance(getattr(text, "num_hidden_layers", None), int):
        return
    kinds = getattr(text, "layer_types", None) or []
    count = max((kinds.index(kind) + 1 for kind in kinds), default=1)
    dense = getattr(text, "first_k_dense_replace", 0) or 0
    count = min(max(count, dense + 1), text.num_hidden_layers)
    for key, value in text.to_dict().items():
        if isinstance(value, list) and len(value) == text.num_hidden_layers:
            setattr(text, key, value[:count])
    text.num_hidden_layers = count


def _shrink_heads(text: Any) -> None:
    """Keep few heads of the same size, and a hidden size that is the same multiple of theirs."""
    heads = getattr(text, "num_attention_heads", None)
    if not isinstance(heads, int) or not heads:  # a state space model has none, some have a number for each layer
        return
    shared = getattr(text, "num_key_value_heads", None) or heads
    fewer = min(shared, _HEADS)
    kept = fewer * min(heads // shared, _GROUP)
    text.hidden_size = text.hidden_size * kept // heads
    text.num_attention_heads = kept
    if getattr(text, "num_key_value_heads", None):
        text.num_key_value_heads = fewer

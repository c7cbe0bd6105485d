"""The model families of llama.cpp: which graph computes a model of transformers, and the metadata that the graph reads.

The metadata is read from the configuration. What a graph has fixed in its code, such as the layers with a window or the scale
of attention, is compared with the configuration here. The rest is proven by a trial, see `trial`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fineline.export.gguf import rotary
from fineline.export.gguf.unsupported import Unsupported, Values


@dataclass(frozen=True)
class Family:
    """A graph of llama.cpp."""

    name: str
    """Its name in GGUF, the value of `general.architecture`."""
    interleaved: bool = False
    """True if rotary positions turn neighboring rows of a head; transformers turns rows half a head apart."""
    norms_from_zero: bool = False
    """True if transformers adds one to the weights of a norm."""
    more: Callable[[Values], dict[str, Any]] = field(default=lambda values: {})
    """Method of `gguf.GGUFWriter` without `add_` -> value, from the configuration."""
    check: Callable[[Values], str | None] = field(default=lambda values: None)
    """Return what the graph has fixed and the configuration has otherwise; None if nothing."""


def _experts(values: Values) -> dict[str, Any]:
    count = values.get("num_local_experts") or values.get("num_experts")
    found = {"expert_count": count, "expert_used_count": values.get("num_experts_per_tok")}
    if size := values.get("moe_intermediate_size"):
        found["expert_feed_forward_length"] = size
    return found


def _qwen_moe(values: Values) -> dict[str, Any]:
    shared = values.get("shared_expert_intermediate_size")
    return _experts(values) | ({"expert_shared_feed_forward_length": shared} if shared else {})


def _gemma(values: Values) -> dict[str, Any]:
    found = {}
    if window := values.get("sliding_window"):
        found["sliding_window"] = window
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if values.get(key):
            found[key] = values[key]
    return found


def _granite(values: Values) -> dict[str, Any]:
    return {
        "attention_scale": values["attention_multiplier"],
        "embedding_scale": values["embedding_multiplier"],
        "residual_scale": values["residual_multiplier"],
        "logit_scale": values["logits_scaling"],
    }


def _lfm2(values: Values) -> dict[str, Any]:
    heads = values["num_key_value_heads"]
    size = values.get("block_ff_dim") or values["intermediate_size"]
    if values.get("block_auto_adjust_ff_dim"):
        size = int(values.get("block_ffn_dim_multiplier", 1.0) * int(2 * size / 3))
        multiple = values["block_multiple_of"]
        size = multiple * -(-size // multiple)
    return {
        "head_count_kv": [heads if kind == "full_attention" else 0 for kind in values["layer_types"]],
        "shortconv_l_cache": values["conv_L_cache"],
        "feed_forward_length": size,
    }


def _all_experts(values: Values) -> str | None:
    if values.get("decoder_sparse_step", 1) != 1 or values.get("mlp_only_layers"):
        return "its layers do not all have experts"
    return None


def _qwen3_moe(values: Values) -> str | None:
    return _all_experts(values) or (None if values.get("norm_topk_prob") else "it does not normalize the weights of experts")


def _qwen2_moe(values: Values) -> str | None:
    return _all_experts(values) or ("it normalizes the weights of experts" if values.get("norm_topk_prob") else None)


def _full_attention(values: Values) -> str | None:
    if "sliding_attention" in (values.get("layer_types") or []):
        return "some of its layers have a window"
    return None


def _every(step: int, rest: str, last: str) -> Callable[[Values], str | None]:
    """Return a check that every `step`-th layer is of the kind `last`, and the others of the kind `rest`."""

    def check(values: Values) -> str | None:
        kinds = values.get("layer_types") or []
        fixed = [last if number % step == step - 1 else rest for number in range(len(kinds))]
        return None if kinds == fixed else f"not every layer but each {step}th has a window"

    return check


def _scaled_by_head(values: Values) -> str | None:
    scale, head = values.get("query_pre_attn_scalar"), values["head_dim"]
    if scale is not None and scale != head:
        return f"its attention is scaled by {scale}, and not by the size of a head, {head}"
    return None


def _both(*checks: Callable[[Values], str | None]) -> Callable[[Values], str | None]:
    return lambda values: next((found for check in checks if (found := check(values))), None)


def _rotary_pattern(values: Values) -> str | None:
    layers = values.get("no_rope_layers") or []
    fixed = [0 if number % 4 == 3 else 1 for number in range(len(layers))]
    return None if list(layers) == fixed else "not every layer but each fourth has rotary positions"


FAMILIES: dict[str, Family] = {
    "llama": Family("llama", interleaved=True),
    "mistral": Family("llama", interleaved=True),
    "mixtral": Family("llama", interleaved=True, more=_experts),
    "smollm3": Family("smollm3", interleaved=True, check=_both(_rotary_pattern, _full_attention)),
    "granite": Family("granite", interleaved=True, more=_granite),
    "qwen2": Family("qwen2", check=_full_attention),
    "qwen3": Family("qwen3", check=_full_attention),
    "qwen2_moe": Family("qwen2moe", more=_qwen_moe, check=_both(_full_attention, _qwen2_moe)),
    "qwen3_moe": Family("qwen3moe", more=_qwen_moe, check=_both(_full_attention, _qwen3_moe)),
    "gemma": Family("gemma", norms_from_zero=True),
    "gemma2": Family(
        "gemma2",
        norms_from_zero=True,
        more=_gemma,
        check=_both(_scaled_by_head, _every(2, "sliding_attention", "full_attention")),
    ),
    "gemma3_text": Family(
        "gemma3",
        norms_from_zero=True,
        more=_gemma,
        check=_both(_scaled_by_head, _every(6, "sliding_attention", "full_attention")),
    ),
    "olmo2": Family("olmo2"),
    "lfm2": Family("lfm2", more=_lfm2),
}
"""Model type of transformers -> graph."""

_OWN_WINDOW = ("gemma2", "gemma3", "lfm2")
"""Graphs that have windows."""


def family(values: Values) -> Family:
    """Return the graph of a model.

    Raises:
        Unsupported: There is none, or it has fixed what the configuration has otherwise.
    """
    kind = str(values.get("model_type"))
    found = FAMILIES.get(kind)
    if found is None:
        raise Unsupported(f"there is no mapping of the family {kind} to a graph of llama.cpp")
    if reason := found.check(values):
        raise Unsupported(f"the graph {found.name} of llama.cpp does not fit: {reason}")
    if values.get("hidden_act", values.get("hidden_activation")) not in (None, "silu", "gelu_pytorch_tanh"):
        raise Unsupported(f"the graph {found.name} of llama.cpp has another activation function")
    rotary.metadata(values)
    return found


def metadata(values: Values) -> dict[str, Any]:
    """Return method of `gguf.GGUFWriter` without `add_` -> value.

    Raises:
        Unsupported: See `family`.
    """
    graph = family(values)
    heads = values["num_attention_heads"]
    head = values.get("head_dim") or values["hidden_size"] // heads
    found = {
        "block_count": values["num_hidden_layers"],
        "context_length": context_length(values),
        "embedding_length": values["hidden_size"],
        "feed_forward_length": values["intermediate_size"],
        "head_count": heads,
        "head_count_kv": values.get("num_key_value_heads") or heads,
        "key_length": head,
        "value_length": head,
        "layer_norm_rms_eps": values.get("rms_norm_eps", values.get("norm_eps")),
        "vocab_size": values["vocab_size"],
    }
    return found | rotary.metadata(values) | {key: value for key, value in graph.more(values).items() if value is not None}


def context_length(values: Values) -> int:
    """Return the number of positions: those of the model, but no more than the window of a graph that has none."""
    positions, window = int(values["max_position_embeddings"]), values.get("sliding_window") or 0
    own = FAMILIES[values["model_type"]].name in _OWN_WINDOW
    windowed = window and values.get("use_sliding_window", True) and not own
    return min(positions, int(window)) if windowed else positions

"""Memory that inference takes for what grows with a batch: key-value caches and logits.

The sizes of batches follow from the model and a fixed budget, not from the memory that is free: the batches decide the order of
additions, so otherwise the last digits of a score would depend on what else runs on the machine.
"""

from dataclasses import dataclass
from typing import Any

_MOST_TOKENS = 16384  # whose keys and values are in memory at once; more do not make generation faster
_MOST_PLACES = 1024  # whose logits are
_LOGIT = 4  # bytes


@dataclass(frozen=True)
class Budget:
    """Largest memory in bytes, on top of that of the model."""

    caches: int
    """For keys and values during generation."""
    logits: int


BUDGETS = {"cpu": Budget(caches=1 << 30, logits=1 << 28), "cuda": Budget(caches=8 << 30, logits=1 << 30)}


@dataclass(frozen=True)
class Limits:
    """How much of a batch a model processes at once."""

    tokens: int
    """Rows x (prompt + new tokens) whose keys and values are in memory at once during generation."""
    places: int
    """Places whose logits are in memory at once."""


def limits(device: str, *, token_bytes: int, vocabulary: int) -> Limits:
    """Return the limits of a model within the budget of a type of device.

    Args:
        token_bytes: Keys and values of a token in all layers, in bytes.
        vocabulary: Number of logits at a place.
    """
    budget = BUDGETS.get(device, BUDGETS["cpu"])
    tokens = min(_MOST_TOKENS, budget.caches // max(1, token_bytes))
    places = min(_MOST_PLACES, budget.logits // (_LOGIT * max(1, vocabulary)))
    return Limits(tokens=max(1, tokens), places=max(1, places))


def of_config(config: Any, device: str, number_bytes: int) -> Limits:
    """Return the limits of a model of `transformers`.

    Args:
        number_bytes: Size of a key's or value's number.
    """
    text = config.get_text_config(decoder=True)
    token = layers(text) * (keys_and_values(text)) * number_bytes
    return limits(device, token_bytes=token, vocabulary=_largest(text, "vocab_size"))


def layers(text: Any) -> int:
    """Return the number of layers, all of which may have a cache."""
    return _largest(text, "num_hidden_layers") or 1


def keys_and_values(text: Any) -> int:
    """Return the numbers that a layer stores for a token, at most."""
    heads = _largest(text, "num_attention_heads")
    own = _largest(text, "head_dim") or (_largest(text, "hidden_size") // heads if heads else 0)
    latent = _largest(text, "qk_nope_head_dim") + _largest(text, "qk_rope_head_dim")  # multi-head latent attention
    key = max(own, latent)
    value = max(own, _largest(text, "v_head_dim"))
    shared = 0 if latent else _largest(text, "num_key_value_heads")
    return (shared or heads) * (key + value)


def _largest(config: Any, name: str) -> int:
    """Return a number of a configuration, or the largest of a list of numbers; 0 if it has no such number."""
    value = getattr(config, name, None)
    values = value if isinstance(value, list | tuple) else [value]
    return max((each for each in values if isinstance(each, int) and not isinstance(each, bool)), default=0)

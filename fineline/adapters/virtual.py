"""Virtual tokens before the prompt: prefix tuning, prompt tuning and p-tuning.

The model sees them as keys and values in its cache: learned ones (prefix tuning), or those of learned embeddings (prompt tuning
and p-tuning).
"""

from contextlib import AbstractContextManager
from typing import Any

import torch

from fineline.adapters.adapted import Adapted, check_names, switched_off
from fineline.models.loading import plain

KeyValues = list[tuple[torch.Tensor, torch.Tensor]]
"""Per layer (1, key-value heads, virtual tokens, head dim), twice."""


PREFIX = "PREFIX_TUNING"
EMBEDDINGS = ("PROMPT_TUNING", "P_TUNING")
"""Values of `peft_type` in adapter_config.json."""

UNLIMITED = 2**20
"""Context in tokens of a model without a largest number of positions."""
_POSITIONS = ("max_position_embeddings", "max_seq_len", "max_sequence_length", "seq_length")


def virtual_embeddings(model: Any) -> torch.Tensor | None:
    """Return the embeddings (virtual tokens, hidden) of prompt tuning and p-tuning, with gradient; None for other methods."""
    if _kind(model) not in EMBEDDINGS:
        return None
    embeddings: torch.Tensor = model.get_prompt(batch_size=1)[0]
    return embeddings


def has_prefix(model: Any) -> bool:
    """True if the adapter is a prefix."""
    return _kind(model) == PREFIX


def virtual_key_values(model: Any) -> KeyValues | None:
    """Return the keys and values of prefix tuning, with gradient; None for other methods."""
    return _of_cache(model.get_prompt(batch_size=1)) if has_prefix(model) else None


def context_length(model: Any) -> int:
    """Return how many tokens a model can read: the positions of its base, minus those of virtual tokens.

    A model that passes state from token to token has no largest number of positions; `UNLIMITED` is returned for it.
    """
    config = model.config.get_text_config()
    positions = next((int(value) for key in _POSITIONS if (value := getattr(config, key, None))), UNLIMITED)
    return positions - model.virtual_tokens if isinstance(model, VirtualTokens) else positions


def start_at_real_tokens(model: Any) -> None:
    """Set a new prefix to the keys and values of tokens drawn from the vocabulary.

    A random initialization learns worse and with high variance; activations of real words do not (Li and Liang 2021,
    arXiv 2101.00190, section 7.4).
    """
    encoder = model.prompt_encoder[model.active_adapter]
    base = model.get_base_model()
    drawn = torch.randint(len(base.get_input_embeddings().weight), (1, model.active_peft_config.num_virtual_tokens)).to(
        base.device
    )
    with plain(base):
        cache = _filled(base, input_ids=drawn)
    states = torch.stack([torch.stack(pair) for pair in _of_cache(cache)])  # (layers, 2, 1, heads, virtual tokens, head dim)
    encoder.load_prompt_embeddings(states[:, :, 0].permute(3, 0, 1, 2, 4).flatten(1).float())


class VirtualTokens(Adapted):
    """A causal language model for evaluation that hides the virtual tokens from its caller.

    They precede the first token of every row. Masks, positions and logits are those of the caller's tokens, in the first call
    and in later calls with the returned cache.

    Args:
        learned: (virtual tokens, layers * 2 * key-value heads * head dim) of prefix tuning, (virtual tokens, hidden) of others.
        heads: Key-value heads, for prefix tuning.
    """

    def __init__(self, model: Any, learned: torch.Tensor, heads: int | None) -> None:
        super().__init__(model)
        self.learned = torch.nn.Parameter(learned.to(next(model.parameters()).device), requires_grad=False)
        self.virtual_tokens = len(learned)
        self.heads = heads
        self.enabled = True

    @classmethod
    def restored(cls, model: Any, config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> "VirtualTokens":
        """Return the model with the virtual tokens that PEFT saved."""
        check_names(set(tensors), {"prompt_embeddings"})
        heads = config["num_attention_heads"] if config["peft_type"] == PREFIX else None
        return cls(model, tensors["prompt_embeddings"], heads)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        **others: Any,
    ) -> Any:
        """Return the output of the base model for the caller's tokens.

        Args:
            input_ids: (rows, tokens).
            attention_mask: (rows, tokens so far), or (rows, 1, tokens, tokens so far) if tokens attend to different ones. It
                does not include virtual tokens, which every token attends to; a mask that is added to scores is 0 there.
            position_ids: (rows, tokens), without virtual tokens.
            past_key_values: The cache that an earlier call returned; an empty one counts as none.
        """
        if self.enabled:
            if past_key_values is None or not past_key_values.get_seq_length():
                past_key_values = self._cache(len(input_ids))
            if attention_mask is not None:
                added = attention_mask.is_floating_point()
                seen = attention_mask.new_full((*attention_mask.shape[:-1], self.virtual_tokens), 0 if added else 1)
                attention_mask = torch.cat([seen, attention_mask], dim=-1)
            if position_ids is not None:
                position_ids = position_ids + self.virtual_tokens
        return self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            **others,
        )

    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within the context, the model computes what its base computes."""
        return switched_off([self])

    def key_values(self) -> KeyValues:
        """Return the keys and values of the virtual tokens."""
        learned = self.learned.to(self.model.dtype)
        if self.heads is None:
            return _of_cache(_filled(self.model, inputs_embeds=learned[None]))
        layers = self.model.config.get_text_config(decoder=True).num_hidden_layers
        states = learned.view(1, self.virtual_tokens, layers, 2, self.heads, -1).permute(2, 3, 0, 4, 1, 5)
        return [(key, value) for key, value in states]

    def _cache(self, rows: int) -> Any:
        from transformers import DynamicCache

        return DynamicCache([tuple(state.expand(rows, -1, -1, -1) for state in pair) for pair in self.key_values()])


def _filled(model: Any, **given: torch.Tensor) -> Any:
    """Return a cache with the keys and values of all given tokens, in layers with a window too."""
    from transformers import DynamicCache

    return model(**given, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1).past_key_values


def _kind(model: Any) -> str | None:
    from peft import PeftModel

    return model.active_peft_config.peft_type.value if isinstance(model, PeftModel) else None


def _of_cache(cache: Any) -> KeyValues:
    return [(layer.keys, layer.values) for layer in cache.layers]

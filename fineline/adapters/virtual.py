"""Virtual tokens before the prompt: prefix tuning, prompt tuning and p-tuning.

The model sees them as keys and values in its cache: learned ones (prefix tuning), or those of learned embeddings (prompt tuning
and p-tuning). Models with layers that keep another state than keys and values, such as recurrent ones, read the embeddings
themselves.
"""

import inspect
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import torch

from fineline.adapters.adapted import Adapted, check_names, switched_off
from fineline.errors import ParameterError
from fineline.models.loading import plain

_TRIED = 24
"""Tokens that are read in order to see whether a cache can contain virtual ones."""

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
    try:
        with plain(base):
            cache = _filled(base, input_ids=drawn)
    except (AttributeError, IndexError, ValueError, TypeError, RuntimeError) as error:
        raise _no_prefix(base) from error
    if any(getattr(layer, "keys", None) is None for layer in cache.layers):
        raise _no_prefix(base)
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
        first = self.enabled and not _holds_tokens(past_key_values)
        if first and not self.fits_cache:
            return self._read_embeddings(input_ids, attention_mask, position_ids, past_key_values, others)
        if first:
            past_key_values = self._cache(len(input_ids))
        if self.enabled and attention_mask is not None:
            added = attention_mask.is_floating_point()
            seen = attention_mask.new_full((*attention_mask.shape[:-1], self.virtual_tokens), 0 if added else 1)
            attention_mask = torch.cat([seen, attention_mask], dim=-1)
        if self.enabled and position_ids is not None:
            position_ids = position_ids + self.virtual_tokens
        return self._call(input_ids=input_ids, mask=attention_mask, positions=position_ids, past=past_key_values, others=others)

    @cached_property
    @torch.no_grad()
    def fits_cache(self) -> bool:
        """True if the virtual tokens in a cache are to the model what their embeddings are before the others."""
        if self.heads is not None:
            return True
        tokens = torch.arange(_TRIED, device=self.device)[None] % len(self.model.get_input_embeddings().weight)
        before = self.model.training
        self.model.eval()
        try:
            expected = self._read_embeddings(tokens, None, None, None, {}).logits.float()
            found = self._call(input_ids=tokens, past=self._cache(1), others={}).logits.float()
        except (ValueError, TypeError, AttributeError, IndexError, RuntimeError):  # of layers with another state
            return False
        finally:
            self.model.train(before)
        room = 1e-4 if self.model.dtype == torch.float32 else 0.05  # what rounding explains
        return bool(torch.linalg.vector_norm(found - expected) <= room * torch.linalg.vector_norm(expected))

    def _read_embeddings(self, ids: torch.Tensor, mask: Any, positions: Any, past: Any, others: dict[str, Any]) -> Any:
        """Return the output for the first tokens, read after the embeddings of the virtual ones.

        Raises:
            ValueError: A mask says which tokens each token attends to, which is not known of virtual ones.
        """
        count, own = self.virtual_tokens, self.model.get_input_embeddings()(ids)
        if mask is not None and mask.dim() != 2:
            raise ValueError("virtual tokens of a model with recurrent layers cannot be used with a mask for each token")
        learned = self.learned.to(own.dtype)[None].expand(len(ids), -1, -1)
        if mask is not None:
            mask = torch.cat([mask.new_ones(len(ids), count), mask], dim=1)
        if positions is not None:
            first = torch.arange(count, device=positions.device).expand(len(positions), -1)
            positions = torch.cat([first, positions + count], dim=1)
        keep = others.get("logits_to_keep")
        if isinstance(keep, torch.Tensor):
            others = others | {"logits_to_keep": keep + count}
        embedded = torch.cat([learned, own], dim=1)
        output = self._call(inputs_embeds=embedded, mask=mask, positions=positions, past=past, others=others)
        if output.logits.shape[1] == embedded.shape[1]:
            output.logits = output.logits[:, count:]
        return output

    def _call(self, *, mask: Any = None, positions: Any = None, past: Any = None, others: dict[str, Any], **tokens: Any) -> Any:
        """Call the base model. Its cache may have another name, as in state space models."""
        accepted = inspect.signature(type(self.model).forward).parameters
        cache = "cache_params" if "cache_params" in accepted else "past_key_values"
        given = {"attention_mask": mask, "position_ids": positions, cache: past}
        output = self.model(**tokens, **{name: value for name, value in given.items() if value is not None}, **others)
        if cache != "past_key_values":
            output.past_key_values = getattr(output, cache, None)
        return output

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


def _no_prefix(model: Any) -> ParameterError:
    kind = model.config.model_type
    return ParameterError(
        "train.method",
        f"a prefix is keys and values in every layer, and a {kind} model has layers with another state; use prompt or lora",
    )


def _holds_tokens(cache: Any) -> bool:
    """True if a cache is of an earlier call. One of recurrent layers only does not count its tokens."""
    if cache is None:
        return False
    try:
        return bool(cache.get_seq_length())
    except ValueError:
        return bool(cache.has_previous_state())


def _filled(model: Any, **given: torch.Tensor) -> Any:
    """Return a cache with the keys and values of all given tokens, in layers with a window too."""
    from transformers import DynamicCache

    return model(**given, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1).past_key_values


def _kind(model: Any) -> str | None:
    from peft import PeftModel

    return model.active_peft_config.peft_type.value if isinstance(model, PeftModel) else None


def _of_cache(cache: Any) -> KeyValues:
    return [(layer.keys, layer.values) for layer in cache.layers]

"""A tiny random model of every class in transformers' causal and image-text mappings, from configuration alone."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from tests.conftest import CHAT_TEMPLATE, commands
from tests.zoo_families import adjust
from tests.zoo_sizes import BOS, EOS, MEDIA, PAD, shrink

Kind = Literal["causal", "image-text"]
VOCABULARY = 400
AUTO = {"causal": AutoModelForCausalLM, "image-text": AutoModelForImageTextToText}
_NAMES = {"causal": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "image-text": MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES}


@dataclass(frozen=True)
class Entry:
    """One class of the mappings."""

    architecture: str
    """Name of the class."""
    model_type: str
    """A model type that has it."""
    kind: Kind


def classes() -> list[Entry]:
    """Return every class of the two mappings once, by name."""
    every = [Entry(name, given, kind) for kind, names in _NAMES.items() for given, name in names.items()]
    every.sort(key=lambda entry: (entry.architecture, not _named_after(entry), entry.kind == "causal"), reverse=True)
    return list({entry.architecture: entry for entry in every}.values())[::-1]


def _named_after(entry: Entry) -> bool:
    """True if the class has the name of the model type: a Llama is `llama`, though `internlm3` has the same class."""
    return entry.architecture.lower().replace("_", "").startswith(entry.model_type.replace("-", "").replace("_", ""))


def tiny_config(model_type: str, kind: Kind = "causal") -> Any:
    """Return the configuration of a tiny model: the default one of its type, shrunk."""
    given = _configuration(model_type, kind)
    values = shrink(_default(model_type, given).to_dict(), VOCABULARY)
    for name in ("is_decoder", "causal"):
        if kind == "causal" and name in values:
            values[name] = True  # an encoder that is also a decoder, such as BERT, then masks what follows
    return given(**adjust(model_type, kind, values))


def _configuration(model_type: str, kind: Kind) -> Any:
    """Return the class of configurations of a type: that of the class itself where the type's is of another model around it."""
    whole, own = CONFIG_MAPPING[model_type], _class(model_type, kind).config_class
    return whole if own in (whole, whole.sub_configs.get("text_config")) else own


def _class(model_type: str, kind: Kind) -> Any:
    return getattr(transformers, _NAMES[kind][model_type])


def _default(model_type: str, given: Any) -> Any:
    return given(**adjust(model_type, "default", {}))


def build(model_type: str, kind: Kind = "causal", seed: int = 0) -> Any:
    """Return a tiny model with random weights in fp32."""
    config, own = tiny_config(model_type, kind), _class(model_type, kind)
    torch.manual_seed(seed)
    return (own._from_config(config) if type(config) is own.config_class else AUTO[kind].from_config(config)).eval()


def save(model_type: str, kind: Kind, directory: Path, *, seed: int = 0, tokenizer: Any = None) -> Path:
    """Write a tiny model with its tokenizer and chat template into a directory, and return it.

    Args:
        tokenizer: Another tokenizer of at most `VOCABULARY` tokens, with a chat template.
    """
    model = build(model_type, kind, seed)
    model.generation_config.update(do_sample=False, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    model.save_pretrained(directory)
    (tokenizer or tiny_tokenizer()).save_pretrained(directory)
    return directory


@cache
def _trained() -> str:
    """Return the JSON of a byte-level tokenizer that was trained on the tests' commands."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - MEDIA,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([row["prompt"] + row["completion"] for row in commands()], trainer)
    return tokenizer.to_str()


def tiny_tokenizer() -> Any:
    """Return a tokenizer with a ChatML template, and tokens for images and sound at the end of its vocabulary."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained()),
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )
    fast.add_special_tokens({"additional_special_tokens": [f"<|media_{index}|>" for index in range(VOCABULARY - len(fast))]})
    fast.chat_template = CHAT_TEMPLATE
    return fast

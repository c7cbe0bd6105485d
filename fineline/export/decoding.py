"""The decoding settings that ship: those that were judged, which is greedy decoding."""

import json
from pathlib import Path
from typing import Any

from fineline.models import config

FILE = "generation_config.json"
_KEPT = ("bos_token_id", "eos_token_id", "pad_token_id", "max_length", "max_new_tokens", "use_cache", "cache_implementation")
_ABOUT = ("transformers_version", "_from_model_config")
_GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "diversity_penalty": 0.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "num_beam_groups": 1,
    "early_stopping": False,
    "remove_invalid_values": False,
    "renormalize_logits": False,
    "trust_remote_code": False,
}
"""Values that leave greedy decoding as it is."""


def replaced(model: Path) -> dict[str, Any]:
    """Return the settings in the generation_config.json of a model that were not judged, because they change greedy answers.

    Raises:
        InputError: The file is not valid JSON.
    """
    content = config.read(model, FILE)
    return {
        key: value
        for key, value in content.items()
        if key not in (*_KEPT, *_ABOUT) and not key.startswith("output_") and value is not None and value != _GREEDY.get(key)
    }


def write(model: Path, into: Path) -> None:
    """Write the generation_config.json of a model for greedy decoding, with its ids of special tokens and its limits.

    A file that asks for greedy decoding anyway is copied byte by byte; a model without the file gets none.
    """
    if not (model / FILE).is_file():
        return
    if not replaced(model):
        (into / FILE).write_bytes((model / FILE).read_bytes())
        return
    content = config.read(model, FILE)
    greedy = {key: content[key] for key in (*_ABOUT, *_KEPT) if key in content} | {"do_sample": False}
    (into / FILE).write_text(json.dumps(greedy, indent=2) + "\n", encoding="utf-8")


def as_judged(model: Path, view: Path) -> Path:
    """Return a directory with the files of a model whose decoding settings are those that were judged.

    This is the model's own directory if its settings are; else `view`, an empty directory, which gets links to the others.
    """
    if not replaced(model):
        return model
    for file in model.iterdir():
        if file.name != FILE:
            (view / file.name).symlink_to(file.absolute())
    write(model, view)
    return view

"""The files of a published model that become part of a base model, and their form."""

import json
import re
import shutil
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from fineline.errors import InputError
from fineline.models import config, integrity

SMALL = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model", "*.tiktoken", "tekken.json", "chat_template.jinja", "chat_template.json",
    "additional_chat_templates/*.jinja", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "LICENSE*",
)  # fmt: skip
"""Files next to the weights that are part of a base model. Everything else stays where it is."""
CARD = "README.md"
ADAPTER = "adapter_config.json"
_OTHER_FORMS = {
    "*.bin": "pickles", "*.pt": "pickles", "*.pth": "pickles", "*.pkl": "pickles", "*.ckpt": "pickles", "*.gguf": "GGUF",
    "consolidated*.safetensors": "the publisher's own layout", "*.msgpack": "Flax", "*.h5": "TensorFlow", "*.onnx": "ONNX",
}  # fmt: skip
"""Forms of weights that are never taken: they can run code, are quantized, or have other tensor names."""


def chosen(names: Iterable[str]) -> list[str]:
    """Return the small files of a base model among the files of a directory or repository, by their paths within it."""
    return sorted(name for name in names if any(fnmatch(name, pattern) and _depth(name, pattern) for pattern in SMALL))


def _depth(name: str, pattern: str) -> bool:
    """True if a name has as many directories as a pattern: `*` of fnmatch would match those too."""
    return name.count("/") == pattern.count("/")


def weights(place: Path, names: Iterable[str]) -> list[str]:
    """Return the files of the weights, with the index: those that transformers loads, and no other copies of them.

    Args:
        place: Directory that contains the index, if there is one.
        names: The files of the directory or repository.

    Raises:
        InputError: There are none; the message names what is there instead.
    """
    known = set(names)
    if integrity.SINGLE in known:
        return [integrity.SINGLE]
    if integrity.INDEX in known:
        files = sorted(set(integrity.weight_map(place).values()))
        integrity.check_listed(place, files, known)
        return [integrity.INDEX, *files]
    raise InputError(f"{place}: {_instead(place, known)}")


def _instead(place: Path, names: set[str]) -> str:
    """Return what is there instead of weights that transformers loads, with the remedy."""
    needed = f"a base model needs {integrity.SINGLE}, or {integrity.INDEX} with its files"
    if ADAPTER in names:
        on = config.read(place, ADAPTER).get("base_model_name_or_path")
        return (
            f"no weights but those of an adapter on {on or 'an unnamed base'}; name the base model in `onto`, which the adapter"
            " is then merged into, or use the base model itself"
        )
    for pattern, form in _OTHER_FORMS.items():
        found = sorted(name for name in names if fnmatch(name, pattern) and "/" not in name)
        if found and form == "pickles":
            return (
                f"the weights are pickles ({', '.join(found)}), which can run code when they are loaded;"
                " save the model with `save_pretrained` (safetensors) and use that directory"
            )
        if found:
            return (
                f"no weights in the layout of transformers; {found[0]} is {form}; {needed}: take the repository that has them"
            )
    found = sorted(name for name in names if name.endswith(".safetensors"))
    also = f"; it contains {', '.join(found[:3])}, which transformers does not load" if found else ""
    return f"no weights; {needed}{also}"


def copy(source: Path, names: Iterable[str], into: Path) -> None:
    """Copy files of a directory, with the directories that they are in."""
    for name in names:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)


def card_base(source: Path) -> str:
    """Return the model that a model card names as its base, empty if there is no card or it names none."""
    file = source / CARD
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    front = text.split("\n---", 1)[0] if text.startswith("---") else ""
    found = re.search(r"^base_model:\s*(?:\n\s*-\s*)?['\"]?([\w.-]+/[\w.-]+)", front, re.MULTILINE)
    return found.group(1) if found else ""


def arrange(directory: Path) -> dict[str, str]:
    """Give the small files of a base model one form, in place: chat template as chat_template.jinja, no custom code.

    Returns:
        File name -> how it was changed.
    """
    changed = {}
    processor, template = directory / "chat_template.json", directory / "chat_template.jinja"
    if processor.is_file():
        text = config.read(directory, processor.name).get("chat_template")
        if isinstance(text, str) and not template.is_file():
            template.write_text(text, encoding="utf-8")
        processor.unlink()
        changed[processor.name] = "the chat template of the processor is in chat_template.jinja"
    for file in sorted(directory.glob("*.json")):
        content = config.read(directory, file.name)
        if "auto_map" in content:
            del content["auto_map"]
            _write(file, content)
            changed[file.name] = "custom code (auto_map) is left out; transformers has this model type"
    return changed


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

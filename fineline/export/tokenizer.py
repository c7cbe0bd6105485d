"""The tokenizer files that ship: as the base has them, in words that older releases of transformers know too."""

import json
import shutil
from pathlib import Path

from fineline.models import base_files

FILE = "tokenizer_config.json"
_CLASSES = {"TokenizersBackend": "PreTrainedTokenizerFast"}
"""Name of a class of transformers 5 -> its name in 4, which 5 reads too."""
_OF_TOKENIZER = ("tokenizer", "special_tokens", "added_tokens", "vocab", "merges", "spiece", "sentencepiece", "chat_template")


def write_config(model: Path, into: Path) -> None:
    """Write the tokenizer_config.json of a model; byte by byte, unless only transformers 5 could read it.

    A chat template is written into it too if the model has it in a file, which older releases do not read.
    """
    content = json.loads((model / FILE).read_text(encoding="utf-8"))
    older = dict(content)
    older["tokenizer_class"] = _CLASSES.get(content.get("tokenizer_class"), content.get("tokenizer_class"))
    if isinstance(content.get("extra_special_tokens"), list):  # in 4, this is a mapping
        older["additional_special_tokens"] = older.pop("extra_special_tokens")
    template = model / "chat_template.jinja"
    if template.is_file():
        older.setdefault("chat_template", template.read_text(encoding="utf-8"))
    if older == content:
        shutil.copyfile(model / FILE, into / FILE)
    else:
        (into / FILE).write_text(json.dumps(older, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write(model: Path, into: Path) -> None:
    """Write the tokenizer and chat template of a model into a directory without weights."""
    for name in base_files.chosen(file.name for file in model.iterdir() if file.is_file()):
        if name != FILE and name.startswith(_OF_TOKENIZER):
            shutil.copyfile(model / name, into / name)
    write_config(model, into)

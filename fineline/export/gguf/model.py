"""Building GGUF files from model directories, with a Modelfile for Ollama next to them."""

from pathlib import Path
from typing import Any

from fineline.errors import FinelineError, InputError
from fineline.models import config

MODEL, ADAPTER_FILE = "model.gguf", "adapter.gguf"


def build(model: Path, precision: str, into: Path) -> None:
    """Write the model in a directory as `model.gguf`, with a Modelfile for Ollama.

    Args:
        precision: `fp32`, `fp16`, `int8` or `int4`.

    Raises:
        InputError: The model cannot be a GGUF file, or the package `gguf` is not installed.
        FinelineError: The file could not be written.
    """
    try:
        from fineline.export.gguf import modelfile, tensors, trial, vocabulary, writing
        from fineline.export.gguf.unsupported import Unsupported
    except ImportError as error:
        raise InputError(f"GGUF needs the package {error.name}: pip install 'fineline[gguf]'") from error
    try:
        values = trial.text_values(model)
        words = vocabulary.read(model, values["vocab_size"])
        writing.write(into / MODEL, values, tensors.Checkpoint(model), words, precision, _described(model))
    except (Unsupported, vocabulary.Untranslatable) as error:
        raise InputError(f"{model}: cannot be exported to GGUF: {error}") from error
    except OSError as error:
        raise FinelineError(f"{into / MODEL}: cannot be written: {error}") from error
    text, _ = modelfile.write(MODEL, *_chat(model), begins=_begins(words))
    (into / modelfile.FILE).write_text(text, encoding="utf-8")


def build_adapter(adapter: Path, base: Path, precision: str, into: Path) -> None:
    """Write an adapter as `adapter.gguf`, with its base as `model.gguf` and a Modelfile for both.

    Args:
        adapter: Directory in PEFT's layout.
        base: Directory of its base.
        precision: Of the base.

    Raises:
        InputError: The adapter or the base cannot be a GGUF file.
        FinelineError: A file could not be written.
    """
    build(base, precision, into)
    from fineline.export.gguf import lora, modelfile, trial, vocabulary
    from fineline.export.gguf.unsupported import Unsupported

    values = trial.text_values(base)
    try:
        lora.write(adapter, values, into / ADAPTER_FILE, lora.described(adapter))
    except Unsupported as error:
        raise InputError(f"{adapter}: cannot be exported to GGUF: {error}") from error
    words = vocabulary.read(base, values["vocab_size"])
    text, _ = modelfile.write(MODEL, *_chat(base), begins=_begins(words), adapter=ADAPTER_FILE)
    (into / modelfile.FILE).write_text(text, encoding="utf-8")


def deployable_size(directory: Path) -> int:
    """Return the bytes of model and adapter."""
    return sum(file.stat().st_size for file in directory.glob("*.gguf"))


def _chat(model: Path) -> tuple[Any | None, list[str]]:
    """Return the chat format of a model, None without a chat template, and the texts that end an answer."""
    from fineline.chat.format import ChatFormat
    from fineline.chat.tokenizer import ChatTokenizer
    from fineline.chat.tokens import tokenizer_of
    from fineline.export.gguf import vocabulary

    words = ChatTokenizer.from_transformers(tokenizer_of(model))
    return (ChatFormat(words) if words.templates else None), list(vocabulary.chat_ends(words))


def _begins(words: Any) -> str:
    """Return the text that llama.cpp puts before every prompt by itself."""
    return words.tokens[words.special["bos"]] if words.add_bos else ""


def _described(model: Path) -> dict[str, str]:
    """Return what the file says about a model: nothing that another run would say otherwise."""
    name = config.read(model).get("_name_or_path")
    return {"general.name": str(name)} if name else {}

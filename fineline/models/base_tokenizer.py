"""The tokenizer of a base model: converted once to tokenizer.json, with a chat template, and within the embedding."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline.errors import InputError
from fineline.models import architecture, config
from fineline.models.quiet import quiet


def prepare(directory: Path) -> dict[str, str]:
    """Write tokenizer.json if a model directory has a tokenizer in another form only.

    Returns:
        File name -> how it was made; empty if it was there.

    Raises:
        InputError: The tokenizer is missing, needs a package or custom code, or has no chat template.
    """
    config.required(directory, "tokenizer_config.json")
    if not config.chat_templates(directory):
        raise InputError(
            f"{directory}: the tokenizer has no chat template; use the instruction-tuned model, or add chat_template.jinja"
        )
    if (directory / "tokenizer.json").is_file():
        return {}
    with TemporaryDirectory(dir=directory.parent) as scratch:
        _load(directory).save_pretrained(scratch)
        made = Path(scratch) / "tokenizer.json"
        if not made.is_file():
            raise InputError(f"{directory}: its tokenizer has no form as tokenizer.json; use a model with a fast tokenizer")
        made.replace(directory / made.name)
    return {"tokenizer.json": "converted from the other files of the tokenizer"}


def beyond(directory: Path) -> list[str]:
    """Return the tokens whose ids have no row in the embedding, in the order of their ids.

    Raises:
        InputError: The tokenizer cannot be loaded.
    """
    rows = getattr(architecture.configuration(directory).get_text_config(), "vocab_size", None)
    if not isinstance(rows, int):
        return []
    vocabulary = _load(directory).get_vocab()
    return sorted((token for token, number in vocabulary.items() if number >= rows), key=vocabulary.__getitem__)


def check_fits(directory: Path) -> None:
    """Check that every token has a row in the embedding.

    Raises:
        InputError: One has none.
    """
    if tokens := beyond(directory):
        raise InputError(
            f"{directory}: {len(tokens)} tokens of the tokenizer have no row in the embedding, such as {tokens[0]!r}; set"
            " `resize: true` to add rows, which must then be trained, or remove the tokens"
        )


def _load(directory: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers, sentencepiece and tiktoken raise errors of their own
        reason = " ".join(str(error).split()) or type(error).__name__
        needed = [
            package for package in ("sentencepiece", "tiktoken", "protobuf", "mistral_common") if package in reason.lower()
        ]
        remedy = f"install {needed[0]} (`pip install {needed[0]}`), or use" if needed else "use"
        raise InputError(
            f"{directory}: transformers cannot load its tokenizer: {reason[:300]}; {remedy} a model with tokenizer.json"
        ) from error

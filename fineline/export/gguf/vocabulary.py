"""The tokenizer of a model as metadata of GGUF: tokens, their types, merges or scores, special tokens and chat templates.

llama.cpp has two tokenizers for the models that fineline trains. `gpt2` is byte-level BPE, with one of the pre-tokenizers in
`pretokenizers`. `llama` is sentencepiece's BPE, which replaces spaces by U+2581 and joins neighbors by the score of the result.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fineline.export.gguf import pretokenizers

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""Types of tokens in GGUF."""
SPACE = "\u2581"
_NORMALIZERS = {"NFC"}
"""Of byte-level BPE. llama.cpp has none: a text that is not in this form is read as it is."""
_BYTE = "<0x{:02X}>"


class Untranslatable(Exception):
    """A tokenizer that llama.cpp does not have; the message is the reason."""


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer in the terms of GGUF."""

    model: str
    """`gpt2` (byte-level BPE) or `llama` (sentencepiece)."""
    pre: str
    """Name of the pre-tokenizer."""
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    space_prefix: bool = False
    """True if a space is put before every part of a text."""
    special: Mapping[str, int] = field(default_factory=dict)
    """Role (`bos`, `eos`, `eot`, `unk`, `pad`) -> id."""
    add_bos: bool = False
    templates: Mapping[str, str] = field(default_factory=dict)
    """Name -> chat template; `default` for the one without a name."""
    differences: tuple[str, ...] = ()
    """Texts that llama.cpp tokenizes otherwise than transformers, each in a sentence."""

    def write(self, writer: Any) -> None:
        """Add the metadata to a `gguf.GGUFWriter`."""
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.scores:
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.space_prefix)
        if self.merges:
            writer.add_token_merges(self.merges)
        for role, number in self.special.items():
            getattr(writer, f"add_{role}_token_id")(number)
        writer.add_add_bos_token(self.add_bos)
        writer.add_add_eos_token(False)
        if self.templates:
            named = [{"name": name, "template": template} for name, template in self.templates.items()]
            writer.add_chat_template(self.templates["default"] if [*self.templates] == ["default"] else named)


def read(model: Path, size: int) -> Vocabulary:
    """Return the tokenizer in a model directory, as transformers reads it.

    Args:
        size: Number of rows of the embedding.

    Raises:
        Untranslatable: llama.cpp has no such tokenizer, or the embedding has fewer rows than it has tokens.
    """
    from fineline.chat.tokenizer import ChatTokenizer
    from fineline.chat.tokens import tokenizer_of

    loaded = tokenizer_of(model)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise Untranslatable("its tokenizer is written in Python, without a tokenizer.json")
    content = json.loads(backend.to_str())
    kind, trained = content["model"]["type"], content["model"]
    if kind != "BPE":
        raise Untranslatable(f"llama.cpp's BPE tokenizers cannot express a {kind} tokenizer")
    byte_level = _is_byte_level(content)
    added = {token["id"]: token for token in content["added_tokens"]}
    texts = {number: text for text, number in trained["vocab"].items()} | {
        number: _text(token, byte_level) for number, token in added.items()
    }
    if max(texts, default=0) >= size:
        raise Untranslatable(f"the tokenizer has token {max(texts)}, but the embedding has {size} rows")
    types = [_type(number, texts.get(number), added, trained, byte_level) for number in range(size)]
    tokens = [texts.get(number, f"[PAD{number}]") for number in range(size)]
    if len(set(tokens)) != len(tokens):
        raise Untranslatable("two tokens have the same text")
    chat = ChatTokenizer.from_transformers(loaded)
    _check_stripped(added, chat.templates)
    common: dict[str, Any] = {"tokens": tokens, "types": types, "templates": dict(chat.templates)}
    common |= {"special": _special(chat), "add_bos": _begins_with_bos(chat, loaded)}
    if byte_level:
        if found := _unknown_normalizers(content):
            raise Untranslatable(f"llama.cpp has no normalizer {', '.join(found)} before byte-level BPE")
        pre = pretokenizers.find(backend)
        if pre is None:
            raise Untranslatable("none of llama.cpp's pre-tokenizers cuts texts as its tokenizer does")
        common["differences"] = tuple(_differences(content, pre))
        return Vocabulary("gpt2", pre.name, merges=[_merge(pair) for pair in trained["merges"]], **common)
    return Vocabulary("llama", "default", scores=_scores(trained, tokens), space_prefix=_prefix(content), **common)


def _is_byte_level(content: Mapping[str, Any]) -> bool:
    """True for byte-level BPE, False for sentencepiece's.

    Raises:
        Untranslatable: It is neither.
    """
    steps = [*_steps(content["pre_tokenizer"], "pretokenizers"), *_steps(content["normalizer"], "normalizers")]
    kinds = {step["type"] for step in steps}
    if "ByteLevel" in kinds:
        return True
    spaced = "Metaspace" in kinds or any(
        step["type"] == "Replace" and step["pattern"] == {"String": " "} and step["content"] == SPACE for step in steps
    )
    others = kinds - {"Metaspace", "Replace", "Prepend", "Split"}
    if spaced and content["model"].get("byte_fallback") and not others:
        return False
    raise Untranslatable(
        "its tokenizer is neither byte-level BPE nor sentencepiece's BPE with a fallback to bytes"
        f" ({', '.join(sorted(kinds)) or 'no pre-tokenizer'})"
    )


def _steps(part: Mapping[str, Any] | None, several: str) -> list[Mapping[str, Any]]:
    if part is None:
        return []
    return [step for inner in part[several] for step in _steps(inner, several)] if part["type"] == "Sequence" else [part]


def _unknown_normalizers(content: Mapping[str, Any]) -> list[str]:
    kinds = [step["type"] for step in _steps(content["normalizer"], "normalizers")]
    return [kind for kind in kinds if kind not in _NORMALIZERS]


def _differences(content: Mapping[str, Any], pre: pretokenizers.PreTokenizer) -> Iterator[str]:
    if _steps(content["normalizer"], "normalizers"):
        yield "llama.cpp does not compose accents (Unicode NFC) as the tokenizer does; send composed texts"
    if pre.approximate:
        yield "llama.cpp cuts words with combining marks (Hindi, Thai, decomposed accents) otherwise than the tokenizer does"


def _text(token: Mapping[str, Any], byte_level: bool) -> str:
    """Return an added token as llama.cpp finds it in a text, which is before spaces are replaced."""
    text: str = token["content"]
    return text.replace(SPACE, " ") if token["normalized"] and not byte_level else text


def _type(number: int, text: str | None, added: Mapping[int, Any], trained: Mapping[str, Any], byte_level: bool) -> int:
    if text is None:
        return UNUSED
    if not byte_level and text == trained.get("unk_token"):
        return UNKNOWN
    if number in added:
        return CONTROL if added[number]["special"] else USER_DEFINED
    if not byte_level and len(text) == 6 and text in _BYTES:
        return BYTE
    return NORMAL


_BYTES = frozenset(_BYTE.format(value) for value in range(256))


def _merge(pair: Any) -> str:
    return pair if isinstance(pair, str) else " ".join(pair)


def _scores(trained: Mapping[str, Any], tokens: list[str]) -> list[float]:
    """Return the score of each token: a token that is joined earlier by the list of merges has a higher one."""
    rank: dict[str, int] = {}
    for number, pair in enumerate(trained["merges"]):
        left, right = pair.split(" ") if isinstance(pair, str) else pair
        rank.setdefault(left + right, number)
    return [-float(rank[token]) if token in rank else -1e6 for token in tokens]


def _prefix(content: Mapping[str, Any]) -> bool:
    """True if a space is put before every part of a text between special tokens, as llama.cpp would do it.

    A prefix only at the beginning of a text does not matter: a chat prompt begins with a special token.
    """
    steps = [*_steps(content["pre_tokenizer"], "pretokenizers"), *_steps(content["normalizer"], "normalizers")]
    return any(step["type"] == "Prepend" or step.get("prepend_scheme") == "always" for step in steps)


def _check_stripped(added: Mapping[int, Any], templates: Mapping[str, str]) -> None:
    for token in added.values():
        if (token["lstrip"] or token["rstrip"]) and any(token["content"] in template for template in templates.values()):
            raise Untranslatable(
                f"its token {token['content']} takes the white space next to it, which llama.cpp does not do for this tokenizer"
            )


def _special(chat: Any) -> dict[str, int]:
    """Return role -> id. The end of a turn that answers end with comes first: llama.cpp and Ollama stop at it."""
    found = {}
    for role in ("bos", "unk", "pad"):
        if (text := chat.special.get(f"{role}_token")) in chat.added:
            found[role] = chat.added[text]
    ends = list(chat_ends(chat).values())
    if ends:
        found["eos"] = ends[0]
    if len(ends) > 1:
        found["eot"] = ends[1]
    if len(ends) > 2:
        found["eom"] = ends[2]
    return found


def chat_ends(chat: Any) -> dict[str, int]:
    """Return text -> id of every token that ends an answer: the tokenizer's own first, then by id.

    Args:
        chat: A `ChatTokenizer`.
    """
    from fineline.chat.format import ChatFormat

    ends = ChatFormat(chat).ends if chat.templates else {text: n for text, n in chat.added.items() if n in chat.ends}
    eos = chat.special.get("eos_token")
    return dict(sorted(ends.items(), key=lambda item: (item[0] != eos, item[1])))


def _begins_with_bos(chat: Any, loaded: Any) -> bool:
    """True if prompts begin with the token for the beginning of a text, as they were judged."""
    from fineline.chat.format import ChatFormat

    text = chat.special.get("bos_token")
    if text not in chat.added:
        return False
    if chat.templates:
        prompt = ChatFormat(chat).prompt([{"role": "user", "content": "a"}])
        return prompt.startswith(text) and not prompt.startswith(text * 2) and _is_added(text, loaded)
    return _is_added(text, loaded)


def _is_added(text: str, loaded: Any) -> bool:
    """True if transformers puts the token before a text that does not have it, or no template decides otherwise."""
    return list(loaded("a")["input_ids"])[:1] == [loaded.convert_tokens_to_ids(text)]

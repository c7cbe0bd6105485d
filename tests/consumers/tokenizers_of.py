"""Tokenizers of the kinds that models have, trained on a few texts at test time."""

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from fineline.export.gguf import pretokenizers
from tests.conftest import commands

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' +"
    " m.content + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
SIZE = 700
KINDS = (*(known.name for known in pretokenizers.KNOWN), "gemma", "llama-2")


def texts() -> list[str]:
    """Return the texts that tokenizers are trained on."""
    return [*pretokenizers.TEXTS * 2, *(row["prompt"] + " " + row["completion"] for row in commands())]


def tokenizer(kind: str) -> Any:
    """Return a tokenizer of transformers of one of `KINDS`."""
    return _sentencepiece(kind) if kind in ("gemma", "llama-2") else _byte_level(kind)


def _byte_level(name: str) -> Any:
    known = next(known for known in pretokenizers.KNOWN if known.name == name)
    inner = Tokenizer(models.BPE(ignore_merges=known.whole_words))
    inner.pre_tokenizer, inner.decoder = known.build(), decoders.ByteLevel()
    if name == "qwen2":
        inner.normalizer = normalizers.NFC()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts(), trainer)
    inner.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("  two spaces", normalized=False)])
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = CHATML
    return fast


def _sentencepiece(kind: str) -> Any:
    """Return a tokenizer as transformers makes it of sentencepiece's BPE model."""
    learning = Tokenizer(models.BPE())
    learning.normalizer = normalizers.Replace(" ", "\u2581")
    learning.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=SIZE, show_progress=False))
    import json

    trained = json.loads(learning.to_str())["model"]
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    words = [*special, *(f"<0x{value:02X}>" for value in range(256)), *trained["vocab"]]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in trained["merges"]]
    inner = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    spaces = normalizers.Replace(" ", "\u2581")
    if kind == "gemma":
        inner.normalizer = spaces
        inner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), spaces])
    inner.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    from tokenizers import processors

    inner.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    inner.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in special])
    inner.add_tokens([AddedToken("\n\n\n", normalized=False)])
    names = {"bos_token": "<bos>", "eos_token": "<end_of_turn>", "unk_token": "<unk>", "pad_token": "<pad>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, **names)
    fast.chat_template = GEMMA
    return fast

"""Twelve families that people fine-tune: tiny random models with tokenizers and chat templates that behave like the real ones.

The templates are written for these tests: a few lines each, with the header, the block of reasoning, the end of turn, the date
and the treatment of the system message of the family.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests import zoo
from tests.conftest import commands
from tests.zoo_sizes import MEDIA

_SYSTEM = "{% set first = messages[0].content if messages[0].role == 'system' else '' %}"
_TURNS = "{% for m in messages if m.role != 'system' %}"
_ROLE = "{{ 'model' if m.role == 'assistant' else m.role }}"
_THOUGHT = "{% if m.role == 'assistant' %}{{ '<think>\n' + (m.reasoning_content or '') + '\n</think>\n\n' }}{% endif %}"

LLAMA = (  # a date in every prompt, contents are trimmed
    "{{ '<|bos|><|header|>system<|/header|>\n\nToday Date: ' + strftime_now('%d %b %Y') + '\n\n' }}"
    + _SYSTEM
    + "{{ (first | trim) + '<|eot|>' }}"
    + _TURNS
    + "{{ '<|header|>' + m.role + '<|/header|>\n\n' + (m.content | trim) + '<|eot|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|header|>assistant<|/header|>\n\n' }}{% endif %}"
)
_CHATML = "{{ '<|im_start|>' + m.role + '\n' }}"
QWEN3 = (  # the last answer begins with a block of reasoning, an empty one without any
    "{% for m in messages %}" + _CHATML + "{% if loop.last %}" + _THOUGHT + "{% endif %}{{ m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
QWEN35 = (  # the generation prompt opens a block of reasoning
    "{% for m in messages %}" + _CHATML + "{% if loop.last %}" + _THOUGHT + "{% endif %}{{ m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '\n</think>\n\n' }}{% endif %}{% endif %}"
)
GEMMA3 = (  # the role has another name, the system message is part of the first question
    "{{ '<bos>' }}" + _SYSTEM + _TURNS + "{{ '<start_of_turn>' }}" + _ROLE + "{{ '\n' }}"
    "{% if loop.first and first %}{{ first + '\n\n' }}{% endif %}{{ (m.content | trim) + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA4 = (  # a system turn, and an empty channel of thought in the generation prompt
    "{{ '<bos>' }}{% for m in messages %}{{ '<|turn>' }}"
    + _ROLE
    + "{{ '\n' }}{{ (m.content | trim) + '<turn|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\n' }}"
    "{% if not enable_thinking | default(false) %}{{ '<|channel>thought\n<channel|>' }}{% endif %}{% endif %}"
)
MISTRAL = (  # the system message is in the last question, an answer begins with a space
    "{{ '<s>' }}" + _SYSTEM + _TURNS + "{% if m.role == 'user' %}{{ '[INST] ' }}{% if loop.last or loop.revindex == 2 %}"
    "{% if first %}{{ first + '\n\n' }}{% endif %}{% endif %}{{ m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}"
)
GPT_OSS = (  # a header with the date, channels, and another end for the last answer
    "{{ '<|start|>system<|message|>Current date: ' + strftime_now('%Y-%m-%d') + '<|end|>' }}"
    "{% for m in messages %}{% if m.role == 'assistant' %}{% if m.thinking and loop.last %}"
    "{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + ('<|return|>' if loop.last else '<|end|>') }}"
    "{% else %}{{ '<|start|>' + ('developer' if m.role == 'system' else m.role) + '<|message|>' + m.content + '<|end|>' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
PHI4 = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
)
GLM4 = (  # no end of a turn but the next one, an empty block of reasoning
    "{{ '[gMASK]<sop>' }}{% for m in messages %}{{ '<|' + m.role + '|>\n' }}"
    "{% if m.role == 'assistant' %}{{ '<think>' + (m.reasoning_content or '') + '</think>\n' }}{% endif %}{{ m.content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think></think>\n' }}{% endif %}{% endif %}"
)
DEEPSEEK = (  # the system message has no mark
    "{{ '<|begin|>' }}" + _SYSTEM + "{{ first }}" + _TURNS + "{% if m.role == 'user' %}{{ '<|User|>' + m.content }}"
    "{% else %}{{ '<|Assistant|>' + m.content + '<|end_of_sentence|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|>' }}{% endif %}"
)
GRANITE4 = (  # a default system message, tools in it
    _SYSTEM + "{{ '<|role|>system<|/role|>' + (first or 'You are a helpful assistant.') }}"
    "{% if tools %}{{ '\n<tools>' + (tools | tojson) + '</tools>' }}{% endif %}{{ '<|end_of_text|>\n' }}" + _TURNS
    + "{{ '<|role|>' + m.role + '<|/role|>' + m.content + '<|end_of_text|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|role|>assistant<|/role|>' }}{% endif %}"
)  # fmt: skip
SMOLLM3 = (  # metadata with the date, and an empty block of reasoning in answers
    _SYSTEM + "{{ '<|im_start|>system\n## Metadata\nToday Date: ' + strftime_now('%d %B %Y') + '\n\n' }}"
    "{{ first + '<|im_end|>\n' }}"
    + _TURNS + "{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n' + m.content + '<|im_end|>\n' }}"
    "{% else %}" + _CHATML + "{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if not enable_thinking | default(true) %}{{ '<think>\n\n</think>\n' }}{% endif %}{% endif %}"
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A family: its model type, template and tokenizer."""

    model_type: str
    template: str
    special: tuple[str, ...]
    """Special tokens: the one that begins a text, the tokenizer's EOS, then those of the template."""
    ends: tuple[str, ...]
    """Tokens with which generation_config.json ends an answer."""
    words: Literal["bytes", "marks"] = "bytes"
    """Byte-level BPE, or pieces that mark the beginnings of words."""
    chat: dict[str, Any] = field(default_factory=dict)
    """Settings of `curate.chat`."""


_THINK = ("<think>", "</think>")
_IM = ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|im_sep|>", *_THINK)
FAMILIES = {
    "Llama 3": Family("llama", LLAMA, ("<|bos|>", "<|eot|>", "<|header|>", "<|/header|>", "<|eom|>"), ("<|eot|>", "<|eom|>")),
    "Qwen3": Family("qwen3", QWEN3, _IM, ("<|im_end|>", "<|endoftext|>")),
    "Qwen3.5": Family("qwen3_5_text", QWEN35, _IM, ("<|im_end|>",), chat={"variables": {"enable_thinking": False}}),
    "Gemma 3": Family(
        "gemma3_text", GEMMA3, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"), ("<end_of_turn>", "<eos>"), "marks"
    ),
    "Gemma 4": Family(
        "gemma4_text",
        GEMMA4,
        ("<bos>", "<eos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"),
        ("<turn|>", "<eos>"),
        "marks",
    ),
    "Mistral": Family("mistral", MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]"), ("</s>",), "marks"),
    "gpt-oss": Family(
        "gpt_oss",
        GPT_OSS,
        ("<|startoftext|>", "<|return|>", "<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|call|>"),
        ("<|return|>", "<|call|>"),
    ),
    "Phi-4": Family("phi3", PHI4, _IM, ("<|im_end|>",)),
    "GLM-4": Family(
        "glm4_moe",
        GLM4,
        ("<sop>", "<|endoftext|>", "[gMASK]", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", *_THINK),
        ("<|user|>", "<|endoftext|>", "<|observation|>"),
    ),
    "DeepSeek V3": Family(
        "deepseek_v3", DEEPSEEK, ("<|begin|>", "<|end_of_sentence|>", "<|User|>", "<|Assistant|>"), ("<|end_of_sentence|>",)
    ),
    "Granite 4": Family(
        "granitemoehybrid", GRANITE4, ("<|start|>", "<|end_of_text|>", "<|role|>", "<|/role|>"), ("<|end_of_text|>",)
    ),
    "SmolLM3": Family("smollm3", SMOLLM3, _IM, ("<|im_end|>",)),
}  # fmt: skip


def save(family: Family, directory: Path) -> Path:
    """Write a tiny model of a family with its tokenizer into a directory, and return it."""
    tokenizer = tokenizer_of(family)
    zoo.save(family.model_type, "causal", directory, tokenizer=tokenizer)
    file = directory / "generation_config.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    ends = [tokenizer.convert_tokens_to_ids(end) for end in family.ends]
    content |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": ends if len(ends) > 1 else ends[0]}
    file.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return directory


def tokenizer_of(family: Family) -> Any:
    """Return the tokenizer of a family, trained on the tests' commands. It begins a text with its first special token."""
    begin, eos, *others = family.special
    special = ["<|pad|>", begin, eos, *others]
    inner = Tokenizer(models.BPE(unk_token="<|pad|>", byte_fallback=family.words == "marks"))
    texts = [row["prompt"] + " " + row["completion"] for row in commands()]
    if family.words == "bytes":
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    else:
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        inner.decoder = decoders.Metaspace(prepend_scheme="first")
        alphabet = sorted({*"".join(texts), *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:#\n"})
    trainer = trainers.BpeTrainer(
        vocab_size=zoo.VOCABULARY - MEDIA, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(texts, trainer)
    number = inner.token_to_id(begin)
    inner.post_processor = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, number)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token=begin, eos_token=eos, pad_token="<|pad|>", unk_token="<|pad|>"
    )
    fast.add_special_tokens({"additional_special_tokens": others})
    fast.chat_template = family.template
    return fast

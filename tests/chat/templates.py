"""Chat templates that behave as those of publishers do, in a few lines each, and a tokenizer of characters for them."""

import re

from fineline.chat.tokenizer import ChatTokenizer

_OPEN = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
_ASK_THINKING = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}"
_ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
_REASONS = "{% if m.role == 'assistant' %}{{ '<think>\n' + (m.reasoning_content or '') + '\n</think>\n\n' }}{% endif %}"

CHATML = _OPEN + "{{ m.content + '<|im_end|>\n' }}{% endfor %}" + _ASK
EMPTY_BLOCK = (  # the last answer begins with a block of reasoning, an empty one without any
    _OPEN
    + _REASONS.replace("== 'assistant'", "== 'assistant' and loop.last")
    + "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    + _ASK
)
OPENS_BLOCK = (  # the generation prompt opens a block, which an answer has only if the row reasons
    _OPEN + _REASONS.replace("== 'assistant'", "== 'assistant' and m.reasoning_content")
    + "{{ m.content + '<|im_end|>\n' }}{% endfor %}" + _ASK_THINKING + "{% endif %}"
)  # fmt: skip
CLOSES_BLOCK = (  # the generation prompt has an empty block, unless a variable opens it
    _OPEN + _REASONS.replace("== 'assistant'", "== 'assistant' and m.reasoning_content")
    + "{{ m.content + '<|im_end|>\n' }}{% endfor %}" + _ASK_THINKING +
    "{% if not enable_thinking %}{{ '\n</think>\n\n' }}{% endif %}{% endif %}"
)  # fmt: skip
CHANNELS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% if m.thinking and loop.last %}"
    "{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content }}{{ '<|return|>' if loop.last else '<|end|>' }}"
    "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
NO_END = (  # the next turn ends an answer
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}"
    "{{ '<|observation|>' if m.role == 'tool' else '<|' + m.role + '|>' }}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TRIMS = _OPEN + "{{ (m.content | trim) + '<|im_end|>\n' }}{% endfor %}" + _ASK
CALLS_AS_TEXT = (  # arguments are pasted as they are
    "{% if tools %}{{ tools | tojson }}{% endif %}" + _OPEN + "{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{{ '<tool_call>{\"name\": \"' + c.function.name + '\", \"arguments\": ' + c.function.arguments + '}</tool_call>' }}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}" + _ASK
)  # fmt: skip
CALLS_WITH_IDS = (  # arguments are objects, and ids have nine letters
    "{% if tools %}{{ tools | tojson }}{% endif %}" + _OPEN + "{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{% if c.id is not defined or c.id | length != 9 %}{{ raise_exception('ids have nine letters') }}{% endif %}"
    "{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    + _ASK
)  # fmt: skip
LOSES_SYSTEM = CHATML.replace(
    "{% for m in messages %}",
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}{% for m in messages %}",
)
SYSTEM_LAST = (  # the system message is in the last user message, if that is the last message of all
    "{% set system = messages[0].content if messages[0].role == 'system' else '' %}{% for m in messages %}"
    "{% if m.role == 'user' %}{{ '[INST]' }}{% if loop.last and system %}{{ system + '\n\n' }}{% endif %}"
    "{{ m.content + '[/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ m.content + '</s>' }}{% endif %}{% endfor %}"
)
PARTS_ONLY = (
    _OPEN
    + "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    + _ASK
)
ASKS_DATE = "{{ 'Today: ' + strftime_now('%d %b %Y %H:%M') + '\n' }}" + CHATML

_MARKS = re.compile(r"(<\|\w+\|>|</?s>|<eos>|\[/?INST\]|</?tool_call>)")


def tokenizer_with(template, ends):
    """Return a tokenizer of characters that knows the marks of the templates as single tokens."""
    templates = {"default": template} if isinstance(template, str) else template
    known = sorted(
        {mark for text in templates.values() for mark in _MARKS.findall(text)}
        | {"<|user|>", "<|assistant|>", "<eos>", "<|im_end|>"}
    )
    added = {mark: 1_200_000 + number for number, mark in enumerate(known)}
    text_of = {number: mark for mark, number in added.items()}

    def ids(text):
        return [number for piece in _MARKS.split(text) for number in ([added[piece]] if piece in added else map(ord, piece))]

    return ChatTokenizer(
        ids=ids,
        templates=templates,
        special={"eos_token": "</s>" if "</s>" in added else "<eos>"},
        added=added,
        decode=lambda numbers: "".join(text_of.get(number) or chr(number) for number in numbers),
        lengths=lambda texts: [len(ids(text)) for text in texts],
        ends=frozenset(added[end] for end in ends if end in added),
    )

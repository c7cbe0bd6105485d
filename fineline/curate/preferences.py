"""Preference pairs: rows with a better and a worse answer to one prompt, as preference optimization learns from them.

| keys                                                | written by                                           |
|-----------------------------------------------------|------------------------------------------------------|
| `chosen`, `rejected`: texts                         | TRL, with `prompt`, `instruction` or `question`       |
| `chosen`, `rejected`: a message or a list of them   | TRL's conversational format, LLaMA-Factory            |
| `chosen`, `rejected`: dialogs as text               | `\\n\\nHuman: … \\n\\nAssistant: …`, without a prompt     |
| `preferred_output`, `non_preferred_output`          | OpenAI, with `input`                                  |
"""

import re
from typing import Any

from fineline.curate.messages import MessageReader, is_conversation
from fineline.curate.reading import Fields, Rejected, parsed

_KEYS = (("chosen", "rejected"), ("preferred_output", "non_preferred_output"))
_BETTER = frozenset(better for better, _ in _KEYS)
_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


def keys_of(fields: Fields) -> tuple[str, str] | None:
    """Return the names of the better and the worse answer; None if the row is not a preference pair."""
    if fields.lacks(_BETTER):
        return None
    if fields.has("chosen", "chosen") and fields.has("rejected", "rejected"):
        return fields.renamed.get("chosen", "chosen"), fields.renamed.get("rejected", "rejected")
    better, worse = _KEYS[1]
    return (better, worse) if fields.has(better, better) and fields.has(worse, worse) else None


def chosen(fields: Fields, keys: tuple[str, str], reader: MessageReader, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the conversation with the better answer.

    Args:
        before: Messages of the prompt; empty if the better answer is the whole conversation.

    Raises:
        Rejected: There is no prompt, or the better answer is neither text nor a message.
    """
    value = fields.get("chosen", *(better for better, _ in _KEYS))
    fields.get("rejected", *(worse for _, worse in _KEYS))
    value = parsed(value) if isinstance(value, str) and value[:2] in ("[{", '{"') and is_conversation(parsed(value)) else value
    if isinstance(value, dict):
        value = [value]
    if is_conversation(value):
        said = reader.conversation(value)
        first = next((message for message in said if message["role"] != "system"), said[0])
        repeats = bool(before) and before[-1]["role"] == first["role"] == "user"
        return said if repeats else before + said
    if not isinstance(value, str):
        raise Rejected(f"`{keys[0]}` must be text or messages")
    if before:
        return [*before, {"role": "assistant", "content": value}]
    pieces = _SPEAKER.split(value)
    if len(pieces) < 5 or pieces[0].strip():
        raise Rejected("a preference pair without a prompt")
    roles = {"Human": "user", "Assistant": "assistant"}
    return [{"role": roles[speaker], "content": text.strip()} for speaker, text in zip(pieces[1::2], pieces[2::2], strict=True)]

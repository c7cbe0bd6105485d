"""The columns of a row that decide its layout.

A list of messages under its usual names comes first, then a prompt with the completion that usually comes with it, then a list
of messages under a name that may mean something else, then any prompt with any completion, then a text.
"""

from typing import Any

from fineline.curate.reading import Fields, Rejected, is_empty, parsed

LISTS = ("messages", "conversations", "conversation", "dialog", "dialogue", "dialogs", "turns", "chat", "contents")
"""Columns of a list of messages, the most usual one first."""
_SURE = LISTS[:2]
"""Columns that are always a list of messages; the others have other meanings too."""
Pair = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
PAIRS: tuple[Pair, ...] = (  # layout, and keys of prompt, context and completion, the most usual one first
    ("prompt_completion", ("prompt",), ("context",), ("completion", "response")),
    ("instruction", ("instruction",), ("input", "context"), ("output", "response")),
    ("question_answer", ("question",), ("context",), ("answer", "answers")),
    ("prompt_completion", ("query",), ("context",), ("response", "answer")),
    ("prompt_completion", ("input",), ("context",), ("output",)),
    ("prompt_completion", ("inputs",), (), ("targets", "outputs")),
    ("question_answer", ("problem",), (), ("solution", "answer")),
    ("prompt_completion", ("user",), (), ("assistant",)),
    ("prompt_completion", ("human",), (), ("assistant", "gpt", "bot")),
)
_ANSWERS = ("completion", "response", "output", "answer", "answers")
"""Completions of any of the prompts in `_ASKED`, if the row has none that usually comes with its prompt."""
_ASKED = ("prompt", "instruction", "question", "query", "input")
_MOST_KEYS = 200  # characters of a list of keys in a message


def layout_of(fields: Fields, prompted: bool) -> str:
    """Return the layout of a row.

    Args:
        prompted: True if its part has a prompt, which texts answer.

    Raises:
        Rejected: It has no completion, or no layout fits.
    """
    if ("messages" in fields.renamed and fields.has("messages")) or any(not is_empty(fields.usual.get(name)) for name in _SURE):
        return "messages"
    asked = [pair for pair in PAIRS if fields.has("prompt", *pair[1])]
    for pairs in (PAIRS[:3], PAIRS[3:]):
        whole = next((pair for pair in asked if pair in pairs and fields.has("completion", *pair[3])), None)
        if whole is not None:
            return whole[0]
        if prompted and fields.has("text", "text"):
            return "text"
    if list_of(fields) is not None:
        return "messages"
    pair = pair_of(fields, None)
    if pair is not None:
        return pair[0]
    if fields.has("text", "text"):
        return "text"
    if asked:
        raise Rejected("no completion")
    if any(name in fields.usual for name in _SURE):
        raise Rejected("`messages` must be a list of messages, and not empty")
    keys = ", ".join(map(str, fields.content))[:_MOST_KEYS]
    raise Rejected(f"no layout fits; name `layout` and `columns` of its part (keys: {keys or 'none'})")


def list_of(fields: Fields) -> str | None:
    """Return the name of the column with a list of messages; None without one."""
    for name in LISTS:
        value = fields.usual.get(name)
        if not is_empty(value) and (name in _SURE or _holds_objects(parsed(value))):
            return name
    return None


def _holds_objects(value: Any) -> bool:
    """True for a list of objects, or for an object of lists, as some Parquet files have it."""
    if isinstance(value, dict):
        return bool(value) and all(isinstance(column, list) for column in value.values())
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def pair_of(fields: Fields, layout: str | None) -> Pair | None:
    """Return layout, prompt, context and completion of the first pair that a row has as a whole; else of any two that it has.

    Some data sets have a prompt and a completion of one pair, and a text rendered from both under the prompt of another.
    """
    asked = [pair for pair in PAIRS if layout in (None, pair[0]) and fields.has("prompt", *pair[1])]
    for pair in asked:
        if fields.has("completion", *pair[3]):
            return pair
    for name, prompt, context, completion in asked:
        if prompt[0] in _ASKED and fields.has("completion", *_ANSWERS):
            return name, prompt, context, (*completion, *_ANSWERS)
    return None

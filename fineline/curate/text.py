"""Text as curation compares it: taken from conversations, normalized, split into words, hashed.

All hashes have 64 bits and are the same in every process and on every machine. A shingle is a sequence of three words. The
hash of a sequence is computed from the hashes of its words, so shingles and longer sequences of a whole batch are computed at
once.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import rensa

SHINGLE = 3  # words
# scripts without spaces between words: each character counts as a word (kana, CJK ideographs, Thai, Lao, Khmer, Myanmar)
_ALONE = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
_INDENTED = re.compile(r"\n[ \t]+\S")
_RAISED = re.compile("[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2094\u2150-\u2189\u2460-\u24ff\u2776-\u2793]")
"""Superscripts, subscripts, fractions and circled numbers."""
_SHORT = 7  # spaces; answers of fewer words are labels, names and formulas rather than prose
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: multiplying mixes upwards
_SHIFT = np.uint64(29)


def prompt_text(messages: list[dict[str, Any]]) -> str:
    """Return everything before the completion, without the reasoning of earlier answers."""
    return "\n".join(map(message_text, messages[:-1]))


def completion_text(messages: list[dict[str, Any]]) -> str:
    """Return the text of the last message without its reasoning. Ids of tool calls, which are often random, are left out."""
    last = messages[-1]
    calls = last.get("tool_calls")
    if calls and any("id" in call for call in calls):
        last = last | {"tool_calls": [{name: value for name, value in call.items() if name != "id"} for call in calls]}
    return message_text(last)


def reasoning_text(messages: list[dict[str, Any]]) -> str:
    """Return the reasoning of every answer; mostly none."""
    return "\n".join(message["reasoning_content"] for message in messages if "reasoning_content" in message)


def answer_text(messages: list[dict[str, Any]]) -> str:
    """Return the completion after the reasoning of all answers: the text that is searched for leaks."""
    reasoning, completion = reasoning_text(messages), completion_text(messages)
    return f"{reasoning}\n{completion}" if reasoning else completion


def message_text(message: dict[str, Any]) -> str:
    """Return the content of a message, followed by its tool calls as JSON."""
    calls = message.get("tool_calls")
    content: str = message["content"]
    return content + (orjson.dumps(calls).decode() if calls else "")


def normalize(text: str) -> str:
    """Return the text in Unicode NFKC, case-folded, with white space collapsed: the loose form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def exact(text: str) -> str:
    """Return the strict form of a text: the text itself, with one form of line ends, and of accents (Unicode NFC)."""
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def exact_answer(text: str) -> str:
    """Return the strict form of a completion without what separates it from its prompt and from what follows.

    That is white space at the end, and line breaks or one space at the beginning. Deeper indentation is content.
    """
    answer = exact(text).rstrip().lstrip("\n")
    return answer[1:] if answer[:1] == " " and answer[1:2] != " " else answer


def compared_answer(answer: str, normalized: str, prompt: str) -> str:
    """Return the form in which strict comparison looks for copies of a completion.

    Prose that was copied in capitals or with other spaces is a copy, so it is compared in its loose form. Where the form may be
    what the task is about, the strict form is compared: in short answers and JSON, in indented lines, in numbers such as x²,
    and in an answer that the prompt contains in another form.

    Args:
        normalized: The loose form of the completion.
        prompt: The loose form of the prompt.
    """
    about_form = (
        normalized.count(" ") < _SHORT
        or normalized[0] in "{["
        or _INDENTED.search(answer) is not None
        or normalized in prompt
        or (not answer.isascii() and _RAISED.search(answer) is not None)
    )
    return exact_answer(answer) if about_form else normalized


def words(normalized: str) -> list[str]:
    """Return the words of a normalized text; the whole text if it has none (an emoji, a formula)."""
    return _WORD.findall(normalized) or [normalized]


def key(text: str) -> int:
    """Return a 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def keys(texts: list[str]) -> np.ndarray:
    """Return the (texts,) uint64 keys of texts."""
    return np.array([key(text) for text in texts], dtype=np.uint64)


@dataclass(frozen=True)
class Words:
    """The words of many texts as hashes, one text after another."""

    hashes: np.ndarray
    """(words of all texts,) uint64."""
    starts: np.ndarray
    """(texts + 1,) int64: text t is `hashes[starts[t]:starts[t + 1]]`."""

    @classmethod
    def from_texts(cls, texts: list[list[str]]) -> "Words":
        """Hash the words of each text; every text has at least one word."""
        flat = [word for text in texts for word in text]
        hashed = rensa.RMinHash.hash_token_sets([flat])[0] if flat else []
        return cls(np.array(hashed, dtype=np.uint64), _starts(np.array([len(text) for text in texts], dtype=np.int64)))

    def sequences(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return hashes of every sequence of `length` words of each text; one shorter sequence for a text with fewer words.

        Returns:
            (sequences of all texts,) uint64 and the (texts + 1,) int64 starts of each text's sequences.
        """
        sizes = np.diff(self.starts)
        runs = np.maximum(sizes - length + 1, 1)
        starts = _starts(runs)
        if not len(self.hashes):
            return self.hashes, starts
        text = np.repeat(np.arange(len(sizes)), runs)
        first = self.starts[text] + np.arange(starts[-1]) - starts[text]
        ends = self.starts[text + 1]
        total = np.zeros(len(first), dtype=np.uint64)
        for step in range(length):
            place = first + step
            inside = place < ends
            word = self.hashes[np.minimum(place, len(self.hashes) - 1)]
            total = np.where(inside, mixed(total ^ word), total)
        return total, starts


def mixed(values: np.ndarray) -> np.ndarray:
    """Spread every bit of uint64 values over all others (multiply, shift, multiply)."""
    values = values * _MULTIPLIER
    values = values ^ (values >> _SHIFT)
    return values * _MULTIPLIER


def interleaved_shingles(prompts: Words, completions: Words) -> tuple[np.ndarray, np.ndarray]:
    """Return the shingles of prompt, completion, prompt, completion ..., and their (2 rows + 1,) starts."""
    return _interleaved(prompts.sequences(SHINGLE), completions.sequences(SHINGLE))


def joined(prompts: Words, completions: Words) -> Words:
    """Return prompt and completion of each row as one text."""
    hashes, starts = _interleaved((prompts.hashes, prompts.starts), (completions.hashes, completions.starts))
    return Words(hashes, starts[0::2])


def selected(values: np.ndarray, starts: np.ndarray, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of some of the sets, and their starts.

    Args:
        sets: Indices of the sets, in order.
    """
    sizes = np.diff(starts)
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[sets] = True
    return values[np.repeat(chosen, sizes)], _starts(sizes[chosen])


def _interleaved(one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Alternate the sets of two lists of sets, each given as values and starts."""
    sizes = np.column_stack([np.diff(one[1]), np.diff(two[1])]).ravel()
    owner = np.repeat(np.arange(len(sizes)), sizes)
    values = np.empty(len(owner), dtype=np.uint64)
    values[owner % 2 == 0] = one[0]
    values[owner % 2 == 1] = two[0]
    return values, _starts(sizes)


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

"""The order of a conversation: what is joined and trimmed, and what is rejected.

1. System messages at the beginning are joined; blank ones are left out. A later one rejects the row.
2. Messages before the first message of the user are removed.
3. Messages after the last answer that is learned are removed. Without such an answer the row is left out.
4. Consecutive messages of the user, or of the assistant, are joined by a blank line; calls follow the text before them, and
   consecutive calls are parallel calls. Messages that cannot be joined without changing the order reject the row.
5. User and assistant alternate from then on, with tool results between a call and the next answer.
"""

from typing import Any

from fineline.curate.reading import Reading, Rejected, Unwanted

_ALLOWED = {"assistant": ("user", "tool"), "user": ("assistant",), "tool": ("assistant", "tool")}
"""Role -> roles that may follow it."""


def arranged(messages: list[dict[str, Any]], reading: Reading) -> list[dict[str, Any]]:
    """Return a conversation that begins with an optional system message and the user, and ends with a learned answer.

    Raises:
        Rejected: There is no answer or no prompt, a message is blank, or roles do not alternate.
        Unwanted: No answer is to be learned.
    """
    first = next((place for place, message in enumerate(messages) if message["role"] != "system"), len(messages))
    system = _joined_system(messages[:first], reading)
    turns = messages[first:]
    answers = [place for place, message in enumerate(turns) if message["role"] == "assistant"]
    if not answers:
        raise Rejected("no completion")
    learned = [place for place in answers if "weight" not in turns[place]]
    if not learned:
        raise Unwanted("no answer is to be learned: all have weight 0")
    if learned[-1] < len(turns) - 1:
        turns = turns[: learned[-1] + 1]
        reading.notes.add("trimmed_end")
    start = next((place for place, message in enumerate(turns) if message["role"] == "user"), None)
    if start is None:
        raise Rejected("no prompt")
    if start:
        turns = turns[start:]
        reading.notes.add("trimmed_start")
    turns = _joined(turns, reading)
    _check_blank(turns, len(system))
    _check_roles(turns)
    return system + turns


def _joined_system(messages: list[dict[str, Any]], reading: Reading) -> list[dict[str, Any]]:
    said = [message for message in messages if message["content"].strip()]
    if len(said) < 2:
        return said
    reading.notes.add("joined_system")
    return [said[0] | {"content": "\n\n".join(message["content"] for message in said)}]


def _check_blank(turns: list[dict[str, Any]], before: int) -> None:
    for place, message in enumerate(turns):
        if not message["content"].strip() and not message.get("tool_calls") and message["role"] != "tool":
            raise Rejected("no completion" if place == len(turns) - 1 else f"message {before + place}: blank")


def _joined(turns: list[dict[str, Any]], reading: Reading) -> list[dict[str, Any]]:
    joined: list[dict[str, Any]] = []
    for turn in turns:
        before = joined[-1] if joined else None
        if before is None or before["role"] != turn["role"] or turn["role"] not in ("user", "assistant"):
            joined.append(turn)
            continue
        if not _fit(before, turn):
            why = "; they cannot be joined without changing what they say"
            raise Rejected(f"roles must alternate user, assistant; found {turn['role']} after {turn['role']}{why}")
        reading.notes.add("joined_messages")
        content = "\n\n".join(text for text in (before["content"], turn["content"]) if text.strip())
        calls = before.get("tool_calls", []) + turn.get("tool_calls", [])
        joined[-1] = before | turn | {"content": content} | ({"tool_calls": calls} if calls else {})
    return joined


def _fit(before: dict[str, Any], turn: dict[str, Any]) -> bool:
    """True if two messages of one role say the same, in the same order, as one message."""
    if any(before.get(name) != turn.get(name) for name in ("name", "weight")):
        return False
    if turn["content"].strip() and before.get("tool_calls"):
        return False
    said = before["content"].strip() or before.get("tool_calls") or before.get("reasoning_content")
    return not (said and turn.get("reasoning_content"))


def _check_roles(turns: list[dict[str, Any]]) -> None:
    before = "assistant"
    for message in turns:
        role = message["role"]
        if role not in _ALLOWED[before]:
            found = "a system message" if role == "system" else role
            raise Rejected(f"roles must alternate user, assistant; found {found} after {before}")
        before = role

"""A raw line becomes a row of chat messages, or is rejected with its line number and the reason."""

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Row:
    """One training example."""

    id: str
    """First 16 hex digits of the sha256 of the messages: the same example has the same id wherever it stands."""
    group: str
    """What must not be divided between splits; the normalised prompt where the source declares none."""
    messages: tuple[dict[str, str], ...]

    @property
    def prompt(self) -> str:
        """Everything before the completion, normalised: Unicode NFKC, case folded, white space collapsed."""
        return normalise("\n".join(f"{message['role']}: {message['content']}" for message in self.messages[:-1]))

    @property
    def completion(self) -> str:
        """The last assistant turn, which the model learns to give."""
        return self.messages[-1]["content"]


class Rejected(Exception):
    """A row that cannot be used; the message is the reason."""


def read(file: Path, system: str | None) -> tuple[list[Row], list[dict[str, Any]]]:
    """Read raw JSONL.

    Args:
        system: System message for rows that bring none.

    Returns:
        Rows in file order, and the rejected ones as `{line, reason, row}` (row: the raw text).
    """
    accepted, rejected = [], []
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            try:
                accepted.append(_row(raw, system))
            except Rejected as reason:
                text = raw.decode("utf-8", errors="replace").rstrip("\n")
                rejected.append({"line": number, "reason": str(reason), "row": text})
    return accepted, rejected


def normalise(text: str) -> str:
    """Text as duplicates are told by it."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _row(raw: bytes, system: str | None) -> Row:
    try:
        content = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Rejected(f"not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise Rejected(f"not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise Rejected(f"a row is a JSON object, found {type(content).__name__}")
    messages = _messages(content)
    if system is not None and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    identity = hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()[:16]
    row = Row(identity, "", tuple(messages))
    group = content.get("group")
    return Row(identity, row.prompt if group is None else str(group), row.messages)


def _messages(content: dict[str, Any]) -> list[dict[str, str]]:
    """The messages of either layout: `messages`, or `prompt` and `completion`."""
    if "messages" in content:
        return _checked(content["messages"])
    if "prompt" in content:
        if "completion" not in content:
            raise Rejected("no completion")
        turns = [("user", content["prompt"]), ("assistant", content["completion"])]
        return _checked([{"role": role, "content": text} for role, text in turns])
    raise Rejected(f"neither `messages` nor `prompt` and `completion` among its keys: {', '.join(content) or 'none'}")


def _checked(messages: Any) -> list[dict[str, str]]:
    """Roles alternate after an optional system message, texts are not blank, and the last turn is the assistant's."""
    if not isinstance(messages, list) or not messages:
        raise Rejected("`messages` is no list, or empty")
    for position, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise Rejected(f"message {position}: the role must be one of {', '.join(ROLES)}")
        if not isinstance(message.get("content"), str):
            raise Rejected(f"message {position}: the content must be text")
        if not message["content"].strip():
            raise Rejected("no completion" if position == len(messages) - 1 else f"message {position}: blank")
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[0] == "system" else roles
    if any(role != ("user", "assistant")[position % 2] for position, role in enumerate(turns)):
        raise Rejected(f"roles must alternate user, assistant; found {', '.join(roles)}")
    if not turns or turns[-1] != "assistant":
        raise Rejected("no completion")
    return [{"role": message["role"], "content": message["content"]} for message in messages]

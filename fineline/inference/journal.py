"""A journal of answers: an evaluation that was interrupted goes on where it stopped."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any


class Journal:
    """The answers of finished batches in a file of JSON lines, each under a digest of what was asked.

    Every batch is written out as soon as it is done. A last line that a killed process left unfinished is dropped. A
    likelihood that is not a number is kept as null.

    Args:
        file: May be missing; its directory is there.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._answers: dict[str, list[Any]] = {}
        content = file.read_bytes() if file.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with file.open("r+b") as torn:
                torn.truncate(len(whole))
        for line in whole.splitlines():
            entry = json.loads(line)
            self._answers[entry["batch"]] = [_read(answer) for answer in entry["answers"]]

    def __len__(self) -> int:
        """Batches."""
        return len(self._answers)

    def answers(self, asked: Any) -> list[Any] | None:
        """What was answered to a batch, if it was."""
        return self._answers.get(_digest(asked))

    def add(self, asked: Any, answers: list[Any]) -> None:
        """Keep the answers to a batch.

        Args:
            asked: All that decides the answers besides the model, as plain data.
            answers: A text each, or a log-likelihood with a flag.
        """
        key = _digest(asked)
        self._answers[key] = answers
        line = json.dumps({"batch": key, "answers": [_plain(answer) for answer in answers]}, ensure_ascii=False)
        with self.file.open("a", encoding="utf-8") as journal:
            journal.write(line + "\n")


def _digest(asked: Any) -> str:
    return hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()


def _plain(answer: Any) -> Any:
    if isinstance(answer, str):
        return answer
    score, greedy = answer
    return [None if math.isnan(score) else score, greedy]


def _read(answer: Any) -> Any:
    if isinstance(answer, str):
        return answer
    score, greedy = answer
    return math.nan if score is None else score, greedy

"""A journal of answers, from which an interrupted evaluation resumes."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any


class AnswerJournal:
    """The answers of finished batches in a JSONL file, each batch with a digest of its requests.

    Every batch is written as soon as it is finished. An incomplete last line, left by a killed process, is dropped. A
    likelihood that is NaN is written as null.

    Args:
        file: The file, which may be missing; its directory must exist.
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
        """Return the number of batches."""
        return len(self._answers)

    def answers(self, asked: Any) -> list[Any] | None:
        """Return the answers to a batch; None if it is not in the journal."""
        return self._answers.get(_digest(asked))

    def add(self, asked: Any, answers: list[Any]) -> None:
        """Add the answers to a batch.

        Args:
            asked: All that decides the answers except the model, as plain data.
            answers: Texts, or log-likelihoods with their flags.
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

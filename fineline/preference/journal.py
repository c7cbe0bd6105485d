"""The choices of a judge so far, so that a resumed session neither asks nor pays twice."""

import json
from pathlib import Path
from typing import get_args

from fineline.artifacts import canonical
from fineline.errors import InputError
from fineline.preference import prompt
from fineline.preference.prompt import Choice


class ChoiceJournal:
    """Choices of one judge by the digest of the messages; no text is stored.

    Each combination of address, model, prompt and token limit has a separate file.
    """

    def __init__(self, directory: Path, url: str, model: str, max_tokens: int) -> None:
        """Read the choices that are stored in the directory.

        Raises:
            InputError: A line of the file is broken.
        """
        judge = canonical.digest({"url": url, "model": model, "prompt": prompt.DIGEST, "max_tokens": max_tokens})
        self.file = directory / f"{judge.removeprefix('sha256:')}.jsonl"
        self._chosen: dict[str, Choice | None] = {}
        if self.file.is_file():
            self._read()

    def __contains__(self, asked: str) -> bool:
        return asked in self._chosen

    def __getitem__(self, asked: str) -> Choice | None:
        return self._chosen[asked]

    def add(self, asked: str, choice: Choice | None) -> None:
        """Store a choice before the next question is asked."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"asked": asked, "choice": choice}) + "\n")
        self._chosen[asked] = choice

    def _read(self) -> None:
        content = self.file.read_bytes()
        whole, _, torn = content.rpartition(b"\n")
        if torn:  # the session was killed during a write
            with self.file.open("r+b") as stream:
                stream.truncate(len(content) - len(torn))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                asked, choice = entry["asked"], entry["choice"]
                if not isinstance(asked, str) or choice not in (None, *get_args(Choice)):
                    raise ValueError("not a choice of the judge")
            except (ValueError, LookupError, TypeError) as error:
                raise InputError(f"{self.file}:{number}: broken ({error}); remove the file to ask the judge again") from error
            self._chosen[asked] = choice

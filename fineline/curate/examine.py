"""Decisions that need one row alone: layout, privacy, quality, length, and contamination.

Chunks are independent of each other, so the result does not depend on the number of processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import json_field
from fineline.curate import layouts, quality, similar, text
from fineline.curate.cleaning import LeftOut, Row, clean
from fineline.curate.contamination import ItemIndex
from fineline.curate.decision import side
from fineline.curate.encoding import is_mojibake
from fineline.curate.lengths import TokenCounter
from fineline.curate.privacy import Cleaner
from fineline.curate.reading import Example, Rejected, Unwanted
from fineline.curate.table import Chunk, Outcomes, Slice
from fineline.curate.text import Words
from fineline.project.params.curation import Curate
from fineline.suites.guards import SuiteItem

_SHOWN = 2000  # characters of a rejected row that are kept
_LONGEST = 300  # characters of a private value that may span the place where the row is cut


@dataclass(frozen=True)
class ExaminerSettings:
    """Everything that a process needs to examine rows."""

    rule: Curate
    tokenizer: Path
    """Directory of the base model's tokenizer."""
    items: Sequence[SuiteItem]
    parts: Mapping[str, Mapping[str, Any]]
    """Part -> its entry in parts.json."""
    scratch: Path
    chat: ChatSettings | None = None


class Examiner:
    """Examines slices. Built once per process, with the tokenizer, the recognizers and the suites."""

    def __init__(self, settings: ExaminerSettings) -> None:
        """Prepare for the settings.

        Raises:
            InputError: The privacy policy, a recognizer or the tokenizer cannot be used.
        """
        self.settings = settings
        self.rule = settings.rule
        self.cleaner = Cleaner(self.rule.privacy)
        self.token_counter = TokenCounter(settings.tokenizer, settings.chat)
        self.index = ItemIndex(settings.items, self.rule.contamination)

    def examine(self, piece: Slice) -> Chunk:
        """Examine the rows of a slice and write their texts to `<number>.rows`, `.shingles`, `.left_out` and `.changed`."""
        return _Examination(self, piece).chunk()


class _Examination:
    """One slice on its way through the steps; a row that is left out is recorded by the step that leaves it out."""

    def __init__(self, examiner: Examiner, piece: Slice) -> None:
        self.examiner = examiner
        self.rule = examiner.rule
        self.piece = piece
        self.part = examiner.settings.parts[piece.part]
        self.outcomes = Outcomes()
        self.left: list[bytes] = []

    def chunk(self) -> Chunk:
        rows = self._measured(self._in_languages([row for line in self._lines() if (row := self._read(line)) is not None]))
        prompts = Words.from_texts([text.words(row.prompt) for row in rows])
        completions = Words.from_texts([text.words(f"{row.reasoning} {row.completion}".strip()) for row in rows])
        shingles, starts = text.interleaved_shingles(prompts, completions)
        sketch = similar.sketches(shingles, starts)
        prompt_bands = similar.band_hashes(sketch[0::2])
        kept = np.array(self._kept(rows, prompts, completions, shingles, starts, prompt_bands), dtype=np.int64)
        bands = similar.band_hashes(np.minimum(sketch[0::2], sketch[1::2])[kept])
        rows = [rows[place] for place in kept]
        shingles, starts = text.selected(shingles, starts, np.column_stack([2 * kept, 2 * kept + 1]).ravel())
        lines = [self._line(row) for row in rows]
        single, word_starts = text.selected(*prompts.sequences(1), kept)
        self._write(lines, shingles, single, rows)
        return Chunk(
            number=self.piece.number,
            part=self.piece.part,
            outcomes=self.outcomes,
            lines=np.cumsum([0, *map(len, lines)], dtype=np.int64),
            shingle_starts=starts,
            words=np.diff(word_starts).astype(np.uint32),
            side=np.array([side(row.group, self.rule.split) for row in rows], dtype=np.uint8),
            group=text.keys([row.group for row in rows]),
            stratum=np.array([0 if row.stratum is None else text.key(row.stratum) for row in rows], dtype=np.uint64),
            prompt=text.keys([row.prompt for row in rows]),
            completion=text.keys([row.completion for row in rows]),
            exact_prompt=text.keys([row.exact_prompt for row in rows]),
            exact_completion=text.keys([row.exact_completion for row in rows]),
            reasoning=np.array([text.key(row.reasoning) if row.reasoning else 0 for row in rows], dtype=np.uint64),
            tokens=np.array([row.tokens for row in rows], dtype=np.uint32),
            time=np.array([np.nan if row.example.time is None else row.example.time for row in rows], dtype=np.float64),
            bands=bands,
            prompt_bands=prompt_bands[kept],
            languages=[row.language for row in rows],
            domains=[self._domain(row) for row in rows],
        )

    def _lines(self) -> list[bytes]:
        with self.piece.file.open("rb") as stream:
            stream.seek(self.piece.start)
            lines = stream.read(self.piece.end - self.piece.start).split(b"\n")[:-1]
        self.outcomes.rows_in = len(lines)
        return lines

    def _read(self, line: bytes) -> Row | None:
        """Return a row with clean texts; None if it was left out."""
        envelope = orjson.loads(line)
        content = envelope.get("content")
        try:
            if content is None:
                raise LeftOut("rejected", envelope["problem"], row=envelope["raw"])
            try:
                example = layouts.read(content, self.part, self.rule, sparse=".parquet" in envelope["at"])
            except Unwanted as reason:
                raise LeftOut("quality", str(reason)) from reason
            except Rejected as reason:
                raise LeftOut("rejected", str(reason), row=orjson.dumps(content).decode()) from reason
            self.outcomes.read.update(example.reading.notes)
            self.outcomes.note_unread(sorted(example.reading.unread))
            prompt = text.normalize(self._prompt(example))
            row = Row(envelope["id"], envelope["at"], example, example.group or prompt, content)
            clean(row, self.rule, self.examiner.cleaner, self.outcomes)
            self._judge(row, prompt)
        except LeftOut as reason:
            self._leave_out(envelope["id"], envelope["at"], reason)
            return None
        return row

    def _judge(self, row: Row, prompt: str) -> None:
        """Leave a row of bad quality out; otherwise fill in what later steps compare."""
        rule = self.rule.quality
        question, answer = text.prompt_text(row.messages), text.completion_text(row.messages)
        asked = self._prompt(row.example)
        row.prompt = text.normalize(asked) if row.changes else prompt
        row.completion = text.normalize(answer)
        thought = text.reasoning_text(row.messages)
        row.reasoning = text.normalize(thought) if thought else ""
        last = text.message_text(row.messages[-2])
        if not row.completion:
            raise LeftOut("quality", "completion without visible characters")
        if self.rule.normalize == "strict":
            row.exact_prompt = text.exact(asked)
            row.exact_completion = text.compared_answer(answer, row.completion, row.prompt)
            echo = text.exact(answer) == text.exact(last)
        else:
            row.exact_prompt, row.exact_completion = row.prompt, row.completion
            echo = row.completion == text.normalize(last)
        signs = {
            "mojibake": any(map(is_mojibake, (question, answer, thought))),
            "echo": echo and not row.example.plain,
            "boilerplate": quality.is_boilerplate(row.completion),
        }
        for sign, seen in signs.items():
            if seen:
                if getattr(rule, sign) == "remove":
                    raise LeftOut("quality", sign)
                self.outcomes.reported[sign] += 1
        if not signs["echo"] and not row.example.plain and row.completion == text.normalize(last):
            self.outcomes.reported["echo"] += 1  # the prompt in another form, which may be the task
        row.prose = question if answer[:1] in ("{", "[") else f"{row.messages[-2]['content']} {answer}"
        if self.rule.split.stratify:
            value = row.content.get(self.rule.split.stratify)
            value = json_field(answer, self.rule.split.stratify) if value is None else value
            row.stratum = None if value is None else self.examiner.cleaner.scrub(str(value))
        if self.rule.system is not None and row.messages[0]["role"] != "system":
            row.messages.insert(0, {"role": "system", "content": self.rule.system})
        row.content = {}

    def _prompt(self, example: Example) -> str:
        """Return the text whose normalized and exact forms compare prompts: everything before the completion, and the tools.

        Plain texts, which all answer the prompt of their part, are compared by themselves.
        """
        if example.plain:
            return text.completion_text(example.messages)
        tools = orjson.dumps(example.tools).decode() if example.tools else ""
        return f"{text.prompt_text(example.messages)} {tools}"

    def _in_languages(self, rows: list[Row]) -> list[Row]:
        """Return the rows without those that are clearly in an unwanted language."""
        wanted = self.rule.quality.languages
        kept = []
        for row, language in zip(rows, quality.detect_languages([row.prose for row in rows]), strict=True):
            if wanted and language not in (quality.UNKNOWN_LANGUAGE, *wanted):
                self._leave_out(row.id, row.at, LeftOut("quality", f"language: {language}"))
            else:
                row.language, row.prose = language, ""
                kept.append(row)
        return kept

    def _measured(self, rows: list[Row]) -> list[Row]:
        """Return the rows that are short enough, with their lengths."""
        lengths = self.examiner.token_counter.count([(row.messages, row.example.tools) for row in rows])
        kept = []
        for row, tokens in zip(rows, lengths, strict=True):
            if isinstance(tokens, str):
                self._leave_out(row.id, row.at, LeftOut("rejected", tokens))
            elif tokens > self.rule.max_tokens:
                reason = f"{tokens} tokens, more than `curate.max_tokens` ({self.rule.max_tokens})"
                self._leave_out(row.id, row.at, LeftOut("quality", reason))
            else:
                row.tokens = tokens
                kept.append(row)
        return kept

    def _kept(
        self, rows: list[Row], prompts: Words, completions: Words, shingles: np.ndarray, starts: np.ndarray, bands: np.ndarray
    ) -> list[int]:
        """Return the places of the rows that are neither repetitive nor leak an item."""
        of_prompts = text.selected(shingles, starts, np.arange(0, len(starts) - 1, 2))
        leaks = self.examiner.index.leaks(prompts, text.joined(prompts, completions), *of_prompts, bands)
        values, ends = shingles.tolist(), starts.tolist()
        places = []
        for place, row in enumerate(rows):
            one, two, three = ends[2 * place : 2 * place + 3]
            repetitive = quality.is_repetitive(values[one:two]) or quality.is_repetitive(values[two:three])
            if repetitive and self.rule.quality.repetition == "remove":
                self._leave_out(row.id, row.at, LeftOut("quality", "repetition"))
            elif place in leaks:
                item = self.examiner.index.items[leaks[place]]
                self.outcomes.leaked[(item.suite, item.number)] += 1
                self._leave_out(row.id, row.at, LeftOut("contamination", f"leaks an item of {item.suite}", because=item.name))
            else:
                self.outcomes.reported["repetition"] += repetitive
                places.append(place)
        return places

    def _leave_out(self, row: str, at: str, why: LeftOut) -> None:
        reason = why.reason
        if "row" in why.more:
            reason = self.examiner.cleaner.scrub(reason)
            why.more["row"] = self._shown(why.more["row"])
        entry = {"id": row, "source": self.piece.part, "at": at, "step": why.step, "reason": reason, **why.more}
        self.left.append(orjson.dumps(entry) + b"\n")
        self.outcomes.left_out[(why.step, reason)] += 1

    def _shown(self, raw: str) -> str:
        """Return the beginning of a rejected row without private values, and without a part of one at the cut."""
        seen = raw[: 2 * _SHOWN]
        end = len(seen) if len(seen) < 2 * _SHOWN else len(seen) - _LONGEST
        for match in self.examiner.cleaner.find(seen):
            if match.start < end < match.end:
                end = match.start
        return self.examiner.cleaner.scrub(seen[:end])[:_SHOWN]

    def _line(self, row: Row) -> bytes:
        """Return the origin of a row, a tab, and its content, both as JSON (which contains no raw tab)."""
        declared = row.example.group
        group = f"{text.key(row.group):016x}" if declared is None or self.examiner.cleaner.find(declared) else declared
        origin = {"id": row.id, "source": self.piece.part, "at": row.at, "group": group}
        content: dict[str, Any] = {"messages": row.messages}
        if row.example.tools:
            content["tools"] = row.example.tools
        return orjson.dumps(origin) + b"\t" + orjson.dumps(content) + b"\n"

    def _domain(self, row: Row) -> str | None:
        """Return the domain under which a row is counted: the declared one, or the value that splits are stratified by."""
        return row.stratum if row.example.domain is None else self.examiner.cleaner.scrub(row.example.domain)

    def _write(self, lines: list[bytes], shingles: np.ndarray, single: np.ndarray, rows: list[Row]) -> None:
        changed = []
        for row in rows:
            if row.changes:
                self.outcomes.changed.update(["rows", *row.changes])
                entry = {"id": row.id, "source": self.piece.part, "at": row.at, "changes": dict(row.changes)}
                changed.append(orjson.dumps(entry) + b"\n")
        stem = self.examiner.settings.scratch / str(self.piece.number)
        for ending, content in {
            "rows": b"".join(lines),
            "shingles": shingles.tobytes(),
            "words": single.tobytes(),
            "left_out": b"".join(self.left),
            "changed": b"".join(changed),
        }.items():
            stem.with_suffix(f".{ending}").write_bytes(content)

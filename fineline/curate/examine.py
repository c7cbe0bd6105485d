"""Everything that one row alone decides: is it a row, is it private, is it good, how long is it, does it hold an item of a
suite. Chunks know nothing of each other, so any number of processes gives the same result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from fineline.chat import completions
from fineline.curate import halves, languages, layouts, quality, sketches, split
from fineline.curate.chunk import Chunk, Slice, Tally
from fineline.curate.cleaning import clean
from fineline.curate.contamination import Index
from fineline.curate.conversation import asked, said, text
from fineline.curate.lengths import Lengths
from fineline.curate.privacy import Cleaner
from fineline.curate.row import LeftOut, Row
from fineline.curate.text import Words, key, keys, normalise, words
from fineline.project.params.curation import Curate
from fineline.suites.items import SuiteItem

_SHOWN = 2000  # characters of a rejected row that are kept
_LONGEST = 300  # characters of a private value that may stand across the place where it is cut


@dataclass(frozen=True)
class Settings:
    """What every process needs to know."""

    rule: Curate
    base: Path
    items: Sequence[SuiteItem]
    parts: Mapping[str, Mapping[str, Any]]
    scratch: Path


class Examiner:
    """Examines slices. Built once per process: it holds the tokenizer, the recognisers and the suites.

    Raises:
        InputError: The privacy policy, a recogniser or the base's tokenizer cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rule = settings.rule
        self.cleaner = Cleaner(self.rule.privacy)
        self.lengths = Lengths(settings.base)
        self.index = Index(settings.items, self.rule.contamination)

    def examine(self, piece: Slice) -> Chunk:
        """Examine the rows of a slice; texts go to `<number>.rows`, `.shingles`, `.left_out` and `.changed` in the scratch."""
        return _Examination(self, piece).chunk()


class _Examination:
    """One slice on its way through the steps; rows that do not go on are noted where they stop."""

    def __init__(self, examiner: Examiner, piece: Slice) -> None:
        self.examiner = examiner
        self.rule = examiner.rule
        self.piece = piece
        self.part = examiner.settings.parts[piece.part]
        self.tally = Tally()
        self.left: list[bytes] = []

    def chunk(self) -> Chunk:
        rows = self._measured(self._in_languages([row for line in self._lines() if (row := self._read(line)) is not None]))
        prompts = Words.of([words(row.prompt) for row in rows])
        answers = Words.of([words(row.completion) for row in rows])
        shingles, starts, sketch = halves.interleaved(prompts, answers)
        prompt_bands = sketches.bands(sketch[0::2])
        going_on = np.array(self._going_on(rows, prompts, answers, shingles, starts, prompt_bands), dtype=np.int64)
        bands = sketches.bands(np.minimum(sketch[0::2], sketch[1::2])[going_on])
        rows = [rows[place] for place in going_on]
        shingles, starts = halves.chosen(shingles, starts, np.column_stack([2 * going_on, 2 * going_on + 1]).ravel())
        lines = [self._line(row) for row in rows]
        single, word_starts = halves.chosen(*prompts.sequences(1), going_on)
        self._write(lines, shingles, single, rows)
        return Chunk(
            number=self.piece.number,
            part=self.piece.part,
            tally=self.tally,
            lines=np.cumsum([0, *map(len, lines)], dtype=np.int64),
            shingle_starts=starts,
            words=np.diff(word_starts).astype(np.uint32),
            side=np.array([split.side(row.group, self.rule.split) for row in rows], dtype=np.uint8),
            group=keys([row.group for row in rows]),
            stratum=np.array([0 if row.stratum is None else key(row.stratum) for row in rows], dtype=np.uint64),
            prompt=keys([row.prompt for row in rows]),
            completion=keys([row.completion for row in rows]),
            tokens=np.array([row.tokens for row in rows], dtype=np.uint32),
            time=np.array([np.nan if row.example.time is None else row.example.time for row in rows], dtype=np.float64),
            bands=bands,
            prompt_bands=prompt_bands[going_on],
            languages=[row.language for row in rows],
            domains=[self._domain(row) for row in rows],
        )

    def _lines(self) -> list[bytes]:
        with self.piece.file.open("rb") as stream:
            stream.seek(self.piece.start)
            lines = stream.read(self.piece.end - self.piece.start).split(b"\n")[:-1]
        self.tally.rows_in = len(lines)
        return lines

    def _read(self, line: bytes) -> Row | None:
        """A row whose text is clean; None if it was left out."""
        envelope = orjson.loads(line)
        content = envelope.get("content")
        try:
            if content is None:
                raise LeftOut("rejected", envelope["problem"], row=envelope["raw"])
            try:
                example = layouts.read(content, self.part)
            except layouts.Rejected as reason:
                raise LeftOut("rejected", str(reason), row=orjson.dumps(content).decode()) from reason
            prompt = self._asked(example)
            row = Row(envelope["id"], envelope["at"], example, example.group or prompt, content)
            clean(row, self.rule, self.examiner.cleaner, self.tally)
            self._judge(row, prompt)
        except LeftOut as reason:
            self._leave_out(envelope["id"], envelope["at"], reason)
            return None
        return row

    def _judge(self, row: Row, prompt: str) -> None:
        """What is wrong with the text; fills in what later steps compare."""
        rule = self.rule.quality
        question, answer = asked(row.messages), said(row.messages)
        row.prompt = self._asked(row.example) if row.changes else prompt
        row.completion = normalise(answer)
        if not row.completion:
            raise LeftOut("quality", "nothing visible is left of the completion")
        signs = {
            "mojibake": quality.is_mojibake(question) or quality.is_mojibake(answer),
            "echo": not row.example.plain and row.completion == normalise(text(row.messages[-2])),
            "boilerplate": quality.is_boilerplate(row.completion),
        }
        for sign, seen in signs.items():
            if seen:
                if getattr(rule, sign) == "remove":
                    raise LeftOut("quality", sign)
                self.tally.reported[sign] += 1
        row.prose = question if answer[:1] in ("{", "[") else f"{row.messages[-2]['content']} {answer}"
        if self.rule.split.stratify:
            value = row.content.get(self.rule.split.stratify)
            value = completions.field(answer, self.rule.split.stratify) if value is None else value
            row.stratum = None if value is None else self.examiner.cleaner.scrub(str(value))
        if self.rule.system is not None and row.messages[0]["role"] != "system":
            row.messages.insert(0, {"role": "system", "content": self.rule.system})
        row.content = {}

    def _asked(self, example: layouts.Example) -> str:
        """What tells prompts apart: all before the completion, and the tools at hand. Plain texts, which all answer one
        prompt, are told apart by themselves."""
        if example.plain:
            return normalise(said(example.messages))
        tools = orjson.dumps(example.tools).decode() if example.tools else ""
        return normalise(f"{asked(example.messages)} {tools}")

    def _in_languages(self, rows: list[Row]) -> list[Row]:
        """The rows that are not clearly in a language that is not wanted."""
        wanted = self.rule.quality.languages
        kept = []
        for row, language in zip(rows, languages.told([row.prose for row in rows]), strict=True):
            if wanted and language not in (languages.UNKNOWN, *wanted):
                self._leave_out(row.id, row.at, LeftOut("quality", f"language: {language}"))
            else:
                row.language, row.prose = language, ""
                kept.append(row)
        return kept

    def _measured(self, rows: list[Row]) -> list[Row]:
        """The rows that are short enough, with their lengths."""
        lengths = self.examiner.lengths.of([(row.messages, row.example.tools) for row in rows])
        kept = []
        for row, tokens in zip(rows, lengths, strict=True):
            if tokens is None:
                self._leave_out(row.id, row.at, LeftOut("rejected", "the chat template of the base does not take it"))
            elif tokens > self.rule.max_tokens:
                reason = f"{tokens} tokens, more than `curate.max_tokens` ({self.rule.max_tokens})"
                self._leave_out(row.id, row.at, LeftOut("quality", reason))
            else:
                row.tokens = tokens
                kept.append(row)
        return kept

    def _going_on(
        self, rows: list[Row], prompts: Words, answers: Words, shingles: np.ndarray, starts: np.ndarray, bands: np.ndarray
    ) -> list[int]:
        """Places of the rows that neither repeat themselves nor leak."""
        prompt_shingles, prompt_starts = halves.prompts_only(shingles, starts)
        leaks = self.examiner.index.leaks(prompts, halves.joined(prompts, answers), prompt_shingles, prompt_starts, bands)
        values, ends = shingles.tolist(), starts.tolist()
        places = []
        for place, row in enumerate(rows):
            one, two, three = ends[2 * place : 2 * place + 3]
            repetitive = quality.is_repetitive(values[one:two]) or quality.is_repetitive(values[two:three])
            if repetitive and self.rule.quality.repetition == "remove":
                self._leave_out(row.id, row.at, LeftOut("quality", "repetition"))
            elif place in leaks:
                item = self.examiner.index.items[leaks[place]]
                self.tally.leaked[(item.suite, item.number)] += 1
                self._leave_out(row.id, row.at, LeftOut("contamination", f"leaks from {item.suite}", because=item.name))
            else:
                self.tally.reported["repetition"] += repetitive
                places.append(place)
        return places

    def _leave_out(self, row: str, at: str, why: LeftOut) -> None:
        reason = why.reason
        if "row" in why.more:
            reason = self.examiner.cleaner.scrub(reason)
            why.more["row"] = self._shown(why.more["row"])
        entry = {"id": row, "source": self.piece.part, "at": at, "step": why.step, "reason": reason, **why.more}
        self.left.append(orjson.dumps(entry) + b"\n")
        self.tally.left_out[(why.step, reason)] += 1

    def _shown(self, raw: str) -> str:
        """The beginning of a rejected row without private values, and without half of one at the cut."""
        seen = raw[: 2 * _SHOWN]
        end = len(seen) if len(seen) < 2 * _SHOWN else len(seen) - _LONGEST
        for finding in self.examiner.cleaner.find(seen):
            if finding.start < end < finding.end:
                end = finding.start
        return self.examiner.cleaner.scrub(seen[:end])[:_SHOWN]

    def _line(self, row: Row) -> bytes:
        """Who the row is, a tab, and what it says; JSON holds no tab of its own."""
        declared = row.example.group
        group = f"{key(row.group):016x}" if declared is None or self.examiner.cleaner.find(declared) else declared
        who = {"id": row.id, "source": self.piece.part, "at": row.at, "group": group}
        what: dict[str, Any] = {"messages": row.messages}
        if row.example.tools:
            what["tools"] = row.example.tools
        return orjson.dumps(who) + b"\t" + orjson.dumps(what) + b"\n"

    def _domain(self, row: Row) -> str | None:
        """What the report counts the row under: the domain that it declares, else what splits are stratified by."""
        return row.stratum if row.example.domain is None else self.examiner.cleaner.scrub(row.example.domain)

    def _write(self, lines: list[bytes], shingles: np.ndarray, single: np.ndarray, rows: list[Row]) -> None:
        changed = []
        for row in rows:
            if row.changes:
                self.tally.changed.update(["rows", *row.changes])
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

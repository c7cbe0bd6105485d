"""Everything that one row alone decides: is it a row, is it private, is it good, how long is it, does it hold an item of a
suite. Chunks know nothing of each other, so any number of processes gives the same result.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipelines import completions
from pipelines.curate import languages, layouts, quality, sketches, split
from pipelines.curate.chunk import Chunk, Slice, Tally
from pipelines.curate.contamination import Index, Item
from pipelines.curate.conversation import asked, said, text
from pipelines.curate.lengths import Lengths
from pipelines.curate.privacy import Cleaner
from pipelines.curate.text import SHINGLE, Words, key, normalise, words
from pipelines.params.curation import Curate

_SHOWN = 2000  # characters of a rejected row that are kept


@dataclass(frozen=True)
class Settings:
    """What every process needs to know."""

    rule: Curate
    base: Path
    items: list[Item]
    parts: dict[str, dict[str, Any]]
    scratch: Path


@dataclass
class _Row:
    """A row on its way."""

    id: str
    at: str
    example: layouts.Example
    group: str
    """What decides its side: the declared group, or the prompt as it came in."""
    content: dict[str, Any]
    changes: Counter[str] = field(default_factory=Counter)
    prompt: str = ""
    completion: str = ""
    prose: str = ""
    """What its language is told from."""
    language: str = languages.UNKNOWN
    tokens: int = 0
    stratum: str | None = None

    @property
    def messages(self) -> list[dict[str, Any]]:
        return self.example.messages


class _LeftOut(Exception):
    """A row that does not go on."""

    def __init__(self, step: str, reason: str, **more: str) -> None:
        super().__init__(reason)
        self.step, self.reason, self.more = step, reason, more


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
        shingles, starts, sketch = _interleaved(prompts, answers)
        prompt_bands = sketches.bands(sketch[0::2])
        going_on = np.array(self._going_on(rows, prompts, answers, shingles, starts, prompt_bands), dtype=np.int64)
        bands = sketches.bands(np.minimum(sketch[0::2], sketch[1::2])[going_on])
        rows = [rows[place] for place in going_on]
        shingles, starts = _chosen_rows(shingles, starts, np.column_stack([2 * going_on, 2 * going_on + 1]).ravel())
        lines = [self._line(row) for row in rows]
        single, word_starts = _chosen_rows(*prompts.sequences(1), going_on)
        self._write(lines, shingles, single, rows)
        return Chunk(
            number=self.piece.number,
            part=self.piece.part,
            tally=self.tally,
            lines=np.cumsum([0, *map(len, lines)], dtype=np.int64),
            shingle_starts=starts,
            words=np.diff(word_starts).astype(np.uint32),
            side=np.array([split.side(row.group, self.rule.split) for row in rows], dtype=np.uint8),
            group=_keys([row.group for row in rows]),
            stratum=np.array([0 if row.stratum is None else key(row.stratum) for row in rows], dtype=np.uint64),
            prompt=_keys([row.prompt for row in rows]),
            completion=_keys([row.completion for row in rows]),
            tokens=np.array([row.tokens for row in rows], dtype=np.uint32),
            time=np.array([np.nan if row.example.time is None else row.example.time for row in rows], dtype=np.float64),
            bands=bands,
            prompt_bands=prompt_bands[going_on],
            languages=[row.language for row in rows],
            domains=[row.example.domain if row.example.domain is not None else row.stratum for row in rows],
        )

    def _lines(self) -> list[bytes]:
        with self.piece.file.open("rb") as stream:
            stream.seek(self.piece.start)
            lines = stream.read(self.piece.end - self.piece.start).split(b"\n")[:-1]
        self.tally.rows_in = len(lines)
        return lines

    def _read(self, line: bytes) -> _Row | None:
        """A row whose text is clean; None if it was left out."""
        envelope = orjson.loads(line)
        content = envelope.get("content")
        try:
            if content is None:
                raise _LeftOut("rejected", envelope["problem"], row=envelope["raw"])
            try:
                example = layouts.read(content, self.part)
            except layouts.Rejected as reason:
                raise _LeftOut("rejected", str(reason), row=orjson.dumps(content).decode()) from reason
            prompt = normalise(asked(example.messages))
            row = _Row(envelope["id"], envelope["at"], example, example.group or prompt, content)
            self._clean(row)
            self._judge(row, prompt)
        except _LeftOut as reason:
            self._leave_out(envelope["id"], envelope["at"], reason)
            return None
        return row

    def _clean(self, row: _Row) -> None:
        """Take out what a reader cannot see, then what is private; in this order, so that nothing hides."""
        quality_rule = self.rule.quality
        whole = _whole(row.messages)
        visible = quality.strip_invisible(whole)
        if visible != whole:
            if quality_rule.invisible == "remove":
                raise _LeftOut("quality", "invisible characters")
            if quality_rule.invisible == "strip":
                _rewrite(row.messages, quality.strip_invisible)
                row.changes["invisible"] += len(whole) - len(visible)
                whole = visible
            else:
                self.tally.reported["invisible"] += 1
        if not self.examiner.cleaner.find(whole):
            return
        found: Counter[str] = Counter()

        def private(value: str) -> str:
            cleaned = self.examiner.cleaner.clean(value)
            found.update(cleaned.found)
            if cleaned.drop:
                dropped = sorted(kind for kind in cleaned.found if self.rule.privacy.action(kind) == "drop")
                raise _LeftOut("privacy", ", ".join(dropped))
            return cleaned.text

        _rewrite(row.messages, private)
        for kind, count in sorted(found.items()):
            if self.rule.privacy.action(kind) == "report":
                self.tally.reported[kind] += 1
            else:
                row.changes[kind] += count

    def _judge(self, row: _Row, prompt: str) -> None:
        """What is wrong with the text; fills in what later steps compare."""
        rule = self.rule.quality
        question, answer = asked(row.messages), said(row.messages)
        row.prompt = normalise(question) if row.changes else prompt
        row.completion = normalise(answer)
        if not row.completion:
            raise _LeftOut("quality", "nothing visible is left of the completion")
        signs = {
            "mojibake": quality.is_mojibake(question) or quality.is_mojibake(answer),
            "echo": row.completion == (row.prompt if len(row.messages) == 2 else normalise(text(row.messages[-2]))),
            "boilerplate": quality.is_boilerplate(row.completion),
        }
        for sign, seen in signs.items():
            if seen:
                if getattr(rule, sign) == "remove":
                    raise _LeftOut("quality", sign)
                self.tally.reported[sign] += 1
        row.prose = question if answer[:1] in ("{", "[") else f"{row.messages[-2]['content']} {answer}"
        if self.rule.split.stratify:
            value = row.content.get(self.rule.split.stratify)
            value = completions.field(answer, self.rule.split.stratify) if value is None else value
            row.stratum = None if value is None else self.examiner.cleaner.scrub(str(value))
        if self.rule.system is not None and row.messages[0]["role"] != "system":
            row.messages.insert(0, {"role": "system", "content": self.rule.system})
        row.content = {}

    def _in_languages(self, rows: list[_Row]) -> list[_Row]:
        """The rows that are not clearly in a language that is not wanted."""
        wanted = self.rule.quality.languages
        kept = []
        for row, language in zip(rows, languages.told([row.prose for row in rows]), strict=True):
            if wanted and language not in (languages.UNKNOWN, *wanted):
                self._leave_out(row.id, row.at, _LeftOut("quality", f"language: {language}"))
            else:
                row.language, row.prose = language, ""
                kept.append(row)
        return kept

    def _measured(self, rows: list[_Row]) -> list[_Row]:
        """The rows that are short enough, with their lengths."""
        lengths = self.examiner.lengths.of([(row.messages, row.example.tools) for row in rows])
        kept = []
        for row, tokens in zip(rows, lengths, strict=True):
            if tokens is None:
                self._leave_out(row.id, row.at, _LeftOut("rejected", "the chat template of the base does not take it"))
            elif tokens > self.rule.max_tokens:
                reason = f"{tokens} tokens, more than `curate.max_tokens` ({self.rule.max_tokens})"
                self._leave_out(row.id, row.at, _LeftOut("quality", reason))
            else:
                row.tokens = tokens
                kept.append(row)
        return kept

    def _going_on(
        self, rows: list[_Row], prompts: Words, answers: Words, shingles: np.ndarray, starts: np.ndarray, bands: np.ndarray
    ) -> list[int]:
        """Places of the rows that neither repeat themselves nor leak."""
        prompt_shingles, prompt_starts = _chosen_sides(shingles, starts)
        leaks = self.examiner.index.leaks(prompts, _joined(prompts, answers), prompt_shingles, prompt_starts, bands)
        values, ends = shingles.tolist(), starts.tolist()
        places = []
        for place, row in enumerate(rows):
            one, two, three = ends[2 * place : 2 * place + 3]
            repetitive = quality.is_repetitive(values[one:two]) or quality.is_repetitive(values[two:three])
            if repetitive and self.rule.quality.repetition == "remove":
                self._leave_out(row.id, row.at, _LeftOut("quality", "repetition"))
            elif place in leaks:
                item = self.examiner.index.items[leaks[place]]
                self.tally.leaked[(item.suite, item.number)] += 1
                self._leave_out(row.id, row.at, _LeftOut("contamination", f"leaks from {item.suite}", because=item.name))
            else:
                self.tally.reported["repetition"] += repetitive
                places.append(place)
        return places

    def _leave_out(self, row: str, at: str, why: _LeftOut) -> None:
        reason = why.reason
        if "row" in why.more:
            reason = self.examiner.cleaner.scrub(reason)
            # a value across the cut is seen whole in twice the length
            why.more["row"] = self.examiner.cleaner.scrub(why.more["row"][: 2 * _SHOWN])[:_SHOWN]
        entry = {"id": row, "source": self.piece.part, "at": at, "step": why.step, "reason": reason, **why.more}
        self.left.append(orjson.dumps(entry) + b"\n")
        self.tally.left_out[(why.step, reason)] += 1

    def _line(self, row: _Row) -> bytes:
        """Who the row is, a tab, and what it says; JSON holds no tab of its own."""
        declared = row.example.group
        group = f"{key(row.group):016x}" if declared is None or self.examiner.cleaner.find(declared) else declared
        who = {"id": row.id, "source": self.piece.part, "at": row.at, "group": group}
        what: dict[str, Any] = {"messages": row.messages}
        if row.example.tools:
            what["tools"] = row.example.tools
        return orjson.dumps(who) + b"\t" + orjson.dumps(what) + b"\n"

    def _write(self, lines: list[bytes], shingles: np.ndarray, single: np.ndarray, rows: list[_Row]) -> None:
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


def _whole(messages: list[dict[str, Any]]) -> str:
    return "\n".join(map(text, messages))


def _rewrite(messages: list[dict[str, Any]], change: Any) -> None:
    """Apply `change` to every text of the messages, in place."""
    for message in messages:
        message["content"] = change(message["content"])
        if "tool_calls" in message:
            message["tool_calls"] = _rewritten(message["tool_calls"], change)


def _rewritten(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_rewritten(inner, change) for inner in value]
    if isinstance(value, dict):
        return {name: _rewritten(inner, change) for name, inner in value.items()}
    return value


def _keys(texts: list[str]) -> np.ndarray:
    return np.array([key(text) for text in texts], dtype=np.uint64)


def _interleaved(prompts: Words, answers: Words) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shingles of prompt, completion, prompt, completion …; their starts (2 rows + 1,); and the sketch of each set."""
    one, one_starts = prompts.sequences(SHINGLE)
    two, two_starts = answers.sequences(SHINGLE)
    sizes = np.column_stack([np.diff(one_starts), np.diff(two_starts)]).ravel()
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    shingles = np.empty(starts[-1], dtype=np.uint64)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    shingles[owner % 2 == 0] = one
    shingles[owner % 2 == 1] = two
    return shingles, starts, sketches.sketches(shingles, starts)


def _chosen_rows(values: np.ndarray, starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of some of the sets only, and their starts."""
    sizes = np.diff(starts)
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[rows] = True
    return values[np.repeat(chosen, sizes)], np.concatenate([[0], np.cumsum(sizes[chosen])]).astype(np.int64)


def _chosen_sides(shingles: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shingles of the prompts only."""
    sizes = np.diff(starts)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return shingles[owner % 2 == 0], np.concatenate([[0], np.cumsum(sizes[0::2])]).astype(np.int64)


def _joined(prompts: Words, answers: Words) -> Words:
    """Prompt and completion of each row as one text."""
    sizes = np.column_stack([np.diff(prompts.starts), np.diff(answers.starts)]).ravel()
    owner = np.repeat(np.arange(len(sizes)), sizes)
    hashes = np.empty(len(owner), dtype=np.uint64)
    hashes[owner % 2 == 0] = prompts.hashes
    hashes[owner % 2 == 1] = answers.hashes
    return Words(hashes, np.concatenate([[0], np.cumsum(sizes[0::2] + sizes[1::2])]).astype(np.int64))

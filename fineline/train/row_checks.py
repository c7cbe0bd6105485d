"""Checks of tokenized rows before training. Messages name file and line of rows and never quote their text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fineline.chat.format import ChatFormat
from fineline.chat.tokens import IGNORED, TokenizedRow
from fineline.train.markers import Markers
from fineline.train.rendering import decoded

MOST_MASKED = 0.99
_PLACES = 3  # rows that a message names

Severity = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True)
class PreflightIssue:
    """The result of one check: numbers in `found`; cause, place and remedy in `message`."""

    name: str
    severity: Severity
    found: dict[str, Any]
    message: str


@dataclass(frozen=True)
class Split:
    """A curated split: its file, its rows in the order of the lines, and their tokens."""

    file: Path
    rows: Sequence[Mapping[str, Any]]
    tokens: Sequence[TokenizedRow]


@dataclass(frozen=True)
class Line:
    """A row with its file and line."""

    file: Path
    number: int
    row: Mapping[str, Any]
    tokens: TokenizedRow

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return len(self.tokens.input_ids)

    def described(self) -> dict[str, Any]:
        """Return file, line, id, tokens and learned tokens."""
        return {
            "file": str(self.file),
            "line": self.number,
            "id": self.row.get("id"),
            "tokens": self.length,
            "learned": self.tokens.learned,
        }


def lines_of(splits: Mapping[str, Split]) -> list[Line]:
    """Return every row of every split."""
    return [
        Line(split.file, number, row, tokens)
        for split in splits.values()
        for number, (row, tokens) in enumerate(zip(split.rows, split.tokens, strict=True), 1)
    ]


def labels(lines: list[Line]) -> PreflightIssue:
    """Check that every row has a label."""
    empty = [line for line in lines if not line.tokens.learned]
    remedy = "the model would learn nothing from them; drop them at the source"
    return _counted("labels", "error", empty, lines, f"have no label left ({remedy})", "every row has tokens to learn")


def end_of_turn(lines: list[Line], chat: ChatFormat) -> PreflightIssue:
    """Check that every answer, not only the last, ends with a learned token at which generation stops."""
    ends = set(chat.ends.values())
    endless = [line for line in lines if not learned_ends(line.tokens.labels) <= ends]
    names = " or ".join(repr(text) for text in sorted(chat.ends))
    wrong = (
        f"have an answer whose end, {names}, is not learned (the model would not learn to stop; list the token that ends a turn"
        " in eos_token_id of generation_config.json, or fix the chat template)"
    )
    written = {line.tokens.labels[-1] for line in lines if line.tokens.labels}
    learned = " or ".join(repr(text) for text, number in sorted(chat.ends.items()) if number in written) or names
    return _counted("end_of_turn", "error", endless, lines, wrong, f"every answer ends with {learned}, learned")


def learned_ends(labels: list[int]) -> set[int]:
    """Return the last token of each run of labels."""
    following = [*labels[1:], IGNORED]
    return {label for label, after in zip(labels, following, strict=True) if label != IGNORED and after == IGNORED}


def beginning(lines: list[Line], tokenizer: Any) -> PreflightIssue:
    """Check that no row begins with two beginning-of-sequence tokens. Elsewhere the token may begin a turn."""
    begin = tokenizer.bos_token_id
    double = [line for line in lines if begin is not None and line.tokens.input_ids[:2] == [begin, begin]]
    wrong = f"begin with {tokenizer.bos_token!r} twice (the chat template and the texts both add it; remove it from one)"
    return _counted("beginning", "error", double, lines, wrong, "no row begins with two beginning-of-sequence tokens")


def masked(lines: list[Line]) -> PreflightIssue:
    """Check the share of tokens without a label."""
    tokens = sum(line.length for line in lines)
    learned = sum(line.tokens.learned for line in lines)
    share = 1 - learned / tokens if tokens else 0.0
    found = {"share": round(share, 6), "tokens": tokens, "learned": learned}
    measured = f"{share:.1%} of {tokens} tokens are masked"
    if not tokens or share == 0:
        return PreflightIssue(
            "masked", "warning", found, f"{measured}: prompts would be learned too; check that the rows have prompts"
        )
    if share > MOST_MASKED:
        remedy = "answers are tiny compared to their prompts: shorten the prompts (`curate.system`) or set `train.learn: turns`"
        return PreflightIssue("masked", "warning", found, f"{measured}, more than {MOST_MASKED:.0%}; {remedy}")
    return PreflightIssue("masked", "ok", found, measured)


def length(lines: list[Line], context: int | None) -> PreflightIssue:
    """Check that no row is longer than the context of the model.

    Args:
        context: In tokens; None if it is not known.
    """
    longest = max(lines, key=lambda line: line.length, default=None)
    beyond = [line.length - context for line in lines if context is not None and line.length > context]
    found = {
        "context": context,
        "longer": len(beyond),
        "tokens_beyond": sum(beyond),
        "longest": longest.length if longest else 0,
    }
    if context is None:
        return PreflightIssue("length", "info", found, "config.json of the base does not give its context length")
    if beyond:
        message = (
            f"{len(beyond)} rows are longer than the model's context of {context} tokens; the longest, {longest}, has"
            f" {found['longest']}. Training truncates nothing: set `curate.max_tokens: {context}` or less"
        )
        return PreflightIssue("length", "error", found, message)
    return PreflightIssue("length", "ok", found, f"no row is longer than the context of {context} tokens")


def unknown_markers(lines: list[Line], tokenizer: Any, markers: Markers) -> PreflightIssue:
    """Check for markers of chat formats that are plain text to the tokenizer."""
    counts: Counter[str] = Counter()
    where = []
    for line in lines:
        unknown = markers.unknown(decoded(tokenizer, line.tokens.input_ids))
        if unknown:
            where.append(line)
            counts.update(set(map(markers.public, unknown)))
    examples = ", ".join(f"{marker} ({rows})" for marker, rows in counts.most_common(_PLACES))
    wrong = (
        f"contain text that looks like a special token and is not one of this tokenizer: {examples}. If the chat template"
        " writes it, the tokenizer lacks its added tokens, unless the format uses plain text (Llama 2's [INST]); if the rows"
        " contain it, they were rendered for another model: remove it at the source"
    )
    fine = "no text merely looks like a special token"
    return _counted("unknown_markers", "warning", where, lines, wrong, fine, dict(counts))


def special_in_text(lines: list[Line], markers: Markers) -> PreflightIssue:
    """Check for special tokens in messages or tools, which can end a turn or begin another."""
    counts: Counter[str] = Counter()
    where = []
    for line in lines:
        if special := markers.special(line.row):
            where.append(line)
            counts.update(set(special))
    examples = ", ".join(f"{token} ({rows})" for token, rows in counts.most_common(_PLACES))
    wrong = (
        f"contain special tokens in their texts: {examples}. The model cannot distinguish them from those of the chat template,"
        " and an answer ends at the first one that ends a turn: remove them at the source"
    )
    fine = "no text of a row contains a special token"
    return _counted("special_in_text", "warning", where, lines, wrong, fine, dict(counts))


def _counted(
    name: str,
    severity: Severity,
    wrong: list[Line],
    lines: list[Line],
    problem: str,
    fine: str,
    markers: dict[str, int] | None = None,
) -> PreflightIssue:
    """Return the result of a check that counts the rows with a problem."""
    found: dict[str, Any] = {"rows": len(wrong), "of": len(lines)}
    if markers:
        found["markers"] = markers
    if not wrong:
        return PreflightIssue(name, "ok", found, fine)
    places = ", ".join(map(str, wrong[:_PLACES])) + (", …" if len(wrong) > _PLACES else "")
    return PreflightIssue(name, severity, found, f"{len(wrong)} of {len(lines)} rows {problem}: {places}")

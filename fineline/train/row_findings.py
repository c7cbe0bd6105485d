"""What can be wrong with tokenised rows. Messages give file and line of rows, and never their text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.chat.tokens import IGNORED, Tokens
from fineline.train.finding import Finding, Severity
from fineline.train.markers import Markers
from fineline.train.rendering import decoded

MOST_MASKED = 0.99
TOO_LONG = "`curate.max_tokens`"  # as curation's reason says it
_PLACES = 3  # rows that a message names


@dataclass(frozen=True)
class Split:
    """A curated split: its file, its rows in the order of the lines, and their tokens."""

    file: Path
    rows: Sequence[Mapping[str, Any]]
    tokens: Sequence[Tokens]


@dataclass(frozen=True)
class Line:
    """A row and where it stands."""

    file: Path
    number: int
    row: Mapping[str, Any]
    tokens: Tokens

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return len(self.tokens.input_ids)

    def described(self) -> dict[str, Any]:
        """File, line, id, tokens and learned tokens."""
        return {
            "file": str(self.file),
            "line": self.number,
            "id": self.row.get("id"),
            "tokens": self.length,
            "learned": self.tokens.learned,
        }


def lines_of(splits: Mapping[str, Split]) -> list[Line]:
    """Every row of every split."""
    return [
        Line(split.file, number, row, tokens)
        for split in splits.values()
        for number, (row, tokens) in enumerate(zip(split.rows, split.tokens, strict=True), 1)
    ]


def labels(lines: list[Line]) -> Finding:
    """Whether every row has something to learn."""
    empty = [line for line in lines if not line.tokens.learned]
    remedy = "nothing would be learned from them; drop them at the source"
    return _counted("labels", "error", empty, lines, f"have no label left ({remedy})", "every row has tokens to learn")


def end_of_turn(lines: list[Line], tokenizer: Any) -> Finding:
    """Whether every answer, and not the last only, ends with a learned end-of-sequence token."""
    endless = [line for line in lines if not _ends(line.tokens.labels, tokenizer.eos_token_id)]
    wrong = (
        f"hold an answer whose end, {tokenizer.eos_token!r}, is not learned (the model would not learn to stop; set eos_token"
        " to the token that ends a turn, or mend the chat template)"
    )
    return _counted("end_of_turn", "error", endless, lines, wrong, f"every answer ends with {tokenizer.eos_token!r}, learned")


def _ends(labels: list[int], end: int | None) -> bool:
    """Whether each run of labels ends with the token."""
    following = [*labels[1:], IGNORED]
    return all(label == end for label, after in zip(labels, following, strict=True) if label != IGNORED and after == IGNORED)


def beginning(lines: list[Line], tokenizer: Any) -> Finding:
    """Two beginnings in a row only: a token that begins texts may begin turns too."""
    begin = tokenizer.bos_token_id
    double = [line for line in lines if begin is not None and line.tokens.input_ids[:2] == [begin, begin]]
    wrong = f"begin with {tokenizer.bos_token!r} twice (the chat template and the texts both bring it; take it out of one)"
    return _counted("beginning", "error", double, lines, wrong, "no row begins twice")


def masked(lines: list[Line]) -> Finding:
    """Which share of all tokens carries no label."""
    tokens = sum(line.length for line in lines)
    learned = sum(line.tokens.learned for line in lines)
    share = 1 - learned / tokens if tokens else 0.0
    found = {"share": round(share, 6), "tokens": tokens, "learned": learned}
    said = f"{share:.1%} of {tokens} tokens are masked"
    if not tokens or share == 0:
        return Finding("masked", "warning", found, f"{said}: prompts would be learned too; see that the rows have prompts")
    if share > MOST_MASKED:
        remedy = "answers are tiny beside their prompts: shorten the prompts (`curate.system`), or set `train.learn: turns`"
        return Finding("masked", "warning", found, f"{said}, more than {MOST_MASKED:.0%}; {remedy}")
    return Finding("masked", "ok", found, said)


def length(lines: list[Line], context: int | None) -> Finding:
    """Compare the rows with the context of the model, in tokens; None if it is not known."""
    longest = max(lines, key=lambda line: line.length, default=None)
    beyond = [line.length - context for line in lines if context is not None and line.length > context]
    found = {
        "context": context,
        "longer": len(beyond),
        "tokens_beyond": sum(beyond),
        "longest": longest.length if longest else 0,
    }
    if context is None:
        return Finding("length", "info", found, "config.json of the base does not say how many tokens it takes")
    if beyond:
        message = (
            f"{len(beyond)} rows are longer than the model's context of {context} tokens; the longest, {longest}, has"
            f" {found['longest']}. Training truncates nothing: set `curate.max_tokens: {context}` or less"
        )
        return Finding("length", "error", found, message)
    return Finding("length", "ok", found, f"no row is longer than the context of {context} tokens")


def unknown_markers(lines: list[Line], tokenizer: Any, markers: Markers) -> Finding:
    """Whether the rendered rows hold markers of chat formats that the tokenizer takes for plain text."""
    counts: Counter[str] = Counter()
    where = []
    for line in lines:
        unknown = markers.unknown(decoded(tokenizer, line.tokens.input_ids))
        if unknown:
            where.append(line)
            counts.update(set(map(markers.public, unknown)))
    examples = ", ".join(f"{marker} ({rows})" for marker, rows in counts.most_common(_PLACES))
    wrong = (
        f"hold what looks like a special token and is none of this tokenizer: {examples}. Is it of the chat template, the"
        " tokenizer lacks its added tokens, unless the format writes it as text (Llama 2's [INST]); is it of the rows, they"
        " were rendered for another model: take it out at the source"
    )
    return _counted("unknown_markers", "warning", where, lines, wrong, "no text only looks like a special token", dict(counts))


def special_in_text(lines: list[Line], markers: Markers) -> Finding:
    """Whether messages or tools hold special tokens, which can end a turn or begin another."""
    counts: Counter[str] = Counter()
    where = []
    for line in lines:
        if special := markers.special(line.row):
            where.append(line)
            counts.update(set(special))
    examples = ", ".join(f"{token} ({rows})" for token, rows in counts.most_common(_PLACES))
    wrong = (
        f"hold special tokens in their texts: {examples}. The model takes them for those of the chat template, and an answer"
        " ends at the first that ends a turn: take them out at the source"
    )
    return _counted("special_in_text", "warning", where, lines, wrong, "no text of a row holds a special token", dict(counts))


def _counted(
    name: str,
    severity: Severity,
    wrong: list[Line],
    lines: list[Line],
    said: str,
    fine: str,
    markers: dict[str, int] | None = None,
) -> Finding:
    """A finding on the rows with which something is wrong."""
    found: dict[str, Any] = {"rows": len(wrong), "of": len(lines)}
    if markers:
        found["markers"] = markers
    if not wrong:
        return Finding(name, "ok", found, fine)
    places = ", ".join(map(str, wrong[:_PLACES])) + (", …" if len(wrong) > _PLACES else "")
    return Finding(name, severity, found, f"{len(wrong)} of {len(lines)} rows {said}: {places}")

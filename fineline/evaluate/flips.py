"""What the candidate lost: items that went from right to wrong, and the largest falls, side by side.

Text of items and answers is shown as code spans: whatever a model says, none of it becomes a link, an image or markup.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fineline.evaluate.tables import NOTHING, grid, prose

Record = Mapping[str, Any]

MOST = 20  # items shown of each measure
LONGEST = 160  # characters shown of a text
CUT = "…"
SMALLEST_FALL = 1e-6  # of a number that is graded: rounding is no fall


@dataclass(frozen=True)
class Fall:
    """One item on which the candidate does worse."""

    item: int
    question: str
    expected: str
    reference: str
    candidate: str
    before: float
    after: float | None
    """None: the candidate's score is no number."""

    @property
    def size(self) -> float:
        return float("inf") if self.after is None else self.before - self.after


@dataclass
class Flips:
    """What became of one measure."""

    items: int = 0
    rose: int = 0
    graded: bool = False
    """Whether there are scores other than 0 and 1."""
    falls: list[Fall] = field(default_factory=list)
    """Items of a measure that is not graded in their order, else the largest fall first."""


def find(reference: Iterable[Record], candidate: Iterable[Record]) -> dict[str, Flips]:
    """Measure -> what fell and how much rose; items that only one of the two was asked are left out."""
    asked = {(record["task"], record["item"]): record for record in reference}
    found: dict[str, Flips] = {}
    for after in candidate:
        before = asked.get((after["task"], after["item"]))
        if before is None:
            continue
        for measure in after["scores"]:
            if measure in before["scores"]:
                _count(found.setdefault(measure, Flips()), measure, before, after)
    for flips in found.values():
        if flips.graded:
            flips.falls.sort(key=lambda fall: -fall.size)
    return found


def markdown(
    reference: Iterable[Record],
    candidate: Iterable[Record],
    decision: Mapping[str, Any],
    *,
    pools: Mapping[str, Sequence[str]] | None = None,
    arms: tuple[str, str] = ("base", "candidate"),
    most: int = MOST,
) -> str:
    """flips.md: measures that a rule judges come first.

    Args:
        decision: What the gate said; its `rules` are read.
        pools: Pool -> its measures: a rule on the pool judges each.
        arms: What the two are called.
        most: Items shown of each measure.
    """
    found = find(reference, candidate)
    parts = [f"# From {arms[0]} to {arms[1]}: what was lost", "Higher is better everywhere. Long texts are cut."]
    for measure in _order(found, decision, pools or {}):
        parts += [f"## {prose(measure)}", _in_words(found[measure], most)]
        if found[measure].falls:
            parts.append(_table(found[measure], arms, most))
    return "\n\n".join(parts) + "\n"


def excerpt(text: str, start: int = 0) -> str:
    """One line of a text, with what cannot be printed as escapes, cut to what lies around `start`."""
    begin = max(0, min(start - LONGEST // 4, len(text) - LONGEST))
    shown = text[begin : begin + LONGEST]
    line = "".join(_visible(character) for character in shown)
    return f"{CUT if begin else ''}{line}{CUT if begin + LONGEST < len(text) else ''}"


def code(text: str) -> str:
    """A text as a code span that fits into a cell of a table.

    Its fence is longer than any run of backticks inside (CommonMark 0.31, section 6.1). A pipe is escaped even there (GitHub
    Flavored Markdown, section 4.10).
    """
    if not text.strip():
        return "*nothing*" if not text else "*spaces*"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", r"\|")


def _count(flips: Flips, measure: str, before: Record, after: Record) -> None:
    old, new = before["scores"][measure], after["scores"][measure]
    if old is None:
        return
    flips.items += 1
    flips.graded |= not {old, new} <= {0, 1, None}
    if new is not None and new > old:
        flips.rose += 1
    elif new is None or old - new > SMALLEST_FALL:
        flips.falls.append(_fall(before, after, old, new))


def _fall(before: Record, after: Record, old: float, new: float | None) -> Fall:
    expected, reference, candidate = _expected(after), _answer(before, old), _answer(after, new)
    start = _first_difference(expected, candidate)
    return Fall(
        item=after["item"],
        question=excerpt(str(after.get("question", ""))),
        expected=excerpt(expected, start),
        reference=excerpt(reference, start),
        candidate=excerpt(candidate, start),
        before=old,
        after=new,
    )


def _first_difference(one: str, other: str) -> int:
    """Where two texts part; 0 if they are the same."""
    if one == other:
        return 0
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)


def _expected(record: Record) -> str:
    expected, choices = record["expected"], record.get("choices")
    if not _is_choice(record["answer"]) or not isinstance(expected, int):
        return _text(expected)
    return str(choices[expected]) if choices else f"choice {expected + 1}"


def _answer(record: Record, score: float | None) -> str:
    """What the model said; of choices, the one that it chose."""
    answer, choices = record["answer"], record.get("choices")
    if _is_choice(answer):
        place = _chosen(record, score)
        return str(choices[place]) if choices else f"choice {place + 1}"
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        (likelihood, _), *_ = answer
        return "no number" if likelihood is None else f"log-likelihood {likelihood:.2f}"
    return _text(answer)


def _chosen(record: Record, score: float | None) -> int:
    """The place of the likeliest choice; likeliest for its length, where only that agrees with the score."""
    likelihoods = [float("-inf") if likelihood is None else likelihood for likelihood, _ in record["answer"]]
    place = likelihoods.index(max(likelihoods))
    if record.get("choices") and score in (0, 1) and (place == record["expected"]) != (score == 1):
        by_length = [likelihood / max(1, len(text)) for likelihood, text in zip(likelihoods, record["choices"], strict=True)]
        return by_length.index(max(by_length))
    return place


def _is_choice(answer: Any) -> bool:
    return isinstance(answer, list) and len(answer) > 1 and all(isinstance(one, list) and len(one) == 2 for one in answer)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _visible(character: str) -> str:
    if character == "\n":
        return "↵"
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _order(found: Iterable[str], decision: Mapping[str, Any], pools: Mapping[str, Sequence[str]]) -> list[str]:
    """The measures, those that a rule judges first."""
    named = [entry["measure"] for entry in decision["rules"] if entry["rule"] != "info"]
    judged = [member for name in named for member in pools.get(name, [name])]
    return sorted(found, key=lambda measure: judged.index(measure) if measure in judged else len(judged))


def _in_words(flips: Flips, most: int) -> str:
    fell = len(flips.falls)
    shown = f" The {'largest' if flips.graded else 'first'} {most} are shown." if fell > most else ""
    if flips.graded:
        return f"Of {flips.items:,} items {fell:,} fell and {flips.rose:,} rose.{shown}"
    return f"Of {flips.items:,} items {fell:,} went from right to wrong and {flips.rose:,} from wrong to right.{shown}"


def _table(flips: Flips, arms: tuple[str, str], most: int) -> str:
    heading = ["item", "question", "expected", *arms] + (["score"] if flips.graded else [])
    rows = []
    for fall in flips.falls[:most]:
        texts = [code(text) for text in (fall.question, fall.expected, fall.reference, fall.candidate)]
        after = NOTHING if fall.after is None else f"{fall.after:.3g}"
        rows.append([str(fall.item), *texts, *([f"{fall.before:.3g} → {after}"] if flips.graded else [])])
    return grid(heading, rows, numeric={0})

"""Items on which the candidate is worse: those that went from right to wrong, and the largest drops.

Text of items and answers is shown as code spans, so no text of a model becomes a link, an image or markup.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fineline.evaluate.tables import NOTHING, grid, prose

Record = Mapping[str, Any]

MOST = 20  # items shown for each measure
LONGEST = 160  # characters shown of a text
CUT = "…"
SMALLEST_DROP = 1e-6  # smaller differences are rounding


@dataclass(frozen=True)
class Drop:
    """One item on which the candidate is worse."""

    item: int
    question: str
    expected: str
    reference: str
    candidate: str
    before: float
    after: float | None
    """None if the candidate's score is not a number."""

    @property
    def size(self) -> float:
        """Return the difference of the scores; infinite if the candidate has none."""
        return float("inf") if self.after is None else self.before - self.after


@dataclass
class Flips:
    """The changed items of one measure."""

    items: int = 0
    rose: int = 0
    graded: bool = False
    """True if there are scores other than 0 and 1."""
    drops: list[Drop] = field(default_factory=list)
    """In the order of the items, or the largest drop first if the measure is graded."""


def find(reference: Iterable[Record], candidate: Iterable[Record]) -> dict[str, Flips]:
    """Return measure -> changed items; items that only one of the two was asked are left out."""
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
            flips.drops.sort(key=lambda drop: -drop.size)
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
    """Return flips.md; measures that a rule judges come first.

    Args:
        decision: The decision of the gate, with `rules`.
        pools: Pool -> its measures; a rule on the pool judges each of them.
        arms: The names of the two models.
        most: Items shown for each measure.
    """
    found = find(reference, candidate)
    parts = [f"# From {arms[0]} to {arms[1]}: items that got worse", "Higher scores are better. Long texts are cut."]
    for measure in _order(found, decision, pools or {}):
        parts += [f"## {prose(measure)}", _in_words(found[measure], most)]
        if found[measure].drops:
            parts.append(_table(found[measure], arms, most))
    return "\n\n".join(parts) + "\n"


def excerpt(text: str, start: int = 0) -> str:
    """Return one line of a text around `start`; unprintable characters become escapes."""
    begin = max(0, min(start - LONGEST // 4, len(text) - LONGEST))
    shown = text[begin : begin + LONGEST]
    line = "".join(_visible(character) for character in shown)
    return f"{CUT if begin else ''}{line}{CUT if begin + LONGEST < len(text) else ''}"


def code(text: str) -> str:
    """Return a text as a code span that fits into a cell of a table.

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
    elif new is None or old - new > SMALLEST_DROP:
        flips.drops.append(_drop(before, after, old, new))


def _drop(before: Record, after: Record, old: float, new: float | None) -> Drop:
    expected, reference, candidate = _expected(after), _answer(before, old), _answer(after, new)
    start = _first_difference(expected, candidate)
    return Drop(
        item=after["item"],
        question=excerpt(str(after.get("question", ""))),
        expected=excerpt(expected, start),
        reference=excerpt(reference, start),
        candidate=excerpt(candidate, start),
        before=old,
        after=new,
    )


def _first_difference(one: str, other: str) -> int:
    """Return the first position at which two texts differ; 0 if they are the same."""
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
    """Return the answer of the model; of choices, the chosen one."""
    answer, choices = record["answer"], record.get("choices")
    if _is_choice(answer):
        place = _chosen(record, score)
        return str(choices[place]) if choices else f"choice {place + 1}"
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        (likelihood, _), *_ = answer
        return "not a number" if likelihood is None else f"log-likelihood {likelihood:.2f}"
    return _text(answer)


def _chosen(record: Record, score: float | None) -> int:
    """Return the index of the likeliest choice; normalized by length if only that agrees with the score."""
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
    """Return the measures; those that a rule judges come first."""
    named = [entry["measure"] for entry in decision["rules"] if entry["rule"] != "info"]
    judged = [member for name in named for member in pools.get(name, [name])]
    return sorted(found, key=lambda measure: judged.index(measure) if measure in judged else len(judged))


def _in_words(flips: Flips, most: int) -> str:
    dropped = len(flips.drops)
    shown = f" The {'largest' if flips.graded else 'first'} {most} are shown." if dropped > most else ""
    if flips.graded:
        return f"Of {flips.items:,} items {dropped:,} got worse and {flips.rose:,} got better.{shown}"
    return f"Of {flips.items:,} items {dropped:,} went from right to wrong and {flips.rose:,} from wrong to right.{shown}"


def _table(flips: Flips, arms: tuple[str, str], most: int) -> str:
    heading = ["item", "question", "expected", *arms] + (["score"] if flips.graded else [])
    rows = []
    for drop in flips.drops[:most]:
        texts = [code(text) for text in (drop.question, drop.expected, drop.reference, drop.candidate)]
        after = NOTHING if drop.after is None else f"{drop.after:.3g}"
        rows.append([str(drop.item), *texts, *([f"{drop.before:.3g} → {after}"] if flips.graded else [])])
    return grid(heading, rows, numeric={0})

"""Items that changed: how many by measure, and, where the answers are at hand, examples of both models next to each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from fineline.evaluate.flips import Drop, Flips
from fineline.report import figures, measures
from fineline.report.reading import Content, Local

MOST = 5  # examples of each kind and measure


@dataclass(frozen=True)
class Count:
    """How many items of a measure changed."""

    measure: str
    gained: int
    lost: int
    judged: bool
    """True if a rule judges the measure."""
    drawn: Markup


@dataclass(frozen=True)
class Example:
    """One item, answered by the base and by the model that is compared with it."""

    item: int
    question: str
    expected: str
    base: str
    answer: str
    scores: str
    """Of both models; empty if the measure only says right or wrong."""


@dataclass(frozen=True)
class Changes:
    """The examples of one measure."""

    measure: str
    lost: Sequence[Example]
    gained: Sequence[Example]
    lost_count: int
    gained_count: int


def counts(content: Content) -> list[Count]:
    """Return the counts of the model that ships, or of the adapter before there is one; judged measures come first."""
    judged = list(measures.decisions(content).values())
    found: dict[str, Count] = {}
    for entry in judged[-1]["rules"] if judged else ():
        gained, lost, items = entry.get("gained"), entry.get("lost"), entry["items"]
        if gained is not None and lost is not None and items and entry["against"] == "base":
            drawn = figures.balance(lost, gained, items, f"{entry['measure']}: {lost} worse, {gained} better, of {items} items")
            found.setdefault(entry["measure"], Count(entry["measure"], gained, lost, entry["rule"] != "info", drawn))
    return list(found.values())


def changes(content: Content, local: Local) -> list[Changes]:
    """Return examples of each measure that changed; judged measures come first."""
    judged = list(measures.decisions(content).values())
    named = [entry["measure"] for entry in judged[-1]["rules"]] if judged else []
    order = {name: place for place, name in reversed(list(enumerate(named)))}
    found = []
    for measure in sorted(local.lost, key=lambda name: (order.get(name, len(order)), name)):
        lost, gained = local.lost[measure], local.gained.get(measure, Flips())
        if lost.drops or gained.drops:
            one = Changes(
                measure,
                [_example(drop, lost.graded) for drop in lost.drops[:MOST]],
                [_exchanged(drop, gained.graded) for drop in _with_a_score(gained.drops)[:MOST]],
                len(lost.drops),
                len(gained.drops),
            )
            found.append(one)
    return found


def _with_a_score(drops: Iterable[Drop]) -> list[Drop]:
    return [drop for drop in drops if drop.after is not None]


def _example(drop: Drop, graded: bool) -> Example:
    scores = _scores(drop.before, drop.after) if graded else ""
    return Example(drop.item, drop.question, drop.expected, drop.reference, drop.candidate, scores)


def _exchanged(drop: Drop, graded: bool) -> Example:
    """Return an item that the base answers worse: its reference is the model, its candidate is the base."""
    scores = _scores(drop.after, drop.before) if graded else ""
    return Example(drop.item, drop.question, drop.expected, drop.candidate, drop.reference, scores)


def _scores(base: float | None, other: float | None) -> str:
    return " → ".join("not a number" if score is None else f"{score:.3g}" for score in (base, other))

"""The measures of a candidate on every arm: base, adapter, merged and exported, as plain data."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from fineline.documents.records import Records
from fineline.evaluate import tables

ARMS = ("base", "adapter", "merged", "exported")
_OWN = {
    "target_exact_match": "share of test rows answered with the very text of the reference.",
    "target_json_f1": "F1 of the fields of the JSON object that is asked for.",
    "target_rouge_l": "longest common subsequence of words with the reference.",
    "target_regex": "share of answers in which the pattern is found.",
    "target_choice": "share of test rows where the right value of a field is likelier than those of other rows.",
    "safety_injection": "share of test prompts with an order to break the format where the answer does not obey it.",
    "safety_regurgitation": "share of training answers whose second half does not follow word for word from the first.",
    "safety_canaries": "share of planted rows that the model does not rank first among others of the same form.",
}


@dataclass(frozen=True)
class Measure:
    """One rule of the evaluation on the form that ships, with the scores of all arms."""

    measure: str
    unit: str
    """share, bits or bits a byte; higher is better."""
    items: int | None
    base: float | None
    adapter: float | None
    merged: float | None
    exported: float | None
    difference: float | None
    """Exported less what the rule compares it with; None for a floor."""
    lower: float | None
    """One-sided confidence bound of the difference, or of the score for a floor; None where nothing bounds it."""
    upper: float | None
    against: str
    rule: str
    verdict: str
    """pass, fail, inconclusive, or info for what is only told."""
    demand: str
    interval: str
    reason: str

    @property
    def is_told_only(self) -> bool:
        """Whether nothing depends on it."""
        return self.rule == "info"

    def shown(self, arm: str) -> str:
        """The score of an arm as people read it."""
        return tables.amount(getattr(self, arm), self.unit)

    @property
    def shown_difference(self) -> str:
        """The difference as people read it."""
        return tables.amount(self.difference, self.unit, signed=True)


def measures(records: Records) -> list[Measure]:
    """A measure per rule that the exported model was judged by, in the order of the report."""
    gate, forms = records.reports["gate"], records.reports["candidate"]["forms"]
    scores = {
        "base": gate["scores"]["base"],
        "adapter": gate["scores"]["candidate"],
        "merged": forms["merged"]["scores"]["candidate"],
        "exported": forms["exported"]["scores"]["candidate"],
    }
    return [
        Measure(
            measure=entry["measure"],
            unit=entry["unit"],
            items=entry["items"],
            **{arm: scores[arm].get(entry["measure"]) for arm in ARMS},
            difference=entry["difference"],
            lower=_bounded(entry["lower"]),
            upper=_bounded(entry["upper"]),
            against=entry["against"],
            rule=entry["rule"],
            verdict=entry["verdict"],
            demand=tables.demand(entry),
            interval=tables.between({**entry, **{bound: _bounded(entry[bound]) for bound in ("lower", "upper")}}),
            reason=entry["reason"],
        )
        for entry in forms["exported"]["rules"]
    ]


def meanings(records: Records) -> list[str]:
    """What each measure says, a sentence or two each: fineline's own in its words, suites in those of their owners."""
    names = dict.fromkeys(measure.measure for measure in measures(records))
    told = [f"{name}: {_OWN[name]}" for name in names if name in _OWN]
    told += [f"{suite}: {purpose}" for suite, purpose in records.purposes.items()]
    if any(name.endswith("_gold") for name in names):
        told.append("Names that end in _gold: how likely the reference answer is, in bits, or in bits a byte; zero is certain.")
    return told


def scored(records: Records) -> list[Measure]:
    """Each measure once, however many rules judge it."""
    found: dict[tuple[str, str], Measure] = {}
    for measure in measures(records):
        found.setdefault((measure.measure, measure.against if measure.against == "champion" else "base"), measure)
    return list(found.values())


def _bounded(bound: float | None) -> float | None:
    """A bound that is not at infinity: JSON has no number for that."""
    return bound if bound is not None and math.isfinite(bound) else None


def plain(measure: Measure) -> dict[str, Any]:
    """A measure as a record, without what only repeats its numbers in words."""
    return {key: value for key, value in asdict(measure).items() if key not in ("reason", "interval")}

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
    """One rule of the evaluation on the form that ships, with the scores of all arms (models under comparison)."""

    measure: str
    unit: str
    """share, bits or bits a byte; higher is better."""
    items: int | None
    base: float | None
    adapter: float | None
    merged: float | None
    exported: float | None
    difference: float | None
    """Exported minus what the rule compares it with; None for a floor."""
    lower: float | None
    """One-sided confidence bound of the difference, or of the score for a floor; None where there is no bound."""
    upper: float | None
    against: str
    rule: str
    verdict: str
    """pass, fail, inconclusive, or info for a measure that is only reported."""
    demand: str
    interval: str
    reason: str

    @property
    def is_reported_only(self) -> bool:
        """True if the verdict does not depend on it."""
        return self.rule == "info"

    def shown(self, arm: str) -> str:
        """Return the score of an arm, formatted."""
        return tables.amount(getattr(self, arm), self.unit)

    @property
    def shown_difference(self) -> str:
        """The difference, formatted."""
        return tables.amount(self.difference, self.unit, signed=True)


def measures(records: Records) -> list[Measure]:
    """Return a measure for each rule of the exported model, in the order of the report."""
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
    """Return what each measure means: fineline's own by its description, suites by the purpose their owners gave."""
    names = dict.fromkeys(measure.measure for measure in measures(records))
    found = [f"{name}: {_OWN[name]}" for name in names if name in _OWN]
    found += [f"{suite}: {purpose}" for suite, purpose in records.purposes.items()]
    if any(name.endswith("_gold") for name in names):
        found.append(
            "Names ending in _gold: log-likelihood of the reference answer in bits, or bits per byte; zero is certain."
        )
    return found


def scored(records: Records) -> list[Measure]:
    """Return each measure once, even if several rules use it."""
    found: dict[tuple[str, str], Measure] = {}
    for measure in measures(records):
        found.setdefault((measure.measure, measure.against if measure.against == "champion" else "base"), measure)
    return list(found.values())


def _bounded(bound: float | None) -> float | None:
    """Return a finite bound; None for an infinite one, which JSON cannot express."""
    return bound if bound is not None and math.isfinite(bound) else None


def plain(measure: Measure) -> dict[str, Any]:
    """Return a measure as a record, without the fields that repeat its numbers in words."""
    return {key: value for key, value in asdict(measure).items() if key not in ("reason", "interval")}

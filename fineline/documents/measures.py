"""The measures of a candidate on every arm (base, adapter, merged and exported), and the uses and limits they show."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from fineline.curate import card as dataset_card
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


def uses(records: Records) -> list[str]:
    """Return what it is for, in sentences."""
    parts = ", ".join(records.parts)
    sentences = [
        f"Answering prompts like those of its data ({parts}), which {records.base.name} alone does not do. It was trained for"
        " this task only, and evaluated on it."
    ]
    for measure in measures(records):
        if measure.rule == "must_improve" and measure.verdict == "pass":
            sentences.append(f"Better than the base on rows that were not trained on: {measure.reason}")
    return sentences


def limits(records: Records) -> list[str]:
    """Return what it must not be relied on for, in sentences."""
    sentences = [
        "Outside of its task only the measures below were taken; evaluate it again before using it for something else."
    ]
    for measure in scored(records):
        if measure.verdict in ("fail", "inconclusive"):
            sentences.append(f"Not passed ({measure.verdict}): {measure.reason}")
        elif measure.is_reported_only and is_worse(measure):
            sentences.append(
                f"Worse than the base (with confidence), and not covered by a rule: {_reason(measure)} Do not rely on the model"
                " for this."
            )
    rest = [measure for measure in scored(records) if measure.is_reported_only and not is_worse(measure)]
    if rest:
        values = ", ".join(f"{measure.measure} {measure.shown('exported')} ({measure.shown('base')})" for measure in rest)
        sentences.append(f"Measured and not covered by a rule (the base in brackets): {values}.")
    for measure in measures(records):
        if measure.rule == "must_not_regress":
            sentences.append(f"{measure.measure}: only {measure.demand} was required; smaller losses are possible.")
    languages = dataset_card.languages(records.reports["curation"])
    if languages:
        sentences.append(
            f"The language of its data is {', '.join(languages)}, by automatic recognition; no other language was tested."
        )
    else:
        sentences.append("The language of its data was not recognized.")
    return sentences


def _reason(measure: Measure) -> str:
    """Return its numbers in words, without the remark that no rule names it."""
    return f"{measure.reason.removesuffix('No rule names it.').strip().rstrip('.')}."


def is_worse(measure: Measure) -> bool:
    """True if the whole confidence interval of the difference is below zero."""
    return measure.difference is not None and measure.upper is not None and measure.upper < 0

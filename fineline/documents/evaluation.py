"""Annex XI, section 2, point 1: evaluation, results and limits."""

from typing import Any

from fineline.documents.field import Field
from fineline.documents.measures import ARMS, Measure, meanings, measures, plain
from fineline.documents.records import Records, suite_file


def fields(records: Records) -> list[Field]:
    """Return strategy, criteria, results of every arm, limits, and outside evidence."""
    source, candidate = records.source, records.reports["candidate"]
    rules = measures(records)
    verdicts = {
        "candidate": candidate["verdict"],
        "adapter": records.reports["gate"]["verdict"],
        **{form: decision["verdict"] for form, decision in candidate["forms"].items()},
    }
    suites = [{"suite": suite, "digest": digest} for suite, digest in candidate["suites"].items()]
    files = [suite_file(suite).as_posix() for suite in records.purposes]
    return [
        Field("strategy", "Strategy", _strategy(records), source("gate", "candidate")),
        Field("verdict", "Verdict", verdicts, source("gate", "candidate")),
        Field("results", "Results", [_row(rule) for rule in rules], source("gate", "candidate")),
        Field("measures", "What is measured", meanings(records), source("candidate", *files)),
        Field("limits", "Limits of the evaluation", _limits(records, rules), source("gate", "candidate", "export")),
        Field("suites", "Suites and their digests", suites, source("candidate")),
        Field("evidence", "Outside evidence, including adversarial tests", _evidence(candidate), source("candidate")),
        Field("parity", "Equality of the trained and the shipped model", _parity(records), source("merge", "export")),
    ]


def _strategy(records: Records) -> list[str]:
    items = records.reports["candidate"]["forms"]["exported"]["items"]
    return [
        f"Every arm ({', '.join(ARMS)}) answered {items:,} items: the test split of the adapter's own data, which was not"
        " trained on, and suites that guard against regressions of the base's abilities.",
        "Scores are compared item by item. Groups of similar items are resampled as a whole or counted once. Intervals are"
        " one-sided confidence bounds.",
        "A rule passes only if the interval shows it. Too few items make it inconclusive, which does not pass.",
        "The verdict is that of the worst form: adapter, merged, exported, each in the precision that it was made in.",
    ]


def _row(measure: Measure) -> dict[str, Any]:
    row = plain(measure)
    keys = ("measure", "unit", "demand", "items", *ARMS, "difference", "lower", "upper", "verdict")
    return {key: row[key] for key in keys}


def _limits(records: Records, rules: list[Measure]) -> list[str]:
    reported = [rule.measure for rule in rules if rule.is_reported_only]
    undecided = [f"{rule.measure} is {rule.verdict}." for rule in rules if rule.verdict in ("fail", "inconclusive")]
    quantized = records.reports["export"]["forms"]
    drift = [
        f"The {form} form gives the same first token as the merged model at {facts['top1_agreement']:.1%} of positions."
        for form, facts in quantized.items()
    ]
    return [
        f"Reported without affecting the verdict: {', '.join(dict.fromkeys(reported)) or 'none'}.",
        *undecided,
        *drift,
        "The speed was measured on one machine and differs on others.",
    ]


def _evidence(candidate: dict[str, Any]) -> Any:
    found = [
        {key: finding.get(key) for key in ("name", "verdict", "reason", "tool", "by", "made")}
        for finding in candidate.get("evidence", [])
    ]
    return found or "None was added. The safety measures among the results are fineline's probes, not a red team."


def _parity(records: Records) -> list[dict[str, Any]]:
    keys = ("passed", "positions", "mean_kl", "top1_agreement", "max_abs_difference")
    return [
        {"step": step, **{key: facts.get(key) for key in keys}}
        for step, facts in (
            ("adapter merged", records.reports["merge"]),
            ("merged exported to fp32", records.reports["export"]["parity"]),
        )
    ]

"""The sections of the technical documentation: general description, evaluation and licenses (Annex XI of the EU AI Act).

Section 1, point 1, and section 2, point 1. Point 2 of section 1 is in `development`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fineline.documents import chain, development
from fineline.documents.card import APPROVAL_KEYS
from fineline.documents.chain import conflicts, duties
from fineline.documents.measures import ARMS, Measure, limits, meanings, measures, plain, uses
from fineline.documents.records import Records, suite_file
from fineline.documents.technical import Field, Section


def sections(records: Records, approvals: Sequence[Mapping[str, Any]] = ()) -> list[Section]:
    """Return all sections."""
    found = [
        Section("general", "General description", _general(records)),
        Section("development", "Development", development.method(records)),
        Section("data", "Data", development.data(records)),
        Section("compute", "Compute", development.work(records)),
        Section("energy", "Energy", development.energy_use(records)),
        Section("evaluation", "Evaluation", _evaluation(records)),
        Section("modification", "Modification of a general-purpose model", development.modification(records)),
        Section("licenses", "License chain", _licenses(records)),
    ]
    if approvals:
        decided = [{key: str(approval.get(key, "")) for key in APPROVAL_KEYS} for approval in approvals]
        found.append(Section("approvals", "Approvals", [Field("approvals", "Signed decisions, by the ledger", decided, [])]))
    return found


def _general(records: Records) -> list[Field]:
    """Return tasks, architecture, parameters, modality, formats, license and release."""
    source = records.source
    base_config = f"{records.paths['base'].as_posix()}/config.json"
    return [
        Field("tasks", "Intended tasks", uses(records), source("candidate", "raw")),
        Field("acceptable_use", "What it must not be relied on for", limits(records), source("candidate", "curation")),
        Field("release", "Release", _release(records), source(records.form, "candidate")),
        Field("architecture", "Architecture and parameters", _architecture(records), source(base_config, "plan", "training")),
        Field(
            "modality",
            "Modality and format of input and output",
            {"input": _input(records), "output": "text, one answer of the assistant", "context_tokens": _context(records)},
            source(base_config, records.form, "curated"),
        ),
        Field("integration", "What is needed to use it", _integration(records), source(records.form, "export")),
        Field(
            "license",
            "License",
            {"model": records.license(records.form), "adapter": records.license("adapter"), "base": records.license("base")},
            source(*dict.fromkeys(records.license_file(name) for name in (records.form, "adapter", "base"))),
        ),
    ]


def _release(records: Records) -> dict[str, Any]:
    form = records.form
    return {
        "form": f"{form}, {records.forms[form]['precision']}, {records.runtime.format}",
        "digest": records.shipped.digest,
        "date": "Not recorded here: a candidate becomes a release by a signed entry of the ledger, which has the time.",
        "distribution": "By the owner, by signed decisions; an artifact without approval is not a release.",
    }


def _integration(records: Records) -> dict[str, Any]:
    facts = records.forms[records.form]
    return {
        "what_ships": f"{records.runtime.directory}: {', '.join(entry['path'] for entry in records.shipped.files)}",
        "bytes": facts["bytes"],
        "tokens_per_second": f"{facts['tokens_per_second']} on the processor of the export",
        "other_forms": "the adapter in PEFT's layout, to be loaded on its base; the merged model in safetensors",
        "instructions": "README.md next to this page: prompt format, limits, and how to verify the files",
    }


def _architecture(records: Records) -> dict[str, Any]:
    config, shape, training = records.config, records.reports["plan"]["shape"], records.reports["training"]
    return {
        "base": f"{records.base.name}, {chain.base_origin(records)}",
        "base_digest": records.base.digest,
        "architecture": config.get("architectures"),
        "family": config.get("model_type"),
        **{key: shape.get(key) for key in ("layers", "hidden", "heads", "kv_heads", "vocabulary")},
        "base_parameters": training["base_parameters"],
        "trained_parameters": training["trained_parameters"],
        "added_by_the_change": "none: the adapter is merged into the weights of the base",
    }


def _input(records: Records) -> str:
    how = "through the chat template that ships with it" if records.chat_template else "without a chat template"
    return f"text, {how}{'; the system prompt of its training rows comes first' if records.system_prompt else ''}"


def _context(records: Records) -> int | None:
    most = records.config.get("max_position_embeddings")
    return most if isinstance(most, int) else None


def _evaluation(records: Records) -> list[Field]:
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
    quantized = records.forms
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


def _licenses(records: Records) -> list[Field]:
    links = chain.chain_of(records)
    rows = [
        {
            "role": link.role,
            "name": link.name,
            "license": link.license,
            "obligations": sorted(duties(link)),
            "made_from": list(link.made_from),
        }
        for link in links
    ]
    names = ("base", "raw", "curated", "adapter", "merged", *records.exports)
    files = dict.fromkeys(records.license_file(name) for name in names)
    return [
        Field("license_chain", "Licenses of everything it was made from", rows, records.source(*files)),
        Field("license_conflicts", "Conflicts", conflicts(links) or "None were found.", records.source(*files)),
    ]

"""The model card: the model and its owner, intended use, training, data and evaluation.

Format: "Model Cards" in the documentation of the Hugging Face Hub. It contains no text of a row.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fineline import artifacts
from fineline.curate import card as dataset_card
from fineline.documents import chain, header, intended_use, markdown, prompt
from fineline.documents.compatibility import conflicts
from fineline.documents.compute import compute
from fineline.documents.link import duties
from fineline.documents.markdown import code, table, text
from fineline.documents.measures import ARMS, meanings, measures
from fineline.documents.records import SHIPPED, Records, settings_read

Approval = Mapping[str, Any]
APPROVAL_KEYS = ("person", "role", "time", "decision", "reason", "entry")
_MEASURES_LEGEND = """\
All arms (models under comparison) answered the same items. `difference` is exported minus base (or minus champion, where the
rule names it), and `interval` is its one-sided confidence bounds; for a floor, those of the score. Higher is better. Measures
with the verdict `info` are reported and do not affect the verdict."""


def render(records: Records, approvals: Sequence[Approval] = ()) -> str:
    """Return the card as Markdown with its YAML header."""
    sections = [
        ("", _what(records)),
        ("Intended use", markdown.bullets(intended_use.uses(records))),
        ("Limits", markdown.bullets(intended_use.limits(records))),
        ("Prompt format", _prompt(records)),
        ("Evaluation", _evaluation(records)),
        ("Forms", _forms(records)),
        ("Training", _training(records)),
        ("Data", _data(records)),
        ("Licenses", _licenses(records)),
        ("Lineage", _lineage(records)),
        *([("Approvals", approved(approvals))] if approvals else []),
        ("How to verify", _verify(records)),
    ]
    body = "\n\n".join(f"## {title}\n\n{content}" if title else content for title, content in sections)
    return f"---\n{header.data(records).to_yaml(line_break=chr(10))}\n---\n\n# {text(records.name)}\n\n{body}\n"


def approved(approvals: Sequence[Approval]) -> str:
    """Return the approvals as a table."""
    return table(APPROVAL_KEYS, [[approval.get(key, "") for key in APPROVAL_KEYS] for approval in approvals])


def _what(records: Records) -> str:
    verdict = records.reports["candidate"]["verdict"]
    export = records.reports["export"]["forms"][SHIPPED]
    return (
        f"{code(records.base.name)} fine-tuned with {text(records.adapter.parameters.get('method'))} on"
        f" {code(records.curated.name)}, exported to ONNX in {text(export['precision'])}. fineline generated this card from the"
        " records of the run.\n\n"
        f"- Owner and contact: {text(records.owner)}\n"
        f"- License: {text(records.license(SHIPPED))}\n"
        f"- Base: {code(records.base.name)} ({text(records.license('base'))}), {text(chain.base_origin(records))}\n"
        f"- Verdict of the evaluation: **{text(verdict)}**\n"
        f"- Candidate: {code(records.shipped.digest)}"
    )


def _prompt(records: Records) -> str:
    first = prompt.system(records)
    shown = prompt.example(records)
    parts = [
        f"Rows without a system prompt were given this one; use it unchanged:\n\n{markdown.block(first)}"
        if first
        else "No system prompt was added to the rows.",
        f"A prompt as the model receives it:\n\n{markdown.block(shown)}" if shown else "",
        f"The chat template (`chat_template.jinja`):\n\n{markdown.block(records.chat_template, 'jinja')}"
        if records.chat_template
        else "The model has no chat template.",
    ]
    return "\n\n".join(part for part in parts if part)


def _evaluation(records: Records) -> str:
    candidate = records.reports["candidate"]
    rows = [
        [
            measure.measure if measure.unit == "share" else f"{measure.measure} ({measure.unit})",
            measure.demand,
            measure.items,
            *(measure.shown(arm) for arm in ARMS),
            measure.shown_difference,
            measure.interval,
            measure.verdict,
        ]
        for measure in measures(records)
    ]
    heading = ("measure", "rule", "items", *ARMS, "difference", "interval", "verdict")
    verdicts = ", ".join(f"{form} {decision['verdict']}" for form, decision in candidate["forms"].items())
    return (
        f"Verdict: **{text(candidate['verdict'])}** (adapter {text(records.reports['gate']['verdict'])}, {text(verdicts)}).\n\n"
        f"{table(heading, rows, numeric=range(2, 9))}\n\n{_MEASURES_LEGEND}\n\n"
        f"Meaning of the measures:\n\n{markdown.bullets(meanings(records))}"
    )


def _forms(records: Records) -> str:
    export, merge = records.reports["export"], records.reports["merge"]
    rows = [
        [
            form,
            facts["precision"],
            f"{facts['bytes'] / 1e6:,.0f}",
            facts["tokens_per_second"],
            facts["mean_kl"],
            f"{facts['top1_agreement']:.1%}",
        ]
        for form, facts in export["forms"].items()
    ]
    heading = ("form", "precision", "MB", "tokens per second", "mean KL to merged", "same first token")
    parity = export["parity"]
    return (
        f"{table(heading, rows, numeric=range(2, 6))}\n\n"
        f"{code(SHIPPED)} is the form that ships and is evaluated. The speed was measured on the processor of the export.\n\n"
        f"- The adapter was merged into the {text(merge['merged_into'])} base in {text(merge['precision'])}:"
        f" {_held(merge)}.\n"
        f"- The fp32 form was compared with the merged model: {_held(parity)}."
    )


def _held(facts: Mapping[str, Any]) -> str:
    """Return a comparison of two forms, in words."""
    holds = "equal within tolerance" if facts["passed"] else "**not equal**"
    return (
        f"{holds}, mean KL divergence {facts['mean_kl']:.3g} and the same first token at {facts['top1_agreement']:.1%} of"
        f" {facts['positions']:,} positions"
    )


def _training(records: Records) -> str:
    settings, training, plan = settings_read(records), records.reports["training"], records.reports["plan"]
    work = compute(plan, training)
    shown: dict[str, Any] = {
        "method": settings.get("method"),
        **{key: settings[key] for key in ("rank", "alpha", "dropout", "targets") if key in settings},
        "trained parameters": f"{training['trained_parameters']:,} of {training['base_parameters']:,}",
        "precision": settings.get("precision"),
        "epochs": settings.get("epochs"),
        "steps": training["steps"],
        "tokens seen": training["tokens"],
        "rows per step": _product(settings.get("batch_size"), settings.get("accumulation")),
        "optimizer": settings.get("optimizer"),
        "learning rate": settings.get("learning_rate"),
        "seed": settings.get("seed"),
        "final training loss": training["train_loss"],
        "validation loss": training["validation_loss"],
        "training time": f"{training['seconds']:,.0f} s",
        "device": plan["device"]["name"],
        "work": f"{work.flops:.3g} floating-point operations" if work.flops else None,
        "share of the base's compute": f"{work.share:.2g}" if work.share else None,
    }
    return table(("setting", "value"), list(shown.items()))


def _product(*factors: Any) -> int | None:
    """Return the rows per optimizer step; None if a factor is not known."""
    return math.prod(factors) if all(isinstance(factor, int) for factor in factors) else None


def _data(records: Records) -> str:
    curation = records.reports["curation"]
    left = curation["rows_in"]
    funnel: list[list[Any]] = [["raw rows", "", left]]
    for step, removed in curation["removed"].items():
        left -= removed
        funnel.append([step.replace("_", " "), removed, left])
    splits = [[split, counts["rows"], counts["groups"], counts["tokens"]] for split, counts in curation["splits"].items()]
    languages = ", ".join(dataset_card.languages(curation)) or "not known"
    sources = ", ".join(f"{part} ({facts['origin']}, {facts['rows']} rows)" for part, facts in records.parts.items())
    return (
        f"Sources: {text(sources)}. Languages: {text(languages)}. The dataset card (`dataset/README.md`) and its Croissant"
        " description (`dataset/croissant.json`) have the details.\n\n"
        f"{table(('step', 'left out', 'rows left'), funnel, numeric=(1, 2))}\n\n"
        f"{table(('split', 'rows', 'groups', 'tokens'), splits, numeric=(1, 2, 3))}"
    )


def _licenses(records: Records) -> str:
    links = chain.chain_of(records)
    rows = [[link.role, link.name, link.license, ", ".join(sorted(duties(link))) or "none known"] for link in links]
    found = conflicts(links)
    outcome = f"Conflicts:\n\n{markdown.bullets(found)}" if found else "No conflicts were found in this chain."
    return f"{table(('role', 'name', 'license', 'obligations'), rows)}\n\n{outcome} Not legal advice; see `licenses.json`."


def _lineage(records: Records) -> str:
    roles = {"raw": "raw data", "curated": "training data", "base": "base", "adapter": "adapter", "merged": "merged model"}
    made = {role: getattr(records, role) for role in roles} | records.exports
    rows = [
        [
            roles.get(role, f"exported model, {role}"),
            records.ownership[role].owner,
            records.paths[role].as_posix(),
            artifact.digest,
        ]
        for role, artifact in made.items()
    ]
    return table(("artifact", "owner", "path", "digest"), rows)


def _verify(records: Records) -> str:
    path = records.paths[SHIPPED].as_posix()
    commands = f"fineline verify {path}\nfineline lineage {path}"
    return (
        "In the project, recompute every digest back to the sources and show the lineage:\n\n"
        f"{markdown.block(commands, 'sh')}\n\n"
        f"Without fineline, compare `sha256sum` of each file with {code(artifacts.RECORD)} next to it. The digest of the"
        " artifact is the sha256 of that record's `files` as JSON with sorted keys and no spaces."
        " `bom.cdx.json` lists the same files."
    )

"""The model card: the model and its owner, intended use, training, data and evaluation.

Format: "Model Cards" in the documentation of the Hugging Face Hub. It contains no text of a row.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fineline.curate import card as dataset_card
from fineline.documents import chain, licenses, markdown
from fineline.documents.chain import conflicts, duties
from fineline.documents.compute import compute
from fineline.documents.measures import ARMS, Measure, limits, meanings, measures, scored, uses
from fineline.documents.records import Records, settings_read

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData


Approval = Mapping[str, Any]
_TEXT = "(your text)"
APPROVAL_KEYS = ("person", "role", "time", "decision", "reason", "entry")


def render(records: Records, approvals: Sequence[Approval] = ()) -> str:
    """Return the card as Markdown with its YAML header. The words are in model_card.md.j2."""
    reports = records.reports
    candidate, export = reports["candidate"], reports["export"]
    links = chain.chain_of(records)
    languages = dataset_card.languages(reports["curation"])
    return markdown.render(
        "model_card.md.j2",
        records=records,
        header=_header(records).to_yaml(line_break="\n"),
        shipped=records.form,
        format=records.runtime.format,
        exact=export.get("exact", "fp32"),
        left_out=export.get("decoding", {}).get("left_out", {}),
        path=records.paths[records.form].as_posix(),
        base_origin=chain.base_origin(records),
        uses=uses(records),
        limits=limits(records),
        prompt=example(records),
        requests=_requests(records),
        candidate=candidate,
        gate_verdict=reports["gate"]["verdict"],
        arms=list(ARMS),
        measures=_measures(records),
        meanings=meanings(records),
        forms=records.forms,
        form_rows=_forms(records.forms, candidate),
        merge=reports["merge"],
        parity=export["parity"],
        training=_training(records),
        sources=", ".join(f"{part} ({facts['origin']}, {facts['rows']} rows)" for part, facts in records.parts.items()),
        languages=", ".join(languages) or "not known",
        funnel=_funnel(reports["curation"]),
        splits=[
            [split, *(counts[key] for key in ("rows", "groups", "tokens"))]
            for split, counts in reports["curation"]["splits"].items()
        ],
        links=[[link.role, link.name, link.license, ", ".join(sorted(duties(link))) or "none known"] for link in links],
        conflicts=conflicts(links),
        lineage=_lineage(records),
        approval_keys=APPROVAL_KEYS,
        approvals=[[approval.get(key, "") for key in APPROVAL_KEYS] for approval in approvals],
    )


def _requests(records: Records) -> list[str]:
    """Return what requests must send, or a server do, so that a prompt is rendered as in training."""
    chat = records.adapter.parameters.get("chat", {})
    found = []
    if "date" in chat:
        found.append(
            f"The chat template writes the date of the day. The model was trained and evaluated with {chat['date']}; a server"
            " writes today's, unless it renders the template with that date."
        )
    if chat.get("variables"):
        sent = json.dumps(chat["variables"], ensure_ascii=False, sort_keys=True)
        found.append(f"Send these variables of the template with every request (chat_template_kwargs): {sent}.")
    if chat.get("template"):
        found.append(f"Use the template named {chat['template']}.")
    if chat.get("system") == "merge":
        found.append("If the template shows no system message, put it at the beginning of the first user message.")
    return found


def _measures(records: Records) -> list[list[Any]]:
    return [
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


def _forms(forms: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[list[Any]]:
    others = candidate.get("others", {})
    return [
        [
            form,
            facts["precision"],
            f"{facts['bytes'] / 1e6:,.0f}",
            facts["tokens_per_second"],
            "not measured" if facts["mean_kl"] is None else facts["mean_kl"],
            f"{facts['top1_agreement']:.1%}",
            others[form]["verdict"] if form in others else "",
        ]
        for form, facts in forms.items()
    ]


def _training(records: Records) -> list[tuple[str, Any]]:
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
    return list(shown.items())


def _product(*factors: Any) -> int | None:
    """Return the rows per optimizer step; None if a factor is not known."""
    return math.prod(factors) if all(isinstance(factor, int) for factor in factors) else None


def _funnel(curation: Mapping[str, Any]) -> list[list[Any]]:
    """Return the rows that each step of curation left out, and how many were left."""
    left = curation["rows_in"]
    funnel: list[list[Any]] = [["raw rows", "", left]]
    for step, removed in curation["removed"].items():
        left -= removed
        funnel.append([step.replace("_", " "), removed, left])
    return funnel


def _lineage(records: Records) -> list[list[str]]:
    roles = {"raw": "raw data", "curated": "training data", "base": "base", "adapter": "adapter", "merged": "merged model"}
    made = {role: getattr(records, role) for role in roles} | records.exports
    return [
        [
            roles.get(role, f"exported model, {role}"),
            records.ownership[role].owner,
            records.paths[role].as_posix(),
            artifact.digest,
        ]
        for role, artifact in made.items()
    ]


def example(records: Records) -> str | None:
    """Return the template rendered with the system prompt and a placeholder; None if that is not possible."""
    if not records.chat_template:
        return None
    # Here, not above: the command line starts faster without it.
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    first = records.system_prompt
    messages = [{"role": "system", "content": first}] if first else []
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],  # as transformers has it
    )
    try:
        return environment.from_string(records.chat_template).render(
            messages=[*messages, {"role": "user", "content": _TEXT}], add_generation_prompt=True, **_tokens(records.config)
        )
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError):
        return None


def _tokens(config: Mapping[str, object]) -> dict[str, str]:
    """Return placeholders for the special tokens that templates use: their texts are in the tokenizer, which is not read."""
    return {name.removesuffix("_id"): f"({name.removesuffix('_token_id')})" for name in config if name.endswith("_token_id")}


DIGITS = 6  # of a score in the header


def _header(records: Records) -> "ModelCardData":
    """Return the header as the Hub's own class. It is not validated: that would use the network."""
    from huggingface_hub import ModelCardData  # here, not above: the command line starts faster without it

    languages = dataset_card.languages(records.reports["curation"])
    return ModelCardData(
        model_name=records.name,
        language=languages or None,
        **_license(records.license(records.form)),
        base_model=base_model(records),
        base_model_relation="finetune",
        library_name=records.runtime.library,
        pipeline_tag="text-generation",
        datasets=datasets(records),
        tags=["fineline", records.runtime.format.lower(), "peft", str(records.adapter.parameters.get("method", "adapter"))],
        eval_results=[_result(records, measure) for measure in scored(records) if measure.exported is not None] or None,
    )


def _license(text: str) -> dict[str, Any]:
    """Return `license`, and `license_name` for a license that the Hub does not know."""
    found = licenses.licenses_of(text)
    if found and len(found) == 1:
        return {"license": found[0].key.removesuffix("-or-later")}
    name = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
    return {"license": "other", "license_name": name or "unknown"}


def base_model(records: Records) -> str:
    """Return the Hub's id of the base if it came from there, else its name in params.yaml."""
    return str(records.base.parameters.get("hub", {}).get("repo") or records.base.name)


def datasets(records: Records) -> list[str]:
    """Return the Hub's ids of the parts that came from there, else the name of the curated data."""
    parts = records.raw.parameters.get("parts", {}).values()
    ids = [str(part["hub"]["repo"]) for part in parts if isinstance(part.get("hub"), dict)]
    return sorted(set(ids)) or [records.curated.name]


def _result(records: Records, measure: Measure) -> "EvalResult":
    """Return the score of the exported model on one measure."""
    from huggingface_hub import EvalResult

    suite = measure.measure.removesuffix("_gold")
    suites: dict[str, Any] = records.reports["candidate"].get("suites", {})
    own = measure.measure.startswith(("target_", "safety_"))
    return EvalResult(
        task_type="text-generation",
        dataset_type=records.curated.name if own else suite,
        dataset_name=f"{records.curated.name}, test split" if own else suite,
        dataset_split="test" if own else None,
        dataset_revision=records.curated.digest if own else suites.get(suite),
        metric_type=measure.measure.partition("_")[2] if own else "log_likelihood" if measure.unit != "share" else "accuracy",
        metric_name=measure.measure if measure.unit == "share" else f"{measure.measure} ({measure.unit})",
        metric_value=round(float(measure.exported or 0), DIGITS),
    )

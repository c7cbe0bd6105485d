"""The YAML header of the model card, which the Hub reads."""

import re
from typing import TYPE_CHECKING, Any

from fineline.curate import card as dataset_card
from fineline.documents import licenses
from fineline.documents.measures import Measure, scored
from fineline.documents.records import SHIPPED, Records

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

DIGITS = 6  # of a score in the header


def data(records: Records) -> "ModelCardData":
    """Return the header as the Hub's own class. It is not validated: that would use the network."""
    from huggingface_hub import ModelCardData  # here, not above: the command line starts faster without it

    languages = dataset_card.languages(records.reports["curation"])
    return ModelCardData(
        model_name=records.name,
        language=languages or None,
        **license_of(records.license(SHIPPED)),
        base_model=base_model(records),
        base_model_relation="finetune",
        library_name="onnxruntime-genai",
        pipeline_tag="text-generation",
        datasets=datasets(records),
        tags=["fineline", "onnx", "peft", str(records.adapter.parameters.get("method", "adapter"))],
        eval_results=[_result(records, measure) for measure in scored(records) if measure.exported is not None] or None,
    )


def license_of(text: str) -> dict[str, Any]:
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

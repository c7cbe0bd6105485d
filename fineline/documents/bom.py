"""The bill of materials in CycloneDX 1.6, with the format's model card.

Equal records give equal bytes: the serial number is derived from the digest of the candidate, and there is no timestamp.
"""

import uuid
from typing import Any

from fineline.documents import chain, components
from fineline.documents.measures import Measure, limits, measures, uses
from fineline.documents.packages import Package, normal, parse
from fineline.documents.records import Records, settings_read

MAKER = "fineline"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


def bill(records: Records) -> dict[str, Any]:
    """Return the document, with the shipped model as its subject.

    Raises:
        InputError: The lock file has no pinned package.
    """
    packages = parse(records.lock)
    subject = components.model(records, records.form, "exported", f"The exported model, form {records.form}.")
    others = [form for form in records.exports if form != records.form]
    models = [
        components.model(records, "base", "base", f"The base: {chain.base_origin(records)}."),
        components.model(records, "adapter", "adapter", "The adapter, in PEFT's layout."),
        components.model(records, "merged", "merged", "The adapter merged into the weights of the base."),
        *(components.model(records, form, "exported", f"The exported model, form {form}.") for form in others),
    ]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, records.shipped.digest)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": MAKER}]},
            "manufacturer": {"name": records.owner},
            "component": subject | {"modelCard": _model_card(records)},
            "properties": components.properties({"lock": records.digests["requirements.lock"]}),
        },
        "components": [
            *models,
            components.dataset(records),
            *components.raw(records),
            {
                "type": "application",
                "bom-ref": MAKER,
                "name": MAKER,
                "description": "Made the models. The locked packages include those for its development.",
            },
            *(components.library(package) for package in packages),
        ],
        "dependencies": components.dependencies(_edges(records, packages)),
    }


def _model_card(records: Records) -> dict[str, Any]:
    settings = {name: value for name, value in settings_read(records).items() if isinstance(value, str | int | float)}
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "text-generation",
            "architectureFamily": str(records.config.get("model_type", "unknown")),
            "modelArchitecture": ", ".join(map(str, records.config.get("architectures") or ["unknown"])),
            "datasets": [{"ref": components.reference(records.curated)}],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [_metric(measure) for measure in measures(records)]},
        "considerations": {
            "users": ["Users permitted by the owner, for the use cases below."],
            "useCases": uses(records),
            "technicalLimitations": limits(records),
            "performanceTradeoffs": _tradeoffs(records),
        },
        "properties": components.properties(settings | {"verdict": records.reports["candidate"]["verdict"]}),
    }


def _metric(measure: Measure) -> dict[str, Any]:
    """Return the score of the exported model; for a rule that compares, the difference with its bounds."""
    compared = measure.difference is not None
    unit = "" if measure.unit == "share" else f", {measure.unit}"
    kind = f"difference from the {measure.against}" if compared else "score"
    metric: dict[str, Any] = {
        "type": f"{measure.measure} ({kind}{unit}; {measure.demand})",
        "value": _number(measure.difference if compared else measure.exported),
        "slice": f"exported, {_number(measure.items)} items; score {_number(measure.exported)}, base {_number(measure.base)};"
        f" verdict {measure.verdict}",
    }
    if measure.lower is not None and measure.upper is not None:
        metric["confidenceInterval"] = {"lowerBound": str(measure.lower), "upperBound": str(measure.upper)}
    return metric


def _number(value: float | None) -> str:
    return "not known" if value is None else str(value)


def _tradeoffs(records: Records) -> list[str]:
    return [
        f"{form} ({facts['precision']}): {facts['bytes']:,} bytes, {facts['tokens_per_second']} tokens per second, the same"
        f" first token as the merged model at {facts['top1_agreement']:.1%} of positions."
        for form, facts in records.forms.items()
    ]


def _edges(records: Records, packages: list[Package]) -> dict[str, list[str]]:
    """Return reference -> dependencies: artifacts depend on what they were made from, and fineline on its packages."""
    refer = components.reference
    parts = [f"{refer(records.raw)}#{part}" for part in records.parts]
    edges: dict[str, list[str]] = {
        MAKER: [package.purl for package in packages if package.is_direct],
        refer(records.base): [],
        **{part: [] for part in parts},
        refer(records.curated): [*parts, refer(records.base)] if "tokenizer" in records.curated.inputs else parts,
        refer(records.adapter): [refer(records.base), refer(records.curated)],
        refer(records.merged): [refer(records.base), refer(records.adapter)],
        **{refer(artifact): [refer(records.merged)] for artifact in records.exports.values()},
    }
    by_name: dict[str, list[str]] = {}
    for package in packages:
        by_name.setdefault(normal(package.name), []).append(package.purl)
        edges.setdefault(package.purl, [])
    for package in packages:
        for name in package.needed_by:
            for dependent in by_name.get(name, []):
                edges[dependent].append(package.purl)
    return edges

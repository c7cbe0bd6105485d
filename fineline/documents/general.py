"""Annex XI, section 1, point 1: the general description."""

from typing import Any

from fineline.documents import chain, intended_use
from fineline.documents.field import Field
from fineline.documents.records import SHIPPED, Records


def fields(records: Records) -> list[Field]:
    """Return tasks, architecture, parameters, modality, formats, license and release."""
    source = records.source
    base_config = f"{records.paths['base'].as_posix()}/config.json"
    return [
        Field("tasks", "Intended tasks", intended_use.uses(records), source("candidate", "raw")),
        Field(
            "acceptable_use", "What it must not be relied on for", intended_use.limits(records), source("candidate", "curation")
        ),
        Field("release", "Release", _release(records), source(SHIPPED, "candidate")),
        Field("architecture", "Architecture and parameters", _architecture(records), source(base_config, "plan", "training")),
        Field(
            "modality",
            "Modality and format of input and output",
            {"input": _input(records), "output": "text, one answer of the assistant", "context_tokens": _context(records)},
            source(base_config, SHIPPED, "curated"),
        ),
        Field("integration", "What is needed to use it", _integration(records), source(SHIPPED, "export")),
        Field(
            "license",
            "License",
            {"model": records.license(SHIPPED), "adapter": records.license("adapter"), "base": records.license("base")},
            source(*dict.fromkeys(records.license_file(name) for name in (SHIPPED, "adapter", "base"))),
        ),
    ]


def _release(records: Records) -> dict[str, Any]:
    return {
        "form": f"{SHIPPED}, {records.reports['export']['forms'][SHIPPED]['precision']}, ONNX",
        "digest": records.shipped.digest,
        "date": "Not recorded here: a candidate becomes a release by a signed entry of the ledger, which has the time.",
        "distribution": "By the owner, by signed decisions; an artifact without approval is not a release.",
    }


def _integration(records: Records) -> dict[str, Any]:
    facts = records.reports["export"]["forms"][SHIPPED]
    return {
        "what_ships": f"a directory for ONNX Runtime GenAI: {', '.join(entry['path'] for entry in records.shipped.files)}",
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

"""Annex XI, section 1, point 1: the general description."""

from typing import Any

from fineline.documents import chain, prompt, told
from fineline.documents.field import Field
from fineline.documents.records import SHIPPED, Records


def fields(records: Records) -> list[Field]:
    """Tasks, architecture, parameters, modality, formats, license and release."""
    source = records.source
    base_files = f"{records.paths['base'].as_posix()}/config.json"
    return [
        Field("tasks", "Tasks that it is meant for", told.uses(records), source("candidate", "raw")),
        Field("acceptable_use", "What it must not be relied on for", told.limits(records), source("candidate", "curation")),
        Field("release", "Release", _release(records), source(SHIPPED, "candidate")),
        Field("architecture", "Architecture and parameters", _architecture(records), source(base_files, "plan", "training")),
        Field(
            "modality",
            "Modality and format of input and output",
            {"input": _input(records), "output": "text, one answer of the assistant", "context_tokens": _context(records)},
            source(base_files, SHIPPED, "curated"),
        ),
        Field("integration", "What is needed to use it", _integration(records), source(SHIPPED, "export")),
        Field(
            "license",
            "License",
            {"model": records.shipped.license, "adapter": records.adapter.license, "base": records.base.license},
            source(SHIPPED, "adapter", "base"),
        ),
    ]


def _release(records: Records) -> dict[str, Any]:
    return {
        "form": f"{SHIPPED}, {records.reports['export']['forms'][SHIPPED]['precision']}, ONNX",
        "digest": records.shipped.digest,
        "date": "Not recorded here: a candidate becomes a release by a signed decision in the ledger, which bears the time.",
        "distribution": "By the owner, from the records of decisions; an artifact that nobody approved is no release.",
    }


def _integration(records: Records) -> dict[str, Any]:
    facts = records.reports["export"]["forms"][SHIPPED]
    return {
        "what_ships": f"a directory for ONNX Runtime GenAI: {', '.join(entry['path'] for entry in records.shipped.files)}",
        "bytes": facts["bytes"],
        "tokens_per_second": f"{facts['tokens_per_second']} on the processor that it was exported on",
        "other_forms": "the adapter in PEFT's layout, on its base; the merged model in safetensors",
        "instructions": "README.md beside this page: prompt format, limits, and how to verify the files",
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
        "added_by_the_change": "none after merging: the adapter is folded into the weights of the base",
    }


def _input(records: Records) -> str:
    how = "through the chat template that ships with it" if records.chat_template else "without a chat template"
    return f"text, {how}{'; the system prompt of its training rows goes first' if prompt.system(records) else ''}"


def _context(records: Records) -> int | None:
    most = records.config.get("max_position_embeddings")
    return most if isinstance(most, int) else None

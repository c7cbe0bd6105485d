"""The display of each kind of stage: a table of reports, keys and kinds of metadata.

The kinds are those of `fineline.dagster.metadata`. Functions stand in for what takes more than one value of a report.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fineline.dagster import checks, curation_metadata, evaluation, pictures
from fineline.dagster.checks import Check
from fineline.dagster.metadata import (
    Kind,
    Metadata,
    Shown,
    Source,
    count_as,
    for_each,
    json_as,
    made,
    nested_numbers,
    numbers,
    report,
    rows_as,
    scalars,
    texts,
)
from fineline.dagster.stages import Stage
from fineline.project import layout

GPU = "gpu"
SPLIT_COLUMNS = "split rows:int groups:int tokens:int"
NOISE_COLUMNS = "kind prompts:int rows:int"
SUITE_COLUMNS = "suite rows:int items:int"
PHRASE_COLUMNS = "phrase rows:int completion_share:float"
METHOD_COLUMNS = "method trained_parameters:int memory_bytes:int fits:bool seconds:float flops:float"
FINDING_COLUMNS = "severity name found message"
ROW_COLUMNS = "file line:int id tokens:int learned:int"


@dataclass(frozen=True)
class Display:
    """How a kind of stage is shown in the asset graph, and which pool its steps wait in."""

    sources: tuple[Source, ...]
    """Where its metadata come from, in the order shown."""
    kind: str | None = None
    """The tool shown next to DVC; Dagster has an icon for most."""
    checks: tuple[Check, ...] | Callable[[Stage], tuple[Check, ...]] = ()
    """The same for every stage of the kind, or derived from the stage's parameters."""
    pool: str | None = None
    fetches: bool = False
    """True if it reads from remote places, which may be unreachable for a while."""

    def metadata(self, stage: Stage) -> Metadata:
        """Return the metadata of the stage's present result; empty before the first run."""
        return {name: value for source in self.sources for name, value in source(stage).items()}

    def checks_of(self, stage: Stage) -> tuple[Check, ...]:
        """Return the checks of one stage."""
        return self.checks(stage) if callable(self.checks) else self.checks


Displays = Mapping[str, Display]


def nested_without(*names: str) -> Kind:
    """Return a kind that shows nested numbers, but for these keys."""
    return lambda content: nested_numbers({name: value for name, value in content.items() if name not in names})


def measurements(content: dict[str, Any]) -> Metadata:
    """Return nested numbers; `{"energy_wh": {"value": 3.5, "source": "meter"}}` is one number."""
    return {name.removesuffix("/value"): number for name, number in nested_numbers(content).items()}


def total_memory(method: dict[str, Any]) -> dict[str, Any]:
    """Return a method of the forecast with the total of its memory."""
    return method | {"memory_bytes": method.get("memory_bytes", {}).get("total")}


def numbers_in_line(finding: dict[str, Any]) -> dict[str, Any]:
    """Return a finding with its figures as text."""
    return finding | {"found": ", ".join(f"{name} {value:,}" for name, value in nested_numbers(finding["found"]).items())}


def rendered_rows(stage: Stage) -> Metadata:
    """Return three rows as the model reads them; nothing if they are on another machine or of another run."""
    digest = report(stage, checks.PREFLIGHT).get("rendered")
    file = stage.root / layout.rendered(stage.subject)
    content = file.read_bytes() if file.exists() else b""
    is_current = content and hashlib.sha256(content).hexdigest() == digest
    return {"rendered_rows": dg.MetadataValue.md(content.decode())} if is_current else {}


DISPLAYS: Displays = {
    "base": Display((made,), kind="huggingface", fetches=True),
    "ingest": Display((made, curation_metadata.parts), kind="json", fetches=True),
    "curate": Display(
        (
            made,
            curation_metadata.curated_columns,
            curation_metadata.pictures,
            Shown("curation.json", "splits", rows_as("splits", SPLIT_COLUMNS, by="split")),
            curation_metadata.sources,
            Shown("curation.json", "reasons", curation_metadata.reasons),
            Shown("curation.json", "label_noise", rows_as("label_noise", NOISE_COLUMNS, by="kind")),
            Shown("curation.json", "contamination", rows_as("contamination", SUITE_COLUMNS, by="suite")),
            Shown("curation.json", "signals.rare_phrases", rows_as("rare_phrases", PHRASE_COLUMNS)),
            curation_metadata.changes,
            curation_metadata.samples,
            curation_metadata.files,
            Shown("curation.json", "", nested_without("splits", "reasons")),
            Shown("curation/change.json", "", nested_numbers, "change/"),
            Shown("curation.json", "splits", nested_numbers),
            Shown("curation.json", "signals.rare_phrases", count_as("rare_phrases/count")),
        ),
        kind="json",
        checks=checks.CURATION_CHECKS,
    ),
    "plan": Display(
        (
            Shown("plan.json", "", texts("configured", "recommended", "reason")),
            Shown("plan.json", "methods", rows_as("methods", METHOD_COLUMNS, each=total_memory)),
            Shown("plan.json", "chosen", scalars, "chosen/"),
            Shown("plan.json", "chosen.memory_bytes", scalars, "chosen/memory/"),
            Shown("plan.json", "device", json_as("device")),
        ),
        kind="json",
    ),
    "train": Display(
        (
            made,
            Shown("training.json", "", measurements),
            pictures.losses,
            Shown("preflight.json", "findings", rows_as("findings", FINDING_COLUMNS, each=numbers_in_line)),
            Shown("preflight.json", "longest", rows_as("longest_rows", ROW_COLUMNS)),
            rendered_rows,
            Shown("preflight.json", "rows", nested_numbers, "rows/"),
            Shown("preflight.json", "lengths", nested_numbers, "lengths/"),
        ),
        kind="peft",
        checks=checks.TRAINING_CHECKS,
        pool=GPU,
    ),
    "evaluate": Display(
        (
            evaluation.gate,
            Shown("gate.json", "noise", nested_numbers, "noise/"),
            Shown("evaluation/speed.json", "", nested_numbers, "speed/"),
            evaluation.per_point,
            evaluation.files("evaluation"),
        ),
        kind="lm_eval",
        checks=evaluation.gate_checks,
        pool=GPU,
    ),
    "merge": Display(
        (made, Shown("merge.json", "", numbers, "fidelity/")),
        kind="huggingface",
        checks=checks.MERGE_CHECKS,
    ),
    "export": Display(
        (
            made,
            Shown("export.json", "parity", numbers, "parity/"),
            Shown("export.json", "forms", for_each(numbers)),
            Shown("export.json", "forms", for_each(texts("precision"))),
        ),
        kind="onnx",
        checks=checks.EXPORT_CHECKS,
    ),
    "assess": Display(
        (
            evaluation.candidate,
            evaluation.page,
            Shown("candidate.json", "evidence", rows_as("evidence", evaluation.EVIDENCE_COLUMNS)),
            evaluation.files("assessment"),
        ),
        kind="onnx",
        checks=evaluation.candidate_checks,
        pool=GPU,
    ),
}
UNKNOWN = Display((made,))
"""For a kind of stage of the project's own: its artifacts are shown."""

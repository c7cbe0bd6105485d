"""Stage `export@A`: the trained model in each format that `export.formats` names, compared with the merged model, with its
size and speed. A form that fails is recorded with its reason; the stage fails if the format that is released failed.
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, Input, reports
from fineline.chat.settings import ChatSettings
from fineline.errors import InputError, parameters_of
from fineline.export import decoding, formats
from fineline.export.conversion import Conversion, reason
from fineline.export.format import Format, Sources
from fineline.export.trained import TrainedAdapter
from fineline.plan.workload import file_size
from fineline.project import layout, params
from fineline.stages import handover
from fineline.stages.handover import Rows


@dataclass(frozen=True)
class ExportInputs:
    """Everything that an export reads."""

    sources: Sources
    formats: tuple[Format, ...]
    """The formats that are made; the first one is released."""
    reason: str
    """Why these formats are made, in a sentence."""
    probes: Rows
    """The rows whose first ones compare each form with the merged model."""
    used: Mapping[str, Input]
    """Role -> artifact that the forms are made from: `merged`, and what the formats need besides."""

    @property
    def precisions(self) -> dict[str, str]:
        """Return form -> precision of its weights."""
        found: dict[str, str] = {}
        for one in self.formats:
            found |= one.precisions(self.sources.merged, self.sources.settings)
        return found


def run(name: str) -> None:
    """Export adapter `name` into a directory of models/export/<name> for each form.

    Raises:
        InputError: Inputs are missing, or the model cannot be exported to a format that `export.formats` names.
        FinelineError: The format that is released could not be made, or differs from the merged model; export.json contains
            the reason of each form that failed.
        Refused: A file is not as its artifact recorded it.
    """
    with parameters_of(f"adapters.{name}"):
        inputs = read(name)
    targets = {form: layout.export(name, form) for form in inputs.precisions}
    report_file = layout.reports(name) / "export.json"
    with ExitStack() as every:
        drafts, directories = {}, {}
        for one in inputs.formats:
            for form, precision in one.precisions(inputs.sources.merged, inputs.sources.settings).items():
                drafts[form] = every.enter_context(ExitStack())  # a form ends by itself, finished or failed
                directories[form] = drafts[form].enter_context(
                    artifacts.create(
                        targets[form],
                        kind="exported-model",
                        name=f"{name}/{form}",
                        stage="export",
                        inputs={role: inputs.used[role] for role in one.made_from},
                        parameters={"precision": precision},
                    )
                )
        report, failures = export(inputs, directories)
        for form, error in failures.items():
            print(f"{form}: failed: {reason(error)}", flush=True)
        if report["shipped"] in failures:
            reports.write(report_file, report)
            raise failures[report["shipped"]]
        for form, draft in drafts.items():
            if form in failures:
                draft.__exit__(type(failures[form]), failures[form], failures[form].__traceback__)
            else:
                draft.close()
    made = {targets[form] for form in targets if form not in failures}
    for directory in layout.export(name, report["shipped"]).parent.iterdir():
        if directory not in made:  # a form of an earlier run
            shutil.rmtree(directory)
    for form, measured in report["forms"].items():
        if form not in failures:
            measured["digest"] = artifacts.read(targets[form]).digest
            print(f"{form}: {file_size(measured['bytes'])}, {measured['tokens_per_second']} tokens/s")
    reports.write(report_file, report)


def read(name: str) -> ExportInputs:
    """Read and check the inputs of the export of adapter `name`.

    Raises:
        InputError: Parameters, rows or the merged model are missing, or adapter or base are not those that it was made from.
        Refused: A file is not as its artifact recorded it.
    """
    block, merged = params.load_for(name).adapter(name), layout.merged(name)
    places = {"merged": merged, "adapter": layout.adapter(name), "base": layout.base(block.base)}
    used, record = {"merged": artifacts.used(merged)}, artifacts.read(merged)
    trained_with, origin = artifacts.read(places["adapter"]).parameters, artifacts.read(places["base"])
    wanted, why = formats.decide(block.export, merged, trained_with["method"])
    chosen = tuple(formats.FORMATS[one] for one in wanted)
    for role in sorted({role for one in chosen for role in one.made_from} - {"merged"}):
        used[role] = _same(artifacts.used(places[role]), record, role, name)
    return ExportInputs(
        sources=Sources(
            merged=merged,
            trained=TrainedAdapter(places["base"], places["adapter"], trained_with, origin.name, origin.parameters),
            settings=block.export,
            chat=ChatSettings.model_validate(record.parameters.get("chat", {})),
        ),
        formats=chosen,
        reason=why,
        probes=handover.probe_rows(layout.curated(name)),
        used=used,
    )


def export(inputs: ExportInputs, directories: Mapping[str, Path]) -> tuple[dict[str, Any], dict[str, Exception]]:
    """Build each form, and measure its parity with the merged model, its size and its speed.

    Args:
        directories: Form -> empty directory to build it in.

    Returns:
        The content of export.json, without the digests, and form -> why it could not be made.
    """
    from fineline.chat.tokens import chat_format
    from fineline.inference import probe

    sources, first = inputs.sources, inputs.formats[0]
    planned = ", ".join(f"{form} ({precision})" for form, precision in inputs.precisions.items())
    print(f"building {planned}: {inputs.reason}", flush=True)
    tokens = probe.encoded(inputs.probes, chat_format(sources.merged, sources.chat))
    conversion = Conversion(replace(sources, tokens=tokens), inputs.formats, directories)
    conversion.run(tokens)
    changed = decoding.replaced(sources.merged)
    if changed:
        settings = ", ".join(f"{key} {value}" for key, value in changed.items())
        print(f"decoding: {settings} of the base left out, because greedy answers are judged")
    exact = next((form for form in first.exact if form in conversion.facts), first.released)
    return {
        "shipped": first.released,
        "exact": exact,
        "reason": inputs.reason,
        "decoding": {"judged": "greedy", "left_out": changed},
        "parity": conversion.facts[exact].get("parity", {"passed": False}),
        "forms": conversion.facts,
    }, conversion.failures


def _same(found: Input, merged: Artifact, role: str, name: str) -> Input:
    """Return an input if the merged model was made from it: a stage may have been run by itself."""
    if found.digest != merged.inputs[role].digest:
        raise InputError(
            f"{found.path} is {found.digest}, but {merged.name} was merged from {role} {merged.inputs[role].digest}; run"
            f" `dvc repro export@{name}`"
        )
    return found

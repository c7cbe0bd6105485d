"""Stage `export@A`: merged model -> each format that ships, with its parity, size and speed.

ONNX is made in fp32, whose parity with PyTorch is measured, and quantized, which ships.
"""

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fineline import artifacts
from fineline.artifacts import Input, reports
from fineline.chat.settings import ChatSettings
from fineline.errors import FinelineError, parameters_of
from fineline.export import decoding, formats
from fineline.inference.fidelity import Comparison, Fidelity
from fineline.models import config
from fineline.plan.workload import file_size
from fineline.project import layout, params
from fineline.stages import handover
from fineline.stages.handover import Rows


@dataclass(frozen=True)
class ExportInputs:
    """Everything that an export reads."""

    merged: Path
    """Directory of the merged model."""
    precisions: Mapping[str, str]
    """Form (`fp32` and `quantized` of ONNX, `safetensors`) -> precision of its weights."""
    shipped: str
    """The form that is judged and released."""
    reason: str
    """Why these forms are made, in a sentence."""
    chat: ChatSettings
    probes: Rows
    """The rows whose first ones compare each form with the merged model."""
    source: Input
    """The merged model, as an artifact."""


def run(name: str) -> None:
    """Export adapter `name` into a directory of models/export/<name> for each form.

    Raises:
        InputError: Inputs are missing, or the model cannot be exported to a format that `export.formats` names.
        FinelineError: The conversion failed, or an exact form differs from the merged model; export.json contains by how much.
        Refused: A file is not as its artifact recorded it.
    """
    with parameters_of(f"adapters.{name}"):
        inputs = read(name)
    targets = {form: layout.export(name, form) for form in inputs.precisions}
    report_file = layout.reports(name) / "export.json"
    with ExitStack() as stack:
        directories = {
            form: stack.enter_context(
                artifacts.create(
                    targets[form],
                    kind="exported-model",
                    name=f"{name}/{form}",
                    stage="export",
                    inputs={"merged": inputs.source},
                    parameters={"precision": precision},
                )
            )
            for form, precision in inputs.precisions.items()
        }
        report = export(inputs, directories)
        parity = report["parity"]
        if not parity["passed"]:
            reports.write(report_file, report)
            raise FinelineError(
                f"the {report['exact']} export does not compute what the merged model computes: largest difference"
                f" {parity['max_abs_difference']:.2e} at logits up to {parity['max_abs_logit']:.1f}, mean KL"
                f" {parity['mean_kl']:.1e}"
            )
    for directory in layout.export(name, inputs.shipped).parent.iterdir():
        if directory not in targets.values():  # a form of an earlier run
            shutil.rmtree(directory)
    for form, measured in report["forms"].items():
        measured["digest"] = artifacts.read(targets[form]).digest
        print(f"{form}: {file_size(measured['bytes'])}, {measured['tokens_per_second']} tokens/s")
    reports.write(report_file, report)


def read(name: str) -> ExportInputs:
    """Read and check the inputs of the export of adapter `name`.

    Raises:
        InputError: Parameters, rows or the merged model are missing.
        Refused: A file is not as its artifact recorded it.
    """
    block, merged = params.load().adapter(name), layout.merged(name)
    export = block.export
    source = artifacts.used(merged)
    wanted, reason = formats.decide(export.formats, export.precision, merged)
    precisions = {"fp32": "fp32", "quantized": export.precision, "safetensors": config.stored_precision(merged)}
    return ExportInputs(
        merged=merged,
        precisions={form: precisions[form] for name in wanted for form in formats.FORMS[name]},
        shipped=formats.SHIPPED[wanted[0]],
        reason=reason,
        chat=ChatSettings.model_validate(artifacts.read(merged).parameters.get("chat", {})),
        probes=handover.probe_rows(layout.curated(name)),
        source=source,
    )


def export(inputs: ExportInputs, directories: Mapping[str, Path]) -> dict[str, Any]:
    """Build each form, and measure its parity with the merged model, its size and its speed.

    Args:
        directories: Form -> empty directory to build it in.

    Returns:
        The content of export.json, without the digests.

    Raises:
        InputError: The builder does not support the architecture.
        FinelineError: The conversion failed.
    """
    from fineline.chat.tokens import chat_format
    from fineline.export import onnx, safetensors
    from fineline.export.trial import is_equal
    from fineline.inference import probe

    precisions = inputs.precisions
    print(
        f"building {', '.join(f'{form} ({precision})' for form, precision in precisions.items())}: {inputs.reason}", flush=True
    )
    with TemporaryDirectory() as temporary, ThreadPoolExecutor() as pool:  # each build is a process that uses one core
        builds = [
            pool.submit(safetensors.build, inputs.merged, directories[form])
            if form == formats.SHIPPED[formats.SAFETENSORS]
            else pool.submit(onnx.build, inputs.merged, precision, directories[form], Path(temporary) / form)
            for form, precision in precisions.items()
        ]
        for running in builds:
            running.result()
    tokens = probe.encoded(inputs.probes, chat_format(inputs.merged, inputs.chat))
    agreement = _agreement(inputs, directories, tokens)
    exact = "fp32" if "fp32" in precisions else inputs.shipped
    changed = decoding.replaced(inputs.merged)
    if changed:
        settings = ", ".join(f"{key} {value}" for key, value in changed.items())
        print(f"decoding: {settings} of the base left out, because greedy answers are judged")
    makers = {form: safetensors if form == formats.SHIPPED[formats.SAFETENSORS] else onnx for form in precisions}
    return {
        "shipped": inputs.shipped,
        "exact": exact,
        "reason": inputs.reason,
        "decoding": {"judged": "greedy", "left_out": changed},
        "parity": {"passed": is_equal(agreement[exact]), **asdict(agreement[exact])},
        "forms": {
            form: {
                "precision": precision,
                "bytes": makers[form].deployable_size(directories[form]),
                "tokens_per_second": round(makers[form].tokens_per_second(directories[form], tokens[0]), 1),
                "mean_kl": agreement[form].mean_kl,
                "top1_agreement": agreement[form].top1_agreement,
            }
            for form, precision in precisions.items()
        },
    }


def _agreement(inputs: ExportInputs, directories: Mapping[str, Path], tokens: list[list[int]]) -> dict[str, Fidelity]:
    """Return the agreement of each form with the merged model, in fp32. One row of logits of each is in memory at once."""
    from fineline.export import safetensors
    from fineline.inference import probe
    from fineline.inference.onnx_engine import OnnxEngine

    copied = formats.SHIPPED[formats.SAFETENSORS]
    source, engines = inputs.merged, {form: OnnxEngine(directories[form]) for form in inputs.precisions if form != copied}
    if copied in directories:  # the same bytes: what a new process computes from them is the merged model's answer
        source = directories[copied]
        safetensors.check_copied(inputs.merged, source)
    comparisons = {form: Comparison() for form in inputs.precisions}
    with closing(probe.fresh_logits(source, tokens)) as reference:
        for row, logits in zip(tokens, reference, strict=True):
            for form, comparison in comparisons.items():
                comparison.add(logits, next(engines[form].rows([row])) if form in engines else logits)
    return {form: comparison.result() for form, comparison in comparisons.items()}
